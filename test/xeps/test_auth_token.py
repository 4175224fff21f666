"""Tokens in the place of a password: given, taken, refused, revoked."""

from __future__ import annotations

import base64
import re
import time
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from palaver.auth.sasl import Authenticator, AuthSettings
from palaver.auth.tokens import ACCESS, PROVISION, REFRESH, Token, decode, encode
from palaver.commands import command as commands
from palaver.jid import parse
from palaver.mistakes import ConfigError
from palaver.routing.lifecycle import set_password
from palaver.test.house import House, now
from palaver.test.streams.talker import HEADER, Talker, auth, failure
from palaver.vcards.stored import StoredVCards
from palaver.web.interfaces import IHeldTokens
from palaver.xeps.auth_token import NS_TOKENS, AuthToken
from palaver.xeps.keystore import Keystore, KeystoreSettings

SHARED = {"name": "token_secret", "type": "ram"}
ROMEO = parse("romeo@example.org/orchard")
CARD = b"<vCard xmlns='vcard-temp'><FN>Romeo</FN></vCard>"


class KeystoreTests(SynchronousTestCase):
    """Keys."""

    def keystore(self, *keys: dict[str, str], **options: Any) -> Any:
        return House(Keystore, Keystore={"keys": keys, **options}).modules["Keystore"]

    def test_ram(self) -> None:
        """A key of the type ram is random, and as long as is asked for."""
        keys = [self.keystore(SHARED, ram_key_size=100).key("token_secret") for _ in range(2)]
        self.assertEqual([len(key) for key in keys], [100, 100])
        self.assertNotEqual(*keys)

    def test_file(self) -> None:
        """A key in a file is all of its bytes."""
        path = Path(self.mktemp())
        path.write_bytes(b"\0secret\n")
        store = self.keystore({"name": "k", "type": "file", "path": str(path)})
        self.assertEqual((store.key("k"), store.key("other")), (b"\0secret\n", None))

    def test_unreadable(self) -> None:
        """A file that is missing or empty stops the start, and nothing of a key is told."""
        path = Path(self.mktemp())
        key = {"name": "k", "type": "file", "path": str(path)}
        self.assertRaises(ConfigError, self.keystore, key)
        path.touch()
        self.assertRaises(ConfigError, self.keystore, key)

    def test_options(self) -> None:
        """A path belongs to a file, and a name to one key."""
        for keys in (
            [{"name": "k", "type": "file"}],
            [{**SHARED, "path": "x"}],
            [SHARED, SHARED],
            [{"name": "", "type": "ram"}],
        ):
            self.assertRaises(ValidationError, KeystoreSettings.model_validate, {"keys": keys})


class TokenTests(SynchronousTestCase):
    """Romeo has tokens."""

    def setUp(self) -> None:
        keys = [SHARED, {"name": "provision_pre_shared", "type": "ram"}]
        self.house = House(Keystore, AuthToken, Keystore={"keys": keys})
        host: Any = self.house.host
        host.authenticator = Authenticator(
            host.accounts, AuthSettings(b"secret", mechanisms=None), host.mechanisms
        )
        self.host = host

    def key(self, name: str = "token_secret") -> bytes:
        store: Any = self.house.modules["Keystore"]
        found: bytes = store.key(name)
        return found

    def tokens(self) -> tuple[bytes, bytes]:
        """Ask for tokens; gives the access and the refresh token."""
        romeo = self.house.login("romeo")
        items = romeo.ask(f"<iq type='get' id='1'><query xmlns='{NS_TOKENS}'/></iq>").items
        assert items is not None
        access, refresh = (base64.b64decode(str(node)) for node in items.elements())
        return access, refresh

    def log_in(self, token: bytes, secure: bool = True) -> str:
        """Log in with a token; gives the answer."""
        talker = Talker(self.house, secure=secure)
        self.features = talker.send(HEADER)
        return talker.send(auth("X-OAUTH", base64.b64encode(token).decode()))

    def made(self, kind: str = ACCESS, jid: str = ROMEO.full, seconds: int = 60, more: bytes = b"") -> bytes:
        key = self.key("provision_pre_shared" if kind == PROVISION else "token_secret")
        return encode(Token(kind, parse(jid), int(time.time()) + seconds, more), key)

    def test_given(self) -> None:
        """Whoever asks gets an access and a refresh token for himself, good for an hour and for 25 days."""
        keys = dict.fromkeys((ACCESS, REFRESH), self.key())
        for data, kind, hours in zip(self.tokens(), (ACCESS, REFRESH), (1, 25 * 24), strict=True):
            token = decode(data, keys)
            self.assertEqual((token.kind, token.jid), (kind, ROMEO))
            self.assertApproximates(token.expires, time.time() + hours * 3600, 60)

    def test_access(self) -> None:
        """An access token opens the account; nothing more is said."""
        access, _ = self.tokens()
        self.assertEqual(self.log_in(access), "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
        self.assertIn("<mechanism>X-OAUTH</mechanism>", self.features)

    def test_refresh(self) -> None:
        """A refresh token brings a new access token with it, which opens the account."""
        _, refresh = self.tokens()
        found = re.fullmatch("<success xmlns='[^']*'>(.*)</success>", self.log_in(refresh))
        assert found is not None
        self.assertIn("success", self.log_in(base64.b64decode(found[1])))

    def test_refused(self) -> None:
        """Forged, expired, foreign and nameless tokens, and those of nobody, open nothing."""
        for token in (
            b"access\0romeo@example.org\0 99999999999\0",
            self.made()[:-1] + b"!",
            self.made(seconds=-1),
            self.made(jid="romeo@example.com"),
            self.made(jid="example.org"),
            self.made(jid="nobody@example.org"),
            self.made(REFRESH, more=b"0"),
            self.made(REFRESH, more=b"-1"),
            self.made(REFRESH, more=b""),
            self.made(REFRESH, more=b"9" * 5000),
        ):
            self.assertEqual(self.log_in(token), failure("not-authorized"), token)

    def test_disabled(self) -> None:
        """An account that is locked out stays so."""
        access, _ = self.tokens()
        self.house.accounts.locked.add("romeo")
        self.assertEqual(self.log_in(access), failure("account-disabled"))

    def test_without_encryption(self) -> None:
        """What whoever listens could use himself is not offered in the clear."""
        access, _ = self.tokens()
        # There is another way, or the stream would end before anybody tries.
        self.house.accounts.hashes = ("sha-1",)
        self.assertEqual(self.log_in(access, secure=False), failure("encryption-required"))
        self.assertNotIn("X-OAUTH", self.features)

    def test_revoked(self) -> None:
        """Revoked refresh tokens open nothing, new ones do; access tokens are good until they expire."""
        access, refresh = self.tokens()
        command = commands.named(self.host, "token revoke")
        assert command is not None and command.arguments is not None
        given = command.arguments.model_validate({"accountjid": "romeo@example.org"})
        done = now(command.run(commands.Call(self.host, None), given))
        self.assertEqual(done.said, "Revoked.")
        self.assertEqual(self.log_in(refresh), failure("not-authorized"))
        self.assertIn("success", self.log_in(access))
        self.assertIn("success", self.log_in(self.tokens()[1]))

    def test_taken_back(self) -> None:
        """Their owner, on a page, has no refresh token open anything."""
        _, refresh = self.tokens()
        module: Any = self.host.registry.getUtility(IHeldTokens, "mod_auth_token")
        (held,) = now(module.held("romeo"))
        now(module.take_back("romeo", held.key))
        self.assertEqual(self.log_in(refresh), failure("not-authorized"))

    def test_password(self) -> None:
        """A new password revokes what was given before."""
        _, refresh = self.tokens()
        now(set_password(self.host, "romeo", "sweeter"))
        self.assertEqual(self.log_in(refresh), failure("not-authorized"))

    def test_provision(self) -> None:
        """A provision token of somebody who has the key opens the account and stores the vCard."""
        cards = StoredVCards("example.org", self.house.storage, False)
        self.host.registry.registerUtility(cards, name="stored")
        self.assertIn("success", self.log_in(self.made(PROVISION, more=CARD)))
        self.assertEqual(now(cards.get("romeo")), CARD)

    def test_provision_without_card(self) -> None:
        """What is no vCard is not stored, and the login goes on."""
        for more in (b"", b"no XML", b"<other/>", b"<vCard>"):
            self.assertIn("success", self.log_in(self.made(PROVISION, more=more)))

    def test_others(self) -> None:
        """Nobody asks for somebody else's tokens."""
        romeo = self.house.login("romeo")
        answer = romeo.ask(f"<iq type='get' id='1' to='juliet@example.org'><query xmlns='{NS_TOKENS}'/></iq>")
        self.assertEqual(answer["type"], "error")

    def test_unloaded(self) -> None:
        """Without the module the mechanism is gone."""
        access, _ = self.tokens()
        now(self.house.modules["AuthToken"].detach())
        self.assertEqual(self.log_in(access), failure("invalid-mechanism"))

    def test_no_key(self) -> None:
        """Without the key that it signs with, the module does not start."""
        house = House(Keystore)
        self.assertRaises(ConfigError, house.add, AuthToken)
