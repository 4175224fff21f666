"""PLAIN (RFC 4616), EXTERNAL (RFC 4422 appendix A, XEP-0178) and ANONYMOUS (RFC 4505, XEP-0175)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from palaver.auth.certificates import xmpp_addresses
from palaver.auth.exchange import Challenge, Facts, Mechanism, SaslFailure, Success, local_of
from palaver.auth.guests import new_guest
from palaver.jid import InvalidJID, parse, prepare_local

if TYPE_CHECKING:
    from palaver.interfaces import IAccounts


class Plain(Mechanism):
    """One message: authzid, NUL, name, NUL, password."""

    def __init__(self, accounts: IAccounts, facts: Facts) -> None:
        self._accounts = accounts
        self._facts = facts

    def step(self, data: bytes) -> Deferred[Any] | Challenge | Success:
        """See `Mechanism`."""
        try:
            authzid, name, password = data.decode().split("\0")
        except ValueError:
            raise SaslFailure("malformed-request") from None
        if not name or not password:
            # RFC 4616 section 2: both have at least one character.
            raise SaslFailure("malformed-request")
        try:
            local = prepare_local(name)
        except InvalidJID:
            raise SaslFailure("not-authorized") from None
        if authzid and local_of(authzid, self._facts.domain) != local:
            raise SaslFailure("invalid-authzid")
        self.local = local
        return Deferred.fromCoroutine(self._check(local, password))

    async def _check(self, local: str, password: str) -> Success:
        if not await self._accounts.check_password(local, password):
            raise SaslFailure("not-authorized")
        return await log_in(self._accounts, local, "PLAIN")


class External(Mechanism):
    """One message: the authorization identity, or nothing when the certificate names a single one."""

    def __init__(self, accounts: IAccounts, facts: Facts) -> None:
        self._accounts = accounts
        self._facts = facts

    def step(self, data: bytes) -> Deferred[Any] | Challenge | Success:
        """See `Mechanism`."""
        try:
            authzid = data.decode()
        except UnicodeDecodeError:
            raise SaslFailure("malformed-request", "not UTF-8") from None
        locals_ = self._certified()
        if not locals_:
            raise SaslFailure("not-authorized")
        if not authzid and len(locals_) > 1:
            raise SaslFailure("invalid-authzid", "the certificate has several addresses")
        local = local_of(authzid, self._facts.domain) if authzid else locals_.pop()
        if authzid and local not in locals_:
            raise SaslFailure("invalid-authzid")
        self.local = local
        return Deferred.fromCoroutine(log_in(self._accounts, local, "EXTERNAL"))

    def _certified(self) -> set[str]:
        """Give the localparts that the certificate names at this domain."""
        found = set()
        for text in xmpp_addresses(self._facts.certificate) if self._facts.certificate else ():
            try:
                jid = parse(text)
            except InvalidJID:
                continue
            if jid.domain == self._facts.domain and jid.local and not jid.resource:
                found.add(jid.local)
        return found


class Anonymous(Mechanism):
    """One message, the trace information, which is not kept; the name is random."""

    def __init__(self, secret: bytes, facts: Facts) -> None:
        self._secret = secret
        self._facts = facts

    def step(self, data: bytes) -> Deferred[Any] | Challenge | Success:
        """See `Mechanism`."""
        return Success(new_guest(self._secret, self._facts.domain), None, "ANONYMOUS", anonymous=True)


async def log_in(accounts: IAccounts, local: str, mechanism: str) -> Success:
    """Give the Success for somebody who has shown who they are, if the account lets them in."""
    credentials = await accounts.credentials(local)
    if credentials is None:
        raise SaslFailure("not-authorized")
    if credentials.disabled:
        raise SaslFailure("account-disabled")
    return Success(local, None, mechanism, documents=credentials.documents)
