"""What `palaver.upstream` does for alchimia."""

from __future__ import annotations

import subprocess
import sys
import threading

from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from palaver import upstream


def importing(*statements: str) -> subprocess.CompletedProcess[str]:
    """Run statements in a new interpreter."""
    command = [sys.executable, "-c", "\n".join(statements)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


class AlchimiaTests(TestCase):
    """alchimia 0.8.1 on today's SQLAlchemy."""

    def test_still_needed(self):
        """Alchimia alone cannot be imported; when this fails, `restore_for_alchimia` can go."""
        self.assertIn("DefaultEngineStrategy", importing("import alchimia").stderr)

    def test_restored(self):
        """With the name restored it can, and has wrap_engine."""
        ran = importing(
            "from palaver import upstream", "upstream.restore_for_alchimia()", "import alchimia.engine"
        )
        self.assertEqual(ran.returncode, 0, ran.stderr)

    def test_wokkel_alone_loads_no_sql(self):
        """Restoring names for wokkel does not load SQLAlchemy."""
        ran = importing("import palaver.upstream, sys", "sys.exit('sqlalchemy' in sys.modules)")
        self.assertEqual(ran.returncode, 0, ran.stderr)

    async def test_run_on(self):
        """A function runs in the connection's own thread; its result and its errors come back."""
        upstream.restore_for_alchimia()
        import alchimia

        engine = create_engine("sqlite://", poolclass=NullPool)
        connection = await alchimia.wrap_engine(reactor, engine).connect()
        self.addCleanup(connection.close)

        def work(connection):
            return connection.exec_driver_sql("SELECT 7").scalar(), threading.current_thread()

        value, thread = await upstream.run_on(connection, work)
        self.assertEqual(value, 7)
        self.assertIsNot(thread, threading.current_thread())
        self.assertEqual((await upstream.run_on(connection, work))[1], thread)
        await self.assertFailure(upstream.run_on(connection, lambda connection: 1 // 0), ZeroDivisionError)
