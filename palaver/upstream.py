"""Names that wokkel and alchimia import and that today's Twisted and SQLAlchemy no longer have.

Import this module before either of them. Each name is restored only where it is
missing; test/test_upstream.py fails when one is not needed any more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python import compat

T = TypeVar("T")


def restore_for_wokkel() -> None:
    """Restore what wokkel 18.0.0 imports (wokkel.data_form, wokkel.muc).

    ``twisted.python.compat._PY3`` said which Python this is; ``twisted.python.constants``
    was another name for the package constantly. Twisted 24 took both away.
    """
    if not hasattr(compat, "_PY3"):
        compat._PY3 = True  # type: ignore[attr-defined]
    if "twisted.python.constants" not in sys.modules and find_spec("twisted.python.constants") is None:
        import constantly

        sys.modules["twisted.python.constants"] = constantly


def restore_for_alchimia() -> None:
    """Restore what alchimia 0.8.1 imports; SQLAlchemy 1.4 took ``DefaultEngineStrategy`` away.

    A function of its own, because it loads SQLAlchemy, which only SQL storage needs.
    """
    from sqlalchemy.engine import strategies

    if not hasattr(strategies, "DefaultEngineStrategy"):
        strategies.DefaultEngineStrategy = type("DefaultEngineStrategy", (), {})  # type: ignore[attr-defined]


def run_on(connection: Any, work: Callable[[Any], T]) -> Deferred[T]:
    """Call ``work(connection)`` in the thread of an alchimia connection; ``work`` gets SQLAlchemy's own.

    alchimia's public methods go to the thread and back for every statement; this goes once for
    as many as ``work`` runs, and is the only place that leans on alchimia's private names.
    """
    done: Deferred[T] = connection._defer_to_cxn(work, connection._connection)
    return done


restore_for_wokkel()
