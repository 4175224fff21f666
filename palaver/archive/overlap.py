"""Which messages may be begun while earlier ones of their sender wait, so that one commit serves them all."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from palaver import jid
from palaver.archive import retraction
from palaver.archive.messages import is_archived
from palaver.archive.policies import Policies
from palaver.archive.switches import Switches
from palaver.jid import InvalidJID
from palaver.stanza import Stanza


class Overlap:
    """The rule of one host, for its ``may_overlap``.

    ``host`` is the Host, ``module`` the name of the module that archives, ``before`` the phases to the
    user that come before its own; ``markers`` as in `is_archived`.
    """

    def __init__(
        self,
        host: Any,
        module: str,
        policies: Policies,
        switches: Switches,
        before: Collection[str],
        markers: bool,
    ) -> None:
        self._host = host
        self._module = module
        self._policies = policies
        self._switches = switches
        self._before = before
        self._markers = markers
        # The steps that `_is_alone` has judged last.
        self._seen: tuple[Any, ...] = ()
        self._alone = False

    def may(self, session: Any, stanza: Stanza) -> bool:
        """Tell whether a message waits for its commit before anything of it is seen, and for nothing else.

        Then it may be begun while the sender's earlier ones wait; its commit goes on behind theirs.
        """
        if stanza.name != "message" or not is_archived(stanza, self._markers):
            return False
        host = self._host
        try:
            to = jid.parse(stanza.attrs.get("to", ""))
        except InvalidJID:
            return False
        peer = host.users.get(to.local)
        local = session.user.local
        return (
            peer is not None
            and to.domain == host.domain
            and to.local != local
            and peer.pipeline is session.user.pipeline is host.pipeline
            and self._is_alone(host.pipeline)
            and session not in self._switches.off
            and self._policies.wants(local, to) is True
            and isinstance(self._policies.wants(to.local, session.jid), bool)
            and retraction.read(stanza) is None
        )

    def _is_alone(self, pipeline: Any) -> bool:
        """Tell whether no other module may make a message wait before it is archived."""
        steps = pipeline.from_client["message"], pipeline.to_user["message"]
        if steps != self._seen:
            before = [step for step in steps[1] if step.phase in self._before]
            self._alone = all(step.module == self._module for step in (*steps[0], *before))
            self._seen = steps
        return self._alone
