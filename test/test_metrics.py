"""Counters: plain integers, shown in the Prometheus text format."""

from __future__ import annotations

import subprocess
import sys

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
        for seconds in (0.0005, 0.003, 60):
            metrics.commit_seconds.observe(seconds)
        shown = metrics.render().decode()
        for line in (
            'palaver_commit_seconds_bucket{le="0.0005"} 1.0',
            'palaver_commit_seconds_bucket{le="0.005"} 2.0',
            'palaver_commit_seconds_bucket{le="+Inf"} 3.0',
            "palaver_commit_seconds_count 3.0",
            "palaver_commit_seconds_sum 60.0035",
        ):
            self.assertIn(f"{line}\n", shown)

    def test_its_client_is_loaded_late(self):
        """Counting does not load what writes the Prometheus format."""
        code = "import sys, palaver.metrics; print('prometheus_client' in sys.modules)"
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        self.assertEqual(run.stdout, "False\n")

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
