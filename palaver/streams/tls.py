"""TLS for streams: one certificate a host, channel bindings, client certificates.

No session is ever resumed: a handshake with an elliptic curve costs little beside the login that
follows, tickets would outlive a reload of the authorities, and ``tls-unique`` stays the client's Finished.
"""

from __future__ import annotations

import ipaddress
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple
from weakref import WeakSet

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from zope.interface import implementer

from palaver.auth.certificates import ascii_domain, make_self_signed
from palaver.log import Log

log = Log("tls")

# XEP-0368 section 2: the names of direct TLS for clients and for servers.
ALPN_CLIENT = b"xmpp-client"
ALPN_SERVER = b"xmpp-server"
ALPN_HTTP = b"http/1.1"

# For TLS 1.2: forward secrecy and authenticated encryption only (RFC 9325 section 4.2).
CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
# RFC 9266 section 4.2.
EXPORTER_LABEL = b"EXPORTER-Channel-Binding"
EXPORTER_BYTES = 32

# Contexts that are kept for domains that were added; one costs some 30 KiB, and a millisecond to make anew.
MAX_ADDED = 500


class CertificateError(ValueError):
    """A certificate, a key or a list of authorities cannot be used; the message names the file."""


class CertificateFiles(NamedTuple):
    """A certificate with its chain, and its key, as PEM files; both may be one file."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class TlsSettings:
    """Which certificates to use.

    ``domains`` are the hosts, the first one being the default; one without files in ``hosts`` and
    without DOMAIN.pem in ``directory`` uses ``default``, and without that a self-signed one in ``data_dir``.
    ``client_ca`` is a PEM file of the authorities whose client certificates count; None: no client is asked
    for one. ``added`` gives the domain that a name in DNS form has as a host which was added later, or None.
    """

    data_dir: Path
    domains: Sequence[str]
    default: CertificateFiles | None = None
    hosts: Mapping[str, CertificateFiles] = field(default_factory=dict)
    client_ca: Path | None = None
    directory: Path | None = None
    added: Callable[[str], str | None] = lambda name: None


class _Context(SSL.Context):
    """The context of one host."""

    # tls-server-end-point of its certificate (RFC 5929 section 4); None where that is undefined.
    end_point: bytes | None = None


class TlsContexts:
    """The TLS contexts of all hosts; `reload` replaces them for connections yet to come."""

    def __init__(self, settings: TlsSettings) -> None:
        """Read everything; raises `CertificateError`."""
        self._distrusted: WeakSet[SSL.Connection] = WeakSet()
        self.reload(settings)

    def reload(self, settings: TlsSettings) -> None:
        """Read everything anew; raises `CertificateError`, and then nothing has changed."""
        files = {domain: _files(domain, settings) for domain in settings.domains}
        contexts: dict[bytes, dict[str, _Context]] = {}
        for protocol in (ALPN_CLIENT, ALPN_SERVER, ALPN_HTTP):
            contexts[protocol] = {
                ascii_domain(domain): self._context(files[domain], settings.client_ca, protocol)
                for domain in settings.domains
            }
        self._contexts = contexts
        self._files = files
        self._settings = settings
        # Those of added hosts, by protocol and name in DNS form, made when they are first asked for.
        self._added: OrderedDict[tuple[bytes, str], _Context] = OrderedDict()
        # Those of outgoing connections, by the host that makes them; few hosts speak to other servers.
        self._outgoing: dict[str, SSL.Context] = {}

    def make_certificate(self, domain: str) -> None:
        """Make a certificate for a domain that would need one at its first handshake; for a thread.

        Raises OSError.
        """
        _files(domain, self._settings)

    def for_server(self, domain: str | None = None, protocol: bytes = ALPN_CLIENT) -> ServerConnections:
        """Give what ``transport.startTLS`` and TLS endpoints take for incoming connections.

        ``domain`` is the host of the stream header, when there was one; a name that the client
        sends within TLS goes before it.
        """
        return ServerConnections(self, domain, protocol)

    def for_client(self, domain: str, remote: str, direct: bool) -> ClientConnections:
        """Give what ``transport.startTLS`` takes for a connection to another server.

        ``domain`` is the host of ours that shows its certificate, ``remote`` the domain that is asked for
        (RFC 6066 section 3), ``direct``: TLS from the first byte, which ALPN then names (XEP-0368).
        """
        host = self._host_of(domain, self._contexts[ALPN_SERVER])
        if (added := self._settings.added(host)) is not None:
            found = self._for_added(b"", host, lambda: _outgoing_context(_files(added, self._settings)))
            if found is not None:
                return ClientConnections(found, ascii_domain(remote), direct)
            host = next(iter(self._contexts[ALPN_SERVER]))
        context = self._outgoing.get(host)
        if context is None:
            files = next(found for known, found in self._files.items() if ascii_domain(known) == host)
            context = self._outgoing[host] = _outgoing_context(files)
        return ClientConnections(context, ascii_domain(remote), direct)

    @staticmethod
    def peer_certificates(transport: Any) -> list[crypto.X509]:
        """Give the certificates that the other side has shown, its own first, whoever vouches for them."""
        connection = _connection(transport)
        own = connection.get_peer_certificate() if connection is not None else None
        if connection is None or own is None:
            return []
        return [own, *(connection.get_peer_cert_chain() or ())]

    def bindings(self, transport: Any) -> dict[str, Callable[[], bytes]]:
        """Give the channel bindings of a transport by type, preferred one first; none without TLS."""
        connection = _connection(transport)
        if connection is None:
            return {}
        found: dict[str, Callable[[], bytes]] = {}
        if connection.get_protocol_version() >= SSL.TLS1_3_VERSION:
            found["tls-exporter"] = lambda: connection.export_keying_material(
                EXPORTER_LABEL, EXPORTER_BYTES, b""
            )
        else:
            # RFC 5929 section 3.1: the first Finished, which without resumption is the client's.
            found["tls-unique"] = lambda: connection.get_peer_finished() or b""
        end_point = getattr(connection.get_context(), "end_point", None)
        if end_point is not None:
            found["tls-server-end-point"] = lambda: end_point
        return found

    def client_certificate(self, transport: Any) -> x509.Certificate | None:
        """Give the client's certificate when one of the authorities vouches for it; else None."""
        connection = _connection(transport)
        if connection is None or connection in self._distrusted:
            return None
        return connection.get_peer_certificate(as_cryptography=True)

    def _context_for(self, domain: str | None, protocol: bytes) -> _Context:
        """Give the context of a domain or of the nearest host above it, else of the default host."""
        contexts = self._contexts[protocol]
        name = self._host_of(domain, contexts)
        if name in contexts:
            return contexts[name]
        settings = self._settings
        added = settings.added(name) or ""
        found = self._for_added(
            protocol, name, lambda: self._context(_files(added, settings), settings.client_ca, protocol)
        )
        return found or next(iter(contexts.values()))

    def _host_of(self, domain: str | None, contexts: Mapping[str, object]) -> str:
        """Give in DNS form a domain or the nearest host above it, else the default host."""
        name = ascii_domain(domain) if domain else ""
        while name and name not in contexts and self._settings.added(name) is None:
            name = name.partition(".")[2]
        return name or next(iter(contexts))

    def _for_added(self, protocol: bytes, name: str, make: Callable[[], _Context]) -> _Context | None:
        """Give the context of an added host, None when its certificate cannot be used."""
        found = self._added.get((protocol, name))
        if found is None:
            try:
                found = self._added[protocol, name] = make()
            except (CertificateError, OSError) as error:
                # Within a handshake nobody could answer to this.
                log.error("certificate-unusable", host=name, error=str(error))
                return None
            if len(self._added) > MAX_ADDED:
                self._added.popitem(last=False)
        self._added.move_to_end((protocol, name))
        return found

    def _context(self, files: CertificateFiles, client_ca: Path | None, protocol: bytes) -> _Context:
        context = _Context(SSL.TLS_SERVER_METHOD)
        _harden(context)
        _load(context, files)
        if protocol == ALPN_SERVER:
            # Who another server is, is judged once it has said so (palaver.streams.s2s.identity).
            context.set_verify(SSL.VERIFY_PEER, _any_certificate)
        elif client_ca is not None:
            self._ask_for_certificates(context, client_ca)

        def choose_host(connection: SSL.Connection) -> None:
            name = _server_name(connection)
            if name is not None:
                connection.set_context(self._context_for(name, protocol))

        def choose_protocol(connection: SSL.Connection, offered: list[bytes]) -> bytes:
            # Another protocol's client is turned away (RFC 7301 section 3.2), against cross-protocol attacks.
            if protocol not in offered:
                raise SSL.Error([("SSL routines", "", "no application protocol")])
            return protocol

        context.set_tlsext_servername_callback(choose_host)
        context.set_alpn_select_callback(choose_protocol)
        return context

    def _ask_for_certificates(self, context: _Context, client_ca: Path) -> None:
        """Ask for client certificates without demanding one: a bad one only means no SASL EXTERNAL."""

        def verified(
            connection: SSL.Connection, certificate: crypto.X509, code: int, depth: int, good: int
        ) -> bool:
            if not good:
                self._distrusted.add(connection)
            return True

        try:
            context.load_verify_locations(os.fspath(client_ca))
            context.load_client_ca(os.fspath(client_ca).encode())
        except SSL.Error:
            raise CertificateError(f"{client_ca}: no certificates of authorities in PEM") from None
        context.set_verify(SSL.VERIFY_PEER, verified)


@implementer(IOpenSSLServerConnectionCreator)
class ServerConnections:
    """Makes the server's side of TLS connections with the contexts of the moment."""

    def __init__(self, contexts: TlsContexts, domain: str | None, protocol: bytes) -> None:
        self._contexts = contexts
        self._domain = domain
        self._protocol = protocol

    def serverConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        """See IOpenSSLServerConnectionCreator."""
        return SSL.Connection(self._contexts._context_for(self._domain, self._protocol), None)


@implementer(IOpenSSLClientConnectionCreator)
class ClientConnections:
    """Makes our side of a TLS connection to another server."""

    def __init__(self, context: SSL.Context, remote: str, direct: bool) -> None:
        self._context = context
        self._remote = remote
        self._direct = direct

    def clientConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        """See IOpenSSLClientConnectionCreator."""
        connection = SSL.Connection(self._context, None)
        if not _is_address(self._remote):
            connection.set_tlsext_host_name(self._remote.encode())
        if self._direct:
            connection.set_alpn_protos([ALPN_SERVER])
        return connection


def _is_address(domain: str) -> bool:
    """Tell whether a domain is an IP address, which SNI cannot name."""
    try:
        ipaddress.ip_address(domain.strip("[]"))
    except ValueError:
        return False
    return True


def _any_certificate(
    connection: SSL.Connection, certificate: crypto.X509, code: int, depth: int, good: int
) -> bool:
    return True


def _harden(context: SSL.Context) -> None:
    """Set what is the same for whoever speaks TLS here."""
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # An idle connection then holds no buffers, which are 34 KiB.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_cipher_list(CIPHERS)


def _outgoing_context(files: CertificateFiles) -> _Context:
    """Give the context in which a host connects to other servers, with its own certificate at hand."""
    context = _Context(SSL.TLS_CLIENT_METHOD)
    _harden(context)
    _load(context, files)
    # Whether the other side may be believed, and whether that matters, is decided after the handshake.
    context.set_verify(SSL.VERIFY_PEER, _any_certificate)
    return context


def _connection(transport: Any) -> SSL.Connection | None:
    """Give the TLS connection of a Twisted transport, or None."""
    handle = transport.getHandle() if hasattr(transport, "getHandle") else None
    return handle if isinstance(handle, SSL.Connection) else None


def _server_name(connection: SSL.Connection) -> str | None:
    """Give the name that the client asks for (RFC 6066 section 3), or None."""
    name = connection.get_servername()
    try:
        return name.decode("ascii").lower() if name else None
    except UnicodeDecodeError:
        return None


def _files(domain: str, settings: TlsSettings) -> CertificateFiles:
    """Give the files of a host; makes a self-signed certificate where none is configured."""
    name = f"{ascii_domain(domain).strip('[]').replace(':', '-')}.pem"
    configured = settings.hosts.get(domain)
    if configured is None and settings.directory is not None and (settings.directory / name).is_file():
        configured = CertificateFiles(settings.directory / name, settings.directory / name)
    if configured := configured or settings.default:
        return configured
    path = settings.data_dir / name
    if not path.exists():
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        # Written aside first: half a key after a crash would stop every later start. Nobody else may read it.
        with NamedTemporaryFile(dir=settings.data_dir, suffix=".new", delete=False) as file:
            file.write(make_self_signed(domain))
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(path)
    return CertificateFiles(path, path)


def _load(context: _Context, files: CertificateFiles) -> None:
    """Put certificate, chain and key into a context; raises `CertificateError`."""
    try:
        context.use_certificate_chain_file(os.fspath(files.certificate))
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    except (SSL.Error, ValueError, OSError):
        raise CertificateError(f"{files.certificate}: no certificate in PEM") from None
    try:
        context.use_privatekey_file(os.fspath(files.key))
        context.check_privatekey()
    except SSL.Error:
        raise CertificateError(f"{files.key}: no key in PEM, or not that of {files.certificate}") from None
    context.end_point = _end_point(certificate)


def _end_point(certificate: x509.Certificate) -> bytes | None:
    """Give the certificate's hash (RFC 5929 section 4.1); None when its signature has no hash function."""
    algorithm = certificate.signature_hash_algorithm
    if algorithm is None:
        return None
    if isinstance(algorithm, hashes.MD5 | hashes.SHA1):
        algorithm = hashes.SHA256()
    return certificate.fingerprint(algorithm)
