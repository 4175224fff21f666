"""XMPP addresses in X.509 certificates (RFC 6120 section 13.7.1), and self-signed certificates."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

import idna
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# id-on-xmppAddr, RFC 6120 section 13.7.1.4.
XMPP_ADDR = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")
# id-on-dnsSRV, RFC 4985 section 2.
SRV_NAME = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7")

SELF_SIGNED_DAYS = 3650
# X.520's upper bound; what counts are the alternative names.
MAX_COMMON_NAME_CHARS = 64


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


def make_self_signed(domain: str) -> bytes:
    """Make a key (EC P-256) and a certificate for an XMPP domain, in one PEM text.

    It bears the names that RFC 6120 section 13.7.1.2 asks for: dNSName, SRVName and xmppAddr.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ascii_domain(domain)[:MAX_COMMON_NAME_CHARS])])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        # A client whose clock is a little slow must not refuse it.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=SELF_SIGNED_DAYS))
        .add_extension(x509.SubjectAlternativeName(_names(domain)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return secret + builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def ascii_domain(domain: str) -> str:
    """Give a prepared domain as DNS and certificates write it, with A-labels (RFC 5890)."""
    try:
        return domain if domain.isascii() else idna.encode(domain).decode()
    except idna.IDNAError:
        raise ValueError(f"{domain} cannot be written in ASCII") from None


def _names(domain: str) -> list[x509.GeneralName]:
    try:
        address = ipaddress.ip_address(domain.strip("[]"))
    except ValueError:
        dns = ascii_domain(domain)
        return [
            x509.DNSName(dns),
            srv_name("xmpp-client", dns),
            srv_name("xmpp-server", dns),
            xmpp_addr(domain),
        ]
    return [x509.IPAddress(address), xmpp_addr(domain)]
