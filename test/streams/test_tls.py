"""TLS: certificates by name, versions, bindings, client certificates, reloading."""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from palaver.auth.certificates import make_self_signed, xmpp_addr, xmpp_addresses
from palaver.streams import tls as tls_module
from palaver.streams.tls import (
    ALPN_SERVER,
    EXPORTER_LABEL,
    CertificateError,
    CertificateFiles,
    TlsContexts,
    TlsSettings,
)

# A handshake takes three flights; more rounds than this mean that it hangs.
MAX_ROUNDS = 10

Keys = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def issue(name: str, issuer: Keys | None = None, *, address: str | None = None) -> Keys:
    """Make an authority, or with ``issuer`` a client's certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer[1] if issuer else key
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer[0].subject if issuer else subject,
        subject,
        key.public_key(),
        x509.random_serial_number(),
        now - timedelta(days=1),
        now + timedelta(days=1),
    ).add_extension(x509.BasicConstraints(issuer is None, None), critical=True)
    if address is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([xmpp_addr(address)]), critical=False)
    return builder.sign(signer, hashes.SHA256()), key


def pem(keys: Keys) -> bytes:
    """Give certificate and key in one text."""
    secret = keys[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return keys[0].public_bytes(Encoding.PEM) + secret


class Server(Protocol):
    """Keeps what it received."""

    received = b""

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.received += data


class TlsTestCase(SynchronousTestCase):
    """Two hosts with self-signed certificates; a client of Python's ssl module, joined in memory."""

    def setUp(self) -> None:
        self.dir = Path(self.mktemp())
        self.settings = TlsSettings(self.dir, ("example.org", "example.net"))
        self.tls = TlsContexts(self.settings)

    def client(self, version: ssl.TLSVersion | None = None, ca: str = "example.org.pem") -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.dir / ca)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context

    def serve(self, connections: Any) -> tuple[Any, StringTransport]:
        """Start the server's side; gives its TLS transport and the wire below."""
        factory = TLSMemoryBIOFactory(connections, False, Factory.forProtocol(Server))
        protocol = factory.buildProtocol(None)
        wire = StringTransport()
        protocol.makeConnection(wire)
        return protocol, wire

    def join(
        self, context: ssl.SSLContext, name: str | None = "example.org", connections: Any = None
    ) -> tuple[Any, ssl.SSLObject]:
        """Shake hands; gives the server's transport and the client. Raises ssl.SSLError."""
        server, wire = self.serve(connections or self.tls.for_server())
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(to_client, to_server, server_hostname=name)
        done = False
        for _ in range(MAX_ROUNDS):
            if not done:
                try:
                    client.do_handshake()
                    done = True
                except ssl.SSLWantReadError:
                    pass
            sent = to_server.read()
            if sent:
                server.dataReceived(sent)
            to_client.write(wire.value())
            wire.clear()
            if done and not to_server.pending:
                return server, client
        raise AssertionError("the handshake hangs")

    def certificate_of(self, client: ssl.SSLObject) -> x509.Certificate:
        der = client.getpeercert(binary_form=True)
        assert der is not None
        return x509.load_der_x509_certificate(der)


class CertificateTests(TlsTestCase):
    """Which certificate a client sees."""

    def test_interface(self) -> None:
        """What startTLS gets is what Twisted asks for."""
        self.assertTrue(verifyObject(IOpenSSLServerConnectionCreator, self.tls.for_server()))

    def test_self_signed(self) -> None:
        """A certificate is made for each host, for the owner's eyes, and clients can verify it."""
        path = self.dir / "example.org.pem"
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        _, client = self.join(self.client())
        made = self.certificate_of(client)
        self.assertEqual(xmpp_addresses(made), ["example.org"])
        names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(names.get_values_for_type(x509.DNSName), ["example.org"])

    def test_made_once(self) -> None:
        """A restart uses the certificate that was made before."""
        before = (self.dir / "example.org.pem").read_bytes()
        TlsContexts(self.settings)
        self.assertEqual((self.dir / "example.org.pem").read_bytes(), before)

    def test_odd_domains(self) -> None:
        """International names and addresses have certificates too."""
        for domain in ("münchen.example", "[::1]", "127.0.0.1"):
            tls = TlsContexts(TlsSettings(self.dir, (domain,)))
            self.assertIsNotNone(tls.for_server(domain).serverConnectionForTLS(None))
        made = x509.load_pem_x509_certificate((self.dir / "xn--mnchen-3ya.example.pem").read_bytes())
        self.assertEqual(xmpp_addresses(made), ["münchen.example"])

    def test_by_server_name(self) -> None:
        """The name that the client asks for chooses the certificate, whatever its letters' case."""
        for asked in ("example.net", "EXAMPLE.net"):
            _, client = self.join(self.client(ca="example.net.pem"), asked)
            self.assertEqual(xmpp_addresses(self.certificate_of(client)), ["example.net"])

    def seen(self, asked: str | None, connections: Any) -> list[str]:
        """Give the addresses in the certificate that a trusting client sees."""
        context = self.client()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        _, client = self.join(context, asked, connections)
        return xmpp_addresses(self.certificate_of(client))

    def test_without_server_name(self) -> None:
        """Without such a name the stream's host counts, and without that the first host."""
        self.assertEqual(self.seen(None, self.tls.for_server("example.net")), ["example.net"])
        self.assertEqual(self.seen(None, self.tls.for_server()), ["example.org"])

    def test_other_server_names(self) -> None:
        """A service below a host has the host's certificate; an unknown name the first one."""
        self.assertEqual(self.seen("muc.example.net", self.tls.for_server()), ["example.net"])
        self.assertEqual(self.seen("elsewhere.example", self.tls.for_server()), ["example.org"])

    def test_configured(self) -> None:
        """Configured certificates, for one host or for all, go before self-signed ones."""
        for domain in ("common", "special"):
            (self.dir / f"{domain}.crt").write_bytes(make_self_signed(domain))
        common, special = (
            CertificateFiles(self.dir / f"{name}.crt", self.dir / f"{name}.crt")
            for name in ("common", "special")
        )
        self.tls.reload(
            TlsSettings(self.dir, ("example.org", "example.net"), common, {"example.net": special})
        )
        self.assertEqual(self.seen("example.org", self.tls.for_server()), ["common"])
        self.assertEqual(self.seen("example.net", self.tls.for_server()), ["special"])

    def test_directory(self) -> None:
        """A folder of certificates serves domains without one of their own in the configuration."""
        folder = self.dir / "certificates"
        folder.mkdir()
        (folder / "example.net.pem").write_bytes(make_self_signed("of.folder"))
        self.tls.reload(TlsSettings(self.dir, ("example.org", "example.net"), directory=folder))
        self.assertEqual(self.seen("example.net", self.tls.for_server()), ["of.folder"])
        self.assertEqual(self.seen("example.org", self.tls.for_server()), ["example.org"])

    def test_added(self) -> None:
        """Hosts that are added later get contexts when they are asked for, and a bounded number is kept."""
        self.patch(tls_module, "MAX_ADDED", 2)
        names = {f"d{number}.example": f"d{number}.example" for number in range(4)}
        names["xn--mnchen-3ya.example"] = "münchen.example"
        self.tls.reload(TlsSettings(self.dir, ("example.org",), added=names.get))
        for asked, domain in (*names.items(), *names.items()):
            self.assertEqual(self.seen(f"muc.{asked}", self.tls.for_server()), [domain])
            self.assertLessEqual(len(self.tls._added), 2)
        self.assertEqual(self.seen("made-up.example", self.tls.for_server()), ["example.org"])
        self.assertLessEqual(len(self.tls._added), 2)

    def test_unusable_of_added(self) -> None:
        """The garbled certificate of an added host ends no handshake: the first host's is shown."""
        (self.dir / "d.example.pem").write_text("nothing")
        self.tls.reload(TlsSettings(self.dir, ("example.org",), added={"d.example": "d.example"}.get))
        self.assertEqual(self.seen("d.example", self.tls.for_server()), ["example.org"])
        self.assertIsNotNone(self.tls.for_client("d.example", "other.example", False))

    def test_bad_files(self) -> None:
        """A missing, garbled or foreign file is named, and what was loaded before goes on."""
        good, other, bad = (self.dir / name for name in ("example.org.pem", "example.net.pem", "bad.pem"))
        bad.write_text("nothing")
        missing = self.dir / "missing.pem"
        for files, client_ca, culprit in (
            (CertificateFiles(missing, good), None, missing),
            (CertificateFiles(bad, good), None, bad),
            (CertificateFiles(good, missing), None, missing),
            (CertificateFiles(good, bad), None, bad),
            (CertificateFiles(good, other), None, other),
            (CertificateFiles(good, good), missing, missing),
            (CertificateFiles(good, good), bad, bad),
        ):
            settings = TlsSettings(self.dir, ("example.org",), files, client_ca=client_ca)
            error = self.assertRaises(CertificateError, self.tls.reload, settings)
            self.assertIn(str(culprit), str(error))
        self.assertEqual(self.seen("example.net", self.tls.for_server()), ["example.net"])

    def test_reload(self) -> None:
        """After a reload new connections have the new certificate, and old ones go on."""
        connections = self.tls.for_server()
        context = self.client()
        server, client = self.join(context, connections=connections)
        (self.dir / "example.org.pem").unlink()
        self.tls.reload(self.settings)
        self.assertRaises(ssl.SSLCertVerificationError, self.join, context, connections=connections)
        self.join(self.client(), connections=connections)
        before = x509.load_der_x509_certificate(client.getpeercert(binary_form=True) or b"")
        bindings = self.tls.bindings(server)
        self.assertEqual(bindings["tls-server-end-point"](), before.fingerprint(hashes.SHA256()))


class VersionTests(TlsTestCase):
    """What is spoken and what is not."""

    def test_old_versions(self) -> None:
        """TLS 1.1 is refused."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_cipher_list(b"ALL:@SECLEVEL=0")
        context.set_max_proto_version(SSL.TLS1_1_VERSION)
        context.set_min_proto_version(SSL.TLS1_1_VERSION)
        client = SSL.Connection(context, None)
        client.set_connect_state()
        server = self.tls.for_server().serverConnectionForTLS(None)
        server.set_accept_state()
        self.assertRaises(SSL.WantReadError, client.do_handshake)
        server.bio_write(client.bio_read(1 << 16))
        error = self.assertRaises(SSL.Error, server.do_handshake)
        self.assertIn("unsupported protocol", str(error))

    def test_ciphers(self) -> None:
        """TLS 1.2 has forward secrecy and authenticated encryption; nothing is compressed."""
        _, client = self.join(self.client(ssl.TLSVersion.TLSv1_2))
        name = (client.cipher() or ("",))[0]
        self.assertTrue(name.startswith("ECDHE-") and ("GCM" in name or "CHACHA20" in name), name)
        self.assertIsNone(client.compression())
        weak = self.client(ssl.TLSVersion.TLSv1_2)
        weak.set_ciphers("AES128-SHA:ECDHE-ECDSA-AES128-SHA")
        self.assertRaises(ssl.SSLError, self.join, weak)

    def test_alpn(self) -> None:
        """Direct TLS for clients is xmpp-client, for servers xmpp-server, and may be left out."""
        for offered, connections, chosen in (
            (["xmpp-client"], self.tls.for_server(), "xmpp-client"),
            (["h2", "xmpp-client"], self.tls.for_server(), "xmpp-client"),
            (["xmpp-server"], self.tls.for_server(protocol=ALPN_SERVER), "xmpp-server"),
            ([], self.tls.for_server(), None),
        ):
            context = self.client()
            context.set_alpn_protocols(offered)
            _, client = self.join(context, connections=connections)
            self.assertEqual(client.selected_alpn_protocol(), chosen)

    def test_other_alpn(self) -> None:
        """A client of another protocol is turned away, on every host, and the next one is served."""
        for name in ("example.org", "example.net"):
            context = self.client(ca=f"{name}.pem")
            context.set_alpn_protocols(["http/1.1"])
            error = self.assertRaises(ssl.SSLError, self.join, context, name)
            self.assertIn("NO_APPLICATION_PROTOCOL", str(error).upper().replace(" ", "_"))
        self.join(self.client())

    def test_garbage(self) -> None:
        """Something else than TLS loses its connection, and the next client is served."""
        server, wire = self.serve(self.tls.for_server())
        server.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
        self.assertTrue(wire.disconnecting)
        self.join(self.client())


class BindingTests(TlsTestCase):
    """Channel bindings: both sides must have the same."""

    def test_tls_1_2(self) -> None:
        """On TLS 1.2 there is tls-unique, equal to what the client has."""
        server, client = self.join(self.client(ssl.TLSVersion.TLSv1_2))
        bindings = self.tls.bindings(server)
        self.assertEqual(list(bindings), ["tls-unique", "tls-server-end-point"])
        self.assertEqual(bindings["tls-unique"](), client.get_channel_binding("tls-unique"))
        self.assertEqual(
            bindings["tls-server-end-point"](), self.certificate_of(client).fingerprint(hashes.SHA256())
        )

    def test_second_connection(self) -> None:
        """A client that would resume its session shakes hands anew, and has another tls-unique."""
        context = self.client(ssl.TLSVersion.TLSv1_2)
        server, client = self.join(context)
        self.assertFalse(client.session is not None and client.session.has_ticket)
        again, other = self.join(context)
        self.assertFalse(other.session_reused)
        first, second = (self.tls.bindings(side)["tls-unique"]() for side in (server, again))
        self.assertNotEqual(first, second)

    def test_tls_1_3(self) -> None:
        """On TLS 1.3 there is tls-exporter, equal to what the client has."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        client = SSL.Connection(context, None)
        client.set_connect_state()
        server, wire = self.serve(self.tls.for_server())
        for _ in range(2):
            try:
                client.do_handshake()
            except SSL.WantReadError:
                pass
            server.dataReceived(client.bio_read(1 << 16))
            client.bio_write(wire.value())
            wire.clear()
        bindings = self.tls.bindings(server)
        self.assertEqual(list(bindings), ["tls-exporter", "tls-server-end-point"])
        exported = client.export_keying_material(EXPORTER_LABEL, 32, b"")
        self.assertEqual(bindings["tls-exporter"](), exported)

    def end_point(self, data: bytes) -> Any:
        path = self.dir / "own.pem"
        path.write_bytes(data)
        self.tls.reload(TlsSettings(self.dir, ("example.org",), CertificateFiles(path, path)))
        server = self.tls.for_server().serverConnectionForTLS(None)
        return getattr(server.get_context(), "end_point", None)

    def test_end_point_hash(self) -> None:
        """The certificate's own hash function counts; one without has no tls-server-end-point."""
        key = ec.generate_private_key(ec.SECP384R1())
        edwards = ed25519.Ed25519PrivateKey.generate()
        now = datetime.now(UTC)
        for signer, algorithm in ((key, hashes.SHA384()), (edwards, None)):
            signed = x509.CertificateBuilder(
                x509.Name([]), x509.Name([]), signer.public_key(), 1, now, now + timedelta(days=1)
            ).sign(signer, algorithm)
            secret = signer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            expected = signed.fingerprint(algorithm) if algorithm else None
            self.assertEqual(self.end_point(signed.public_bytes(Encoding.PEM) + secret), expected)

    def test_without_tls(self) -> None:
        """A transport without TLS has no bindings and no certificate."""
        self.assertEqual(self.tls.bindings(StringTransport()), {})
        self.assertIsNone(self.tls.client_certificate(StringTransport()))


class ClientCertificateTests(TlsTestCase):
    """Certificates of clients, for SASL EXTERNAL."""

    def setUp(self) -> None:
        super().setUp()
        self.authority = issue("authority")
        (self.dir / "ca.pem").write_bytes(self.authority[0].public_bytes(Encoding.PEM))
        self.asking = TlsSettings(self.dir, ("example.org", "example.net"), client_ca=self.dir / "ca.pem")

    def shown(self, keys: Keys | None, version: ssl.TLSVersion, name: str = "example.org") -> Any:
        """Give the certificate that the server believes."""
        context = self.client(version, f"{name}.pem")
        if keys is not None:
            (self.dir / "client.pem").write_bytes(pem(keys))
            context.load_cert_chain(self.dir / "client.pem")
        server, _ = self.join(context, name)
        return self.tls.client_certificate(server)

    def test_trusted(self) -> None:
        """A certificate of a configured authority is believed, on every host and version."""
        self.tls.reload(self.asking)
        keys = issue("romeo", self.authority, address="romeo@example.org")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for name in ("example.org", "example.net"):
                self.assertEqual(self.shown(keys, version, name), keys[0])

    def test_untrusted(self) -> None:
        """A certificate of anybody else does no harm, and no good."""
        self.tls.reload(self.asking)
        stranger = issue("stranger")
        for keys in (issue("romeo", stranger, address="romeo@example.org"), stranger):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                self.assertIsNone(self.shown(keys, version))

    def test_none(self) -> None:
        """A client without a certificate is served."""
        self.tls.reload(self.asking)
        self.assertIsNone(self.shown(None, ssl.TLSVersion.TLSv1_3))

    def test_not_asked(self) -> None:
        """Without authorities nobody is asked for a certificate."""
        self.assertIsNone(self.shown(issue("romeo", self.authority), ssl.TLSVersion.TLSv1_3))
