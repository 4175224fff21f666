"""Whom a certificate of another server speaks for (RFC 6120 section 13.7, RFC 9525)."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path

from OpenSSL import SSL, crypto
from service_identity.cryptography import extract_patterns
from service_identity.exceptions import CertificateError, VerificationError
from service_identity.hazmat import DNS_ID, SRV_ID, IPAddress_ID, ServiceID, verify_service_identity

from palaver import jid
from palaver.auth.certificates import ascii_domain, xmpp_addresses

# SRV-IDs (RFC 4985) that a server of the domain may show.
SERVICES = ("xmpp-server", "xmpps-server")

# Numbers of OpenSSL's x509_vfy.h, in words for the other side's administrator.
_REASONS = {
    9: "is not valid yet",
    10: "has expired",
    18: "is self-signed",
    19: "is signed by an authority that is not trusted",
    20: "is signed by an authority that is not trusted",
    21: "is signed by an authority that is not trusted",
    23: "has been revoked",
}
_OTHERWISE = "cannot be trusted"


class Authorities:
    """Those whose certificates count: of the system, or of one PEM file."""

    def __init__(self, file: Path | None = None) -> None:
        """Read them; raises ValueError when the file holds none."""
        context = SSL.Context(SSL.TLS_METHOD)
        try:
            if file is None:
                context.set_default_verify_paths()
            else:
                context.load_verify_locations(os.fspath(file))
        except SSL.Error:
            raise ValueError(f"{file}: no certificates of authorities in PEM") from None
        # The store is gone with its context.
        self._context = context
        self._store = context.get_cert_store()

    def fault(self, certificates: Sequence[crypto.X509], domain: str) -> str | None:
        """Say what is wrong with certificates, the other side's own first, for a domain; None: nothing.

        What they may be used for is not looked at: those for web servers serve here in both directions.
        """
        if not certificates:
            return "is not shown"
        own, *chain = certificates
        try:
            assert self._store is not None
            crypto.X509StoreContext(self._store, own, chain).verify_certificate()
        except crypto.X509StoreContextError as error:
            code = error.errors[0] if isinstance(error.errors, list) and error.errors else None
            return _REASONS.get(code, _OTHERWISE) if isinstance(code, int) else _OTHERWISE
        return None if speaks_for(own, domain) else "is not valid for this name"


def speaks_for(certificate: crypto.X509, domain: str) -> bool:
    """Tell whether a certificate bears a domain as DNS-ID, SRV-ID or xmppAddr."""
    read = certificate.to_cryptography()
    if domain in _xmpp_domains(xmpp_addresses(read)):
        return True
    try:
        patterns = extract_patterns(read)
    except (CertificateError, ValueError):
        return False
    return any(_matches(patterns, name) for name in _names(domain))


def _xmpp_domains(addresses: list[str]) -> set[str]:
    found = set()
    for address in addresses:
        try:
            found.add(jid.prepare_domain(address))
        except jid.InvalidJID:
            continue
    return found


def _names(domain: str) -> list[ServiceID]:
    try:
        return [IPAddress_ID(ipaddress.ip_address(domain.strip("[]")))]
    except ValueError:
        name = ascii_domain(domain)
    try:
        return [DNS_ID(name), *(SRV_ID(f"_{service}.{name}") for service in SERVICES)]
    except ValueError:
        return []


def _matches(patterns: Sequence[object], name: ServiceID) -> bool:
    try:
        verify_service_identity(patterns, [name], [])  # type: ignore[arg-type]
    except (VerificationError, CertificateError):
        return False
    return True
