"""Which strangers may make an account, and how often: the same rules on every way in."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork
from twisted.internet.interfaces import IReactorTime

from palaver.auth.strength import entropy
from palaver.errors import StanzaError
from palaver.throttle import Address, Network, Throttle, parse_address

LOOPBACK = ("127.0.0.0/8", "::1/128")


class Stranger(NamedTuple):
    """Who wants an account by another way than a stream.

    ``address`` is where they come from, ``secure`` whether the way is encrypted, ``token`` that of an
    invitation, or "".
    """

    address: str
    secure: bool
    token: str = ""


class IpAccess(BaseModel):
    """One rule: whether a network may register."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: IPvAnyNetwork = Field(description="An address, or a network such as 10.0.0.0/8.")
    policy: Literal["allow", "deny"] = Field(description="What its members may do.")


class RegistrationRules(BaseModel):
    """The options."""

    allow_registration: bool = Field(
        True, description="Let strangers make accounts. Off: only those who have one change or remove it."
    )
    allow_unencrypted: bool = Field(
        False, description="Let passwords be sent without TLS from elsewhere than this machine."
    )
    ip_access: tuple[IpAccess, ...] = Field(
        (), description="Who may register, by address; the first rule that fits decides, without one all may."
    )
    allowlist_registration_only: bool = Field(
        False, description="Only addresses of registration_allowlist may register."
    )
    registration_allowlist: tuple[IPvAnyNetwork, ...] = Field(
        LOOPBACK, validate_default=True, description="Networks that are not slowed down."
    )
    registration_blocklist: tuple[IPvAnyNetwork, ...] = Field(
        (), description="Networks that may not register."
    )
    registration_throttle_max: int = Field(
        10, ge=0, le=100000, description="How often one address may try at once; 0 is without limit."
    )
    registration_timeout: float = Field(
        600, ge=1, le=604800, description="Seconds after which one address may try as often again."
    )
    registration_throttle_cache_size: int = Field(
        10000, ge=1, le=1000000, description="How many addresses are remembered for that."
    )
    password_strength: float = Field(
        0, ge=0, le=1024, description="The least entropy of a new password, in bits."
    )


class Gate:
    """Applies the rules. Addresses are texts; what is no IP address (a local socket) is this machine."""

    def __init__(self, rules: RegistrationRules, clock: IReactorTime) -> None:
        self._rules = rules
        self._throttle = Throttle(
            clock,
            rules.registration_throttle_max,
            rules.registration_timeout,
            rules.registration_throttle_cache_size,
        )

    def check(self, address: str, secure: bool, invited: bool = False) -> None:
        """Raise `StanzaError` for a stranger who may not register; ``secure`` when the way is encrypted.

        Who is ``invited`` may come in where others may not, but from no address that is shut out.
        """
        if not (self._rules.allow_registration or invited):
            raise StanzaError("not-allowed", "Registration is closed")
        parsed = parse_address(address)
        if not (secure or self._rules.allow_unencrypted or parsed is None or parsed.is_loopback):
            raise StanzaError("policy-violation", "Encryption is required")
        if parsed is not None and self._refused(parsed):
            raise StanzaError("forbidden", "Your address may not register here")

    def _refused(self, address: Address) -> bool:
        rules = self._rules
        if _listed(address, rules.registration_blocklist):
            return True
        if rules.allowlist_registration_only and not _listed(address, rules.registration_allowlist):
            return True
        rule = next((rule for rule in rules.ip_access if address in rule.address), None)
        return rule is not None and rule.policy == "deny"

    def count(self, address: str) -> None:
        """Count an attempt (each one tells whether a name is taken); raises `StanzaError` for too many."""
        parsed = parse_address(address)
        if parsed is None or not self._rules.registration_throttle_max:
            return
        if not _listed(parsed, self._rules.registration_allowlist) and not self._throttle.allow(parsed):
            raise StanzaError("resource-constraint", "Users are not allowed to register accounts so quickly")

    def check_password(self, password: str) -> None:
        """Raise `StanzaError` for a password that is too easy to guess."""
        if entropy(password) < self._rules.password_strength:
            raise StanzaError("not-acceptable", "The password is too weak")


def _listed(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)
