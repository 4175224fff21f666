"""Notifications to push services (XEP-0357 section 7), and the end of registrations that one refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from twisted.internet.defer import CancelledError, TimeoutError
from twisted.python.failure import Failure

from palaver import jid, metrics
from palaver.errors import StanzaError, StorageError
from palaver.interfaces import IPushService
from palaver.log import Log
from palaver.pubsub.conditions import NS_PUBSUB
from palaver.push.elements import Summary, publication
from palaver.push.faults import Faults
from palaver.push.outbox import Outbox, Unread
from palaver.push.registrations import Registration
from palaver.push.service import DeviceGone, PushFailed
from palaver.routing.failures import failed
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.routing.host import Host

log = Log("push")

outcomes = metrics.tally("pushes", "Push notifications handed to their services.", "outcome")

Refused = Callable[[str, Registration], Awaitable[bool]]
"""Takes a localpart and a registration that its service refuses; gives False when it is kept."""


class Limits(NamedTuple):
    """Notifications under way, errors in a row, and seconds for an answer."""

    max_outstanding: int
    max_errors: int
    answer_s: float


class Publisher:
    """Publishes notifications of one host's accounts."""

    def __init__(
        self, host: Host, module: str, virtual: frozenset[str], limits: Limits, refused: Refused
    ) -> None:
        """``virtual`` are domains whose notifications go to the host's IPushService."""
        self._host = host
        self._module = module
        self._virtual = virtual
        self._answer_s = limits.answer_s
        self._refused = refused
        self._outbox = Outbox(self._send, limits.max_outstanding)
        self._faults = Faults(limits.max_errors)

    def put(
        self, local: str, registration: Registration, summary: Summary, unread: Unread | None = None
    ) -> None:
        """Publish a notification, now or behind the one that is under way; ``unread`` as in Outbox."""
        self._outbox.put(local, registration, summary, unread)

    def forget(self, local: str, key: str | None = None) -> None:
        """Send nothing that waits for a registration, or for all of an account's, and count anew."""
        self._outbox.forget(local, key)
        if key is not None:
            self._faults.forget(local, key)

    async def _send(self, local: str, held: Registration, summary: Summary) -> bool:
        """Hand a notification to its service; gives False when the registration is gone."""
        try:
            await self._publish(held, summary)
        except StanzaError as error:
            outcomes["refused"] += 1
            return not self._faults.is_final(local, held.key, error) or await self._kept(
                local, held, error.condition
            )
        except DeviceGone:
            outcomes["refused"] += 1
            return await self._kept(local, held, "device gone")
        except (CancelledError, TimeoutError):
            outcomes["unanswered"] += 1
        except PushFailed as error:
            outcomes["failed"] += 1
            log.warn("push-failed", host=self._host.domain, service=held.service, reason=str(error))
        except Exception:
            outcomes["failed"] += 1
            failed(self._module, Failure())
        else:
            outcomes["accepted"] += 1
            self._faults.forget(local, held.key)
        return True

    async def _publish(self, held: Registration, summary: Summary) -> None:
        """Publish a notification and wait for the answer.

        Raises StanzaError, CancelledError, TimeoutError, DeviceGone, PushFailed.
        """
        if jid.parse(held.service).domain in self._virtual:
            service = self._host.query(IPushService)
            if service is None:
                raise PushFailed("there is no push service on this host")
            await service.push(summary, held.options)
            return
        payload = publication(held.node, summary, held.options)
        iq = Stanza("iq", {"type": "set", "to": held.service}, ((NS_PUBSUB, "pubsub"),), payload)
        await self._host.request(iq, self._answer_s)

    async def _kept(self, local: str, held: Registration, reason: str) -> bool:
        """Have a registration that its service refuses deleted; tells whether it is there all the same."""
        try:
            kept = not await self._refused(local, held)
        except StorageError as error:
            # The service refuses the next notification as well.
            log.warn("push-not-disabled", user=local, host=self._host.domain, reason=str(error))
            return True
        if not kept:
            log.info("push-disabled", user=local, host=self._host.domain, service=held.service, reason=reason)
        return kept
