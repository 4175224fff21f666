"""Counters: plain integers, shown in the Prometheus text format."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from palaver import metrics


class MetricsTests(SynchronousTestCase):
    """What is counted is shown."""

    def setUp(self):
        metrics.reset()
        self.addCleanup(metrics.reset)

    def test_a_count_with_a_label_is_shown(self):
        """Each label has a line of its own."""
        metrics.stanzas_received["message"] += 2
        metrics.stanzas_received["iq"] += 1
        shown = metrics.render().decode()
        self.assertIn('palaver_stanzas_received_total{name="message"} 2.0\n', shown)
        self.assertIn('palaver_stanzas_received_total{name="iq"} 1.0\n', shown)

    def test_a_count_without_a_label_is_shown(self):
        """Bytes are one number."""
        metrics.bytes_in.value += 1000
        self.assertIn("palaver_bytes_in_total 1000.0\n", metrics.render().decode())

    def test_what_was_never_counted_reads_as_nothing(self):
        """Reading a label does not make it appear."""
        self.assertEqual(metrics.logins["PLAIN"], 0)
        self.assertNotIn("PLAIN", metrics.render().decode())

    def test_gauges_of_one_name_are_added_up(self):
        """Two servers in one process show their sessions together, and a stopped one shows none."""
        take_away = metrics.gauge("test_gauge", "For this test.", lambda: 3)
        other = metrics.gauge("test_gauge", "For this test.", lambda: 4)
        self.assertIn("palaver_test_gauge 7.0\n", metrics.render().decode())
        take_away()
        self.assertEqual(metrics.snapshot()["palaver_test_gauge"], 4)
        other()

    def test_a_histogram_is_shown(self):
        """How long commits take is counted in buckets."""
        before = metrics.registry.get_sample_value("palaver_commit_seconds_count") or 0
        metrics.commit_seconds.observe(0.003)
        self.assertEqual(metrics.registry.get_sample_value("palaver_commit_seconds_count"), before + 1)

    def test_the_snapshot_has_names_with_labels(self):
        """`palaver status` shows the same names as Prometheus does."""
        metrics.login_failures["not-authorized"] += 1
        self.assertEqual(metrics.snapshot()['palaver_login_failures_total{reason="not-authorized"}'], 1)

    def test_reset_sets_to_zero(self):
        """After a reset nothing is counted."""
        metrics.bytes_out.value += 1
        metrics.connections["c2s"] += 1
        metrics.reset()
        self.assertEqual((metrics.bytes_out.value, dict(metrics.connections)), (0, {}))
