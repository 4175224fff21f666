"""XMPP addresses in X.509 certificates (RFC 6120 section 13.7.1)."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat import asn1

# id-on-xmppAddr, RFC 6120 section 13.7.1.4.
XMPP_ADDR = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")
# id-on-dnsSRV, RFC 4985 section 2.
SRV_NAME = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7")


def xmpp_addresses(certificate: x509.Certificate) -> list[str]:
    """Give the texts of the certificate's xmppAddr names, as they are; what is no UTF8String is left out."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    found = []
    for name in names.get_values_for_type(x509.OtherName):
        if name.type_id == XMPP_ADDR:
            try:
                found.append(asn1.decode_der(str, name.value))
            except ValueError:
                continue
    return found


def xmpp_addr(address: str) -> x509.OtherName:
    """Make an xmppAddr name."""
    return x509.OtherName(XMPP_ADDR, asn1.encode_der(address))


def srv_name(service: str, domain: str) -> x509.OtherName:
    """Make an SRVName, such as ``_xmpp-client.example.org``; the domain is ASCII."""
    return x509.OtherName(SRV_NAME, asn1.encode_der(asn1.IA5String(f"_{service}.{domain}")))
