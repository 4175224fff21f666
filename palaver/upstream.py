"""Names that wokkel and alchimia import and that today's Twisted and SQLAlchemy no longer have.

Import this module before either of them. Each name is restored only where it is
missing; test/test_upstream.py fails when one is not needed any more.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

from twisted.python import compat


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


restore_for_wokkel()
