"""Which servers may be spoken to, and what they must show first; after the table ``[s2s]``."""

from __future__ import annotations

from palaver.settings import S2s

DENY = "deny"
INSECURE = "insecure"
SECURE = "secure"


class Policy:
    """What ``[s2s]`` demands of a domain. Those of ``host_policy`` are also for the domains below them."""

    def __init__(self, settings: S2s) -> None:
        self._default = settings.default_policy
        self._by_domain = {entry.host: entry.policy for entry in settings.host_policy}
        self._tls = settings.use_starttls
        self.dialback = settings.dialback

    def _of(self, domain: str) -> str:
        name = domain
        while name:
            if name in self._by_domain:
                return self._by_domain[name]
            name = name.partition(".")[2]
        return self._default

    def allows(self, domain: str) -> bool:
        """Tell whether there may be streams with a domain at all."""
        return self._of(domain) != DENY

    @property
    def offers_tls(self) -> bool:
        """Tell whether TLS is spoken at all."""
        return self._tls != "off"

    def needs_tls(self, domain: str) -> bool:
        """Tell whether nothing may go to or come from a domain in the clear."""
        policy = self._of(domain)
        return policy == SECURE or (policy != INSECURE and self._tls in ("required", "required_trusted"))

    def needs_certificate(self, domain: str) -> bool:
        """Tell whether a domain has to show a certificate that is valid for it."""
        policy = self._of(domain)
        return policy == SECURE or (policy != INSECURE and self._tls == "required_trusted")
