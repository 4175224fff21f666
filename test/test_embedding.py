"""The programs of docs/examples, as they are: embedded, and with Wokkel handlers inside; over sockets."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.service import Palaver
from palaver.test.commands import run_python
from palaver.test.services import ServiceCase, ports
from palaver.test.wire import parsed

EXAMPLES = Path(__file__).resolve().parents[1] / "docs" / "examples"
NS_DISCO = "http://jabber.org/protocol/disco#info"
NS_PUBSUB = "http://jabber.org/protocol/pubsub"
NS_VERSION = "jabber:iq:version"
NS_STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"

MAX_EMBEDDING_LINES = 30


def example(name: str) -> Any:
    """Give an example as a module that can be imported by its name."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def condition(stanza: domish.Element) -> str:
    """Give the condition of an error stanza."""
    return next(str(child.name) for child in stanza.error.elements() if child.uri == NS_STANZAS)


class EmbeddingCase(ServiceCase):
    """Runs an example's server inside an application of its own."""

    def load(self, name: str) -> Any:
        """Give an example; it is forgotten after the test."""
        self.addCleanup(sys.modules.pop, name, None)
        return example(name)


class EmbeddedTests(EmbeddingCase):
    """docs/examples/embedded.py."""

    def test_accounts_and_module(self) -> Deferred[None]:
        """Users of the application log in with its passwords, use its module, and talk to each other."""
        return Deferred.fromCoroutine(self._accounts_and_module())

    async def _accounts_and_module(self) -> None:
        await self.run_service(self.load("embedded").make(self.config(listen={"c2s": ports("required")})))
        juliet = await self.log_in("juliet@localhost/balcony", "required")
        romeo = await self.log_in("romeo@localhost/orchard", "required", password="mellon")
        answer = await juliet.ask(
            "<iq type='get' id='g' to='localhost'><greeting xmlns='urn:example:greeting'/></iq>"
        )
        self.assertEqual((answer["type"], str(answer.greeting)), ("result", "Good day, juliet!"))
        romeo.send(f"<message to='{juliet.jid}' id='m'><body>But soft!</body></message>")
        message = await juliet.next()
        self.assertEqual((message["from"], str(message.body)), (romeo.jid, "But soft!"))

    def test_wrong_passwords(self) -> Deferred[None]:
        """Nobody gets in with a wrong password or a name that the application does not know."""
        return Deferred.fromCoroutine(self._wrong_passwords())

    async def _wrong_passwords(self) -> None:
        await self.run_service(self.load("embedded").make(self.config(listen={"c2s": ports("required")})))
        for jid, password in (("juliet@localhost", "mellon"), ("tybalt@localhost", "sesame")):
            wire = await self.connect("required")
            await wire.features()
            await wire.start_tls()
            features = await wire.features()
            self.assertEqual([str(name) for name in features.mechanisms.elements()], ["PLAIN"])
            answer = await wire.authenticate(jid.partition("@")[0], password)
            self.assertEqual((answer.name, answer.firstChildElement().name), ("failure", "not-authorized"))

    def test_short(self) -> None:
        """It takes fewer than 30 lines."""
        self.assertLess(len((EXAMPLES / "embedded.py").read_text().splitlines()), MAX_EMBEDDING_LINES)


class EchoBotTests(EmbeddingCase):
    """docs/examples/echo_bot.py."""

    def setUp(self) -> Any:
        """Host the bot by a line in the config; juliet is online."""
        return Deferred.fromCoroutine(self._set_up())

    async def _set_up(self) -> None:
        self.load("echo_bot")
        bot = {"bot.@HOST@": {"handler": "echo_bot:make", "options": {"version": "2.0"}}}
        await self.run_service(Palaver(self.config(components=bot)), "juliet@localhost")
        self.juliet = await self.log_in("juliet@localhost/balcony")

    def test_messages(self) -> Deferred[None]:
        """It answers a message: from whom it went to, with id, type and text, in the client namespace."""
        return Deferred.fromCoroutine(self._messages())

    async def _messages(self) -> None:
        self.juliet.send(
            "<message to='echo@bot.localhost/x' type='chat' id='m1' xml:lang='it'>"
            "<body>Ciao &amp; &lt;addio&gt; \u2665</body><thread>t</thread></message>"
        )
        answer = await self.juliet.next()
        self.assertEqual((answer.uri, answer.name), ("jabber:client", "message"))
        self.assertEqual(
            answer.attributes,
            {"from": "echo@bot.localhost/x", "to": self.juliet.jid, "type": "chat", "id": "m1"},
        )
        self.assertEqual((answer.body.uri, str(answer.body)), ("jabber:client", "Ciao & <addio> \u2665"))

    def test_presence(self) -> Deferred[None]:
        """It grants a subscription, is then in the roster as such, and shows its presence."""
        return Deferred.fromCoroutine(self._presence())

    async def _presence(self) -> None:
        await self.juliet.ask("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        self.juliet.send("<presence/>")
        self.juliet.send("<presence to='echo@bot.localhost' type='subscribe' id='s'/>")
        found: list[domish.Element] = []
        while not found or found[-1].status is None:
            found.append(await self.juliet.next())
        states = [node.query.item["subscription"] for node in found if node.name == "iq"]
        self.assertEqual((states[0], states[-1]), ("none", "to"))
        shown = found[-1]
        self.assertEqual(
            (shown.name, shown["from"], shown.getAttribute("type"), str(shown.status)),
            ("presence", "echo@bot.localhost", None, "All ears"),
        )

    def test_iqs(self) -> Deferred[None]:
        """Wokkel's handlers answer disco#info, version and ping; what nobody handles is unavailable."""
        return Deferred.fromCoroutine(self._iqs())

    async def _iqs(self) -> None:
        ask = self.juliet.ask
        info = await ask(f"<iq type='get' id='1' to='bot.localhost'><query xmlns='{NS_DISCO}'/></iq>")
        features = {node["var"] for node in info.query.elements() if node.name == "feature"}
        self.assertEqual(features, {"urn:xmpp:ping", NS_VERSION})
        version = await ask(f"<iq type='get' id='2' to='bot.localhost'><query xmlns='{NS_VERSION}'/></iq>")
        texts = {node.name: str(node) for node in version.query.elements()}
        self.assertEqual((texts["name"], texts["version"]), ("Echo", "2.0"))
        ping = await ask("<iq type='get' id='3' to='bot.localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.assertEqual((ping["type"], ping["from"]), ("result", "bot.localhost"))
        for kind in ("get", "set"):
            answer = await ask(
                f"<iq type='{kind}' id='4{kind}' to='bot.localhost'><what xmlns='urn:x'/></iq>"
            )
            self.assertEqual((answer["type"], condition(answer)), ("error", "service-unavailable"))

    def test_found(self) -> Deferred[None]:
        """The host lists it in its disco#items."""
        return Deferred.fromCoroutine(self._found())

    async def _found(self) -> None:
        items = await self.juliet.ask(
            "<iq type='get' id='1' to='localhost'>"
            "<query xmlns='http://jabber.org/protocol/disco#items'/></iq>"
        )
        self.assertIn("bot.localhost", [item["jid"] for item in items.query.elements()])


class PubSubTests(EmbeddingCase):
    """docs/examples/pubsub_service.py."""

    def test_publish_and_fetch(self) -> Deferred[None]:
        """A subscriber hears of what is published, and the items can be fetched; a lost node is an error."""
        return Deferred.fromCoroutine(self._publish_and_fetch())

    async def _publish_and_fetch(self) -> None:
        self.load("pubsub_service")
        service = {"news.@HOST@": {"handler": "pubsub_service:make", "options": {"max_items": 1}}}
        await self.run_service(Palaver(self.config(components=service)), "juliet@localhost")
        juliet = await self.log_in("juliet@localhost/balcony")

        def request(kind: str, id: str, inner: str) -> str:
            return (
                f"<iq type='{kind}' id='{id}' to='news.localhost'>"
                f"<pubsub xmlns='{NS_PUBSUB}'>{inner}</pubsub></iq>"
            )

        done = await juliet.ask(request("set", "1", f"<subscribe node='feuds' jid='{juliet.jid}'/>"))
        self.assertEqual(done.pubsub.subscription["subscription"], "subscribed")
        for number in ("1", "2"):
            item = f"<item id='{number}'><entry xmlns='urn:example:news'>a {number} &amp; b</entry></item>"
            done = await juliet.ask(request("set", f"p{number}", f"<publish node='feuds'>{item}</publish>"))
            self.assertEqual((done["type"], done["from"]), ("result", "news.localhost"))
            event = await juliet.next()
            told = event.event.items.item
            self.assertEqual((event["from"], told["id"]), ("news.localhost", number))
            self.assertEqual((told.entry.uri, str(told.entry)), ("urn:example:news", f"a {number} & b"))
        found = await juliet.ask(request("get", "3", "<items node='feuds'/>"))
        items = list(found.pubsub.items.elements())
        self.assertEqual([item["id"] for item in items], ["2"])
        self.assertEqual(items[0].toXml(), parsed(f"<item xmlns='{NS_PUBSUB}' id='2'>"
            "<entry xmlns='urn:example:news'>a 2 &amp; b</entry></item>").toXml())  # fmt: skip
        lost = await juliet.ask(request("get", "4", "<items node='love'/>"))
        self.assertEqual(condition(lost), "item-not-found")
        other = await juliet.ask(request("set", "5", "<subscribe node='feuds' jid='romeo@localhost'/>"))
        self.assertEqual(condition(other), "bad-request")


class ImportTests(SynchronousTestCase):
    """What an application gets by importing and by default."""

    def test_import(self) -> None:
        """Importing the service chooses no reactor, and loads no Wokkel service code."""
        done = run_python(
            "-c",
            "import sys, palaver.service\n"
            "assert 'twisted.internet.reactor' not in sys.modules\n"
            "assert not [name for name in sys.modules if name.startswith('wokkel')]\n",
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_wokkel_is_for_components(self) -> None:
        """A server without components never imports Wokkel's handlers."""
        done = run_python(
            "-c",
            "import sys\n"
            "from twisted.internet import reactor\n"
            "from palaver.service import Palaver\n"
            f"palaver = Palaver({{'general': {{'data_dir': {self.mktemp()!r}}}, "
            "'storage': {'url': 'memory'}, 'listen': {'c2s': [{'interface': '127.0.0.1', 'port': 0}]}})\n"
            "palaver.ready.addBoth(lambda _: palaver.stopService()).addBoth(lambda _: reactor.stop())\n"
            "reactor.callWhenRunning(palaver.startService)\n"
            "reactor.run()\n"
            "assert 'wokkel.subprotocols' not in sys.modules\n",
        )
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_defaults(self) -> None:
        """Palaver() serves localhost from ./palaver-data, on this machine alone; making it writes nothing."""
        done = run_python(
            "-c",
            "import os, sys\n"
            "os.chdir(sys.argv[1])\n"
            "from palaver.service import Palaver\n"
            "config = Palaver().config\n"
            "print(config.general.hosts, config.general.data_dir, config.storage.url)\n"
            "print([(table.interface, table.port) for table in config.listen.c2s])\n"
            "print(os.listdir('.'))\n",
            self._folder(),
        )
        self.assertEqual(
            done.stdout, "['localhost'] palaver-data sqlite\n[('127.0.0.1', 5222)]\n[]\n", done.stderr
        )

    def _folder(self) -> str:
        folder: str = self.mktemp()
        Path(folder).mkdir()
        return folder
