"""XEP-0388: Extensible SASL Profile."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from palaver.interfaces import ILogins, ILoginTasks
from palaver.markup import element
from palaver.modules import Module
from palaver.streams.negotiation import NS_SASL2
from palaver.streams.sasl2 import ExtensibleLogin

if TYPE_CHECKING:
    from palaver.streams.c2s import ClientStream


class ExtensibleSasl(Module):
    """Lets clients log in with fewer round trips, and ask for more within the login.

    The mechanisms are those that are offered the old way as well. What clients may ask for within the login
    is up to other modules: a resource (mod_bind2), the resumption of a session (mod_stream_management), a
    token for the next time (mod_fast_auth_token). It is offered on encrypted streams only.
    """

    provides = (ILogins,)

    def begin(self, stream: ClientStream) -> ExtensibleLogin:
        """See ILogins."""
        return ExtensibleLogin(stream)

    def stream_feature(self, stream: ClientStream) -> bytes | None:
        """Announce the mechanisms and what may be asked for (section 2.1)."""
        if stream.authenticated_as is not None or not stream.secure or not stream.offered:
            return None
        parts = [part for feature in self.host.inline_features if (part := feature(stream)) is not None]
        tasks = self.host.query(ILoginTasks)
        return _encode(stream.offered, tuple(parts), tasks.feature(stream) if tasks is not None else b"")


@lru_cache(64)
def _encode(mechanisms: tuple[str, ...], parts: tuple[bytes, ...], tasks: bytes) -> bytes:
    names = b"".join(element("mechanism", None, name.encode()) for name in mechanisms)
    inline = element("inline", None, b"".join(parts)) if parts else b""
    return element("authentication", NS_SASL2, names + inline + tasks)
