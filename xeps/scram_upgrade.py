"""XEP-0480: SASL Upgrade Tasks."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from palaver.auth.exchange import SaslFailure, Success
from palaver.auth.keys import HASHES, SALT_BYTES, Hash, Keys, from_salted
from palaver.interfaces import ILoginTasks, IUpgradableAccounts
from palaver.markup import element
from palaver.modules import Module, Settings
from palaver.streams.sasl import decode_base64
from palaver.streams.sasl2 import text_of

if TYPE_CHECKING:
    from twisted.words.xish.domish import Element

    from palaver.streams.c2s import ClientStream
    from palaver.streams.sasl2 import Request

NS_UPGRADE = "urn:xmpp:sasl:upgrade:0"
NS_SCRAM_UPGRADE = "urn:xmpp:scram-upgrade:0"
NAMES = {"sha256": HASHES["sha-256"], "sha512": HASHES["sha-512"]}


class ScramUpgradeSettings(Settings):
    """Options of mod_scram_upgrade."""

    offered_upgrades: tuple[Literal["sha256", "sha512"], ...] = Field(
        ("sha256", "sha512"), description="For which hash functions clients may bring the keys."
    )


class ScramUpgrade(Module):
    """Has clients bring what an account lacks to log in with a stronger hash function.

    An account that was made before a hash function was configured, or that was imported, has no keys for it,
    and with SCRAM the server never sees the password to make them of. Clients that log in with SCRAM and ask
    for it are told what to compute. Accounts that have the keys already are let in at once.
    """

    Settings = ScramUpgradeSettings
    provides = (ILoginTasks,)

    settings: ScramUpgradeSettings

    def _offered(self) -> dict[str, Hash]:
        """Give the tasks by name."""
        accounts = self.host.accounts
        if not IUpgradableAccounts.providedBy(accounts):
            return {}
        hashes = [NAMES[name] for name in self.settings.offered_upgrades]
        return {f"UPGR-{hash_.mechanism}": hash_ for hash_ in hashes if hash_.name in accounts.hashes}

    def feature(self, stream: ClientStream) -> bytes:
        """See ILoginTasks (section 3.1)."""
        return b"".join(element("upgrade", NS_UPGRADE, name.encode()) for name in self._offered())

    async def needed(self, request: Request, outcome: Success) -> list[UpgradeTask]:
        """See ILoginTasks (section 3.2)."""
        wanted = [text_of(child) for child in request.children if child.uri == NS_UPGRADE]
        # Whoever has only a token, say, must not leave keys behind that are good for ever.
        if not wanted or not outcome.mechanism.startswith("SCRAM-"):
            return []
        offered = self._offered()
        credentials = await self.host.accounts.credentials(outcome.local)
        if credentials is None:
            raise SaslFailure("not-authorized")
        lacking = [name for name in offered if name in wanted and offered[name].name not in credentials.keys]
        known = dict(credentials.keys)
        return [
            UpgradeTask(name, self.host.accounts, outcome.local, offered[name], known) for name in lacking
        ]


class UpgradeTask:
    """One hash function; see `ILoginTasks.needed`."""

    def __init__(
        self, name: str, accounts: IUpgradableAccounts, local: str, hash_: Hash, known: dict[str, Keys]
    ) -> None:
        """``known`` are the keys that the account has; the tasks of one login share them."""
        self.name = name
        self._accounts = accounts
        self._local = local
        self._hash = hash_
        self._known = known
        self._salt = secrets.token_bytes(SALT_BYTES)

    def begin(self) -> bytes:
        """Say what to compute (section 4)."""
        iterations = str(self._accounts.iterations)
        return element("salt", NS_SCRAM_UPGRADE, base64.b64encode(self._salt), iterations=iterations)

    async def finish(self, node: Element) -> None:
        """Store the keys that follow from the client's SaltedPassword, unless the account has changed."""
        given = next(node.elements(NS_SCRAM_UPGRADE, "hash"), None)
        salted = decode_base64(text_of(given)) if given is not None else b""
        if len(salted) != self._hash.size:
            raise SaslFailure("malformed-request", f"A <hash/> has {self._hash.size} bytes")
        keys = from_salted(salted, self._hash, self._salt, self._accounts.iterations)
        if not await self._accounts.add_keys(self._local, self._hash.name, keys, self._known):
            raise SaslFailure("not-authorized")
        self._known[self._hash.name] = keys
