"""The XMPP Interop Testing framework (Smack's integration tests) as a process, and what it found.

The suite is the Maven project in ``smack/``; Maven builds it once, from its own cache
where that has everything. Each way in `WAYS` is a run against a fresh server.
"""

from __future__ import annotations

import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from palaver.test.peers.server import HOST, LOOPBACK, ServerProcess

PROJECT = Path(__file__).resolve().parent / "smack"
TARGET = PROJECT / "target"

# The first build fetches some 50 MB.
BUILD_S = 600
# A run takes less than a minute, and half as much again for tests that are tried once more.
RUN_S = 300
# Enough on a busy machine; the suite waits this long a few times in every run, whatever the server does.
REPLY_TIMEOUT_MS = 5000

# Specifications whose tests do not ask first whether the server can do it, and why they are not run.
LEFT_OUT = {
    "XEP-0096": "the server has no SOCKS5 proxy (XEP-0065) and the suite's own refuses loopback addresses; "
    "after that failure its in-band test fails as well",
}


class Way(NamedTuple):
    """One of the suite's kinds of connection, and what the server's port does about TLS.

    ``left_out`` are classes of tests that are for another kind of connection.
    """

    connection: str
    tls: str
    left_out: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.connection}, {'STARTTLS' if self.tls == 'required' else 'no TLS'}"


WAYS = (
    Way("tcp", "required", ("ModularXmppClientToServerConnectionLowLevelIntegrationTest",)),
    # Over TLS this kind of connection drops what it has read in one piece with the close_notify
    # (XmppTcpTransportModule.TlsState.input of Smack 4.5.0-beta5), so that any test may fail.
    Way("modular", "off"),
)


class Outcome(NamedTuple):
    """What became of one test: passed, failed, impossible or not-run.

    ``specification`` is empty where the suite names none; ``reason`` is the suite's, empty for passed.
    """

    result: str
    specification: str
    test: str
    reason: str


def missing_tools() -> list[str]:
    """Give the programs that the suite needs and that are not installed."""
    return [tool for tool in ("mvn", "java", "javac", "keytool") if shutil.which(tool) is None]


def build() -> None:
    """Compile the project and gather its libraries; raises `CalledProcessError` with Maven's complaint.

    What Maven has fetched before it finds without a network.
    """
    command = ["mvn", "--quiet", "--batch-mode", "--file", str(PROJECT / "pom.xml"), "process-classes"]
    if subprocess.run([*command, "--offline"], capture_output=True, timeout=BUILD_S).returncode:
        subprocess.run(command, check=True, timeout=BUILD_S)


def run(way: Way) -> list[Outcome]:
    """Run the suite against a fresh server; gives every test that is for this kind of connection."""
    listeners = [{"interface": LOOPBACK, "port": 0, "tls": tls} for tls in (way.tls, "direct")]
    config = {"listen": {"c2s": listeners}, "modules": {"mod_register": {}}}
    log = TARGET / f"{way.connection}.log"
    with tempfile.TemporaryDirectory(prefix="palaver-smack-") as name, ServerProcess(config) as server:
        folder = Path(name)
        found = folder / "found.tsv"
        options = [*_trust(server, folder), *_options(way)]
        classes = f"{TARGET / 'classes'}:{TARGET / 'lib'}/*"
        command = ["java", "-cp", classes, *options, "palaver.smack.Run", str(server.port), str(found)]
        with log.open("wb") as out:
            # A bad end shows in the outcomes: what was not run has not passed.
            subprocess.run(command, cwd=folder, stdout=out, stderr=out, timeout=RUN_S)
        if not found.exists():
            raise RuntimeError(f"the suite has reported nothing; see {log}")
        outcomes = read(found.read_text("utf-8").splitlines())
    return [outcome for outcome in outcomes if outcome.test.partition(".")[0] not in way.left_out]


def read(lines: Iterable[str]) -> list[Outcome]:
    """Take the lines that palaver.smack.Report writes."""
    return sorted(Outcome(*line.split("\t")) for line in lines)


def _trust(server: ServerProcess, folder: Path) -> list[str]:
    """Give the options that make Java trust the server's own certificate."""
    certificate = folder / "certificate.pem"
    store = folder / "trust.p12"
    certificate.write_text(ssl.get_server_certificate((LOOPBACK, server.direct_port)))
    password = "unimportant"
    command = ["keytool", "-importcert", "-noprompt", "-alias", HOST, "-file", str(certificate)]
    subprocess.run(
        [*command, "-keystore", str(store), "-storepass", password],
        check=True,
        capture_output=True,
        timeout=RUN_S,
    )
    return [f"-Djavax.net.ssl.trustStore={store}", f"-Djavax.net.ssl.trustStorePassword={password}"]


def _options(way: Way) -> list[str]:
    options = {
        "service": HOST,
        "host": LOOPBACK,
        "securityMode": "required" if way.tls == "required" else "disabled",
        "replyTimeout": str(REPLY_TIMEOUT_MS),
        "defaultConnection": way.connection,
        "enabledConnections": way.connection,
        "dnsResolver": "javax",
        "disabledSpecifications": ",".join(LEFT_OUT),
    }
    if way.left_out:
        options["disabledTests"] = ",".join(way.left_out)
    return [f"-Dsinttest.{name}={value}" for name, value in options.items()]
