"""XEP-0077: In-Band Registration: new accounts, new passwords, the end of an account."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from palaver import forms, jid
from palaver.auth.accounts import AccountExists, NoSuchAccount, NotSupported
from palaver.auth.keys import InvalidPassword
from palaver.auth.registration import Gate, RegistrationRules, Stranger
from palaver.commands.notices import filled, say
from palaver.errors import StanzaError, StorageError
from palaver.events import AccountCreated
from palaver.interfaces import IInvites, IRegistration, IStream
from palaver.markup import element, escape
from palaver.modules import HOST, SELF, Module, Settings, iq, on
from palaver.routing.failures import failed
from palaver.routing.iqs import check_request
from palaver.routing.lifecycle import create_account, delete_account, set_password
from palaver.routing.subscriptions import NS_PREAUTH
from palaver.stanza import Stanza
from palaver.storage import Batch

NS_REGISTER = "jabber:iq:register"
NS_FEATURE = "http://jabber.org/features/iq-register"
NS_TOKEN = "urn:xmpp:ibr-token:0"
KIND = "registration"
# Who brought a token and went away without an account is forgotten when so many others have come.
MAX_INVITED = 1024
# Nobody's name or address is longer, and strangers must not fill the storage.
MAX_FIELD_CHARS = 1024

FieldName = Annotated[
    str, Field(pattern=r"^(nick|name|first|last|email|address|city|state|zip|phone|url|date)\+?$")
]
Jid = Annotated[str, AfterValidator(lambda text: jid.parse(text).full)]


class WelcomeMessage(BaseModel):
    """What a new account finds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subject: str = Field("", description="The subject; $username and $host are filled in.")
    body: str = Field("", description="The text; $username and $host are filled in.")


class RegisterSettings(RegistrationRules, Settings):
    """Options of mod_register."""

    registration_title: str = Field("Creating a new account", description="The title of the form.")
    registration_instructions: str = Field(
        "Choose a username and password for use with this service.", description="What the form says."
    )
    additional_registration_fields: tuple[FieldName, ...] = Field(
        (), description="What else is asked for and stored; a name that ends in + is required."
    )
    welcome_message: WelcomeMessage | None = Field(None, description="A message to every new account.")
    registration_watchers: tuple[Jid, ...] = Field((), description="JIDs that are told of new accounts.")
    registration_notification: str = Field(
        "User $username just registered on $host from $ip", description="What watchers are told."
    )


class Register(Module):
    """Lets people make an account before the login, and change or remove theirs after it."""

    Settings = RegisterSettings
    features = (NS_REGISTER,)
    provides = (IRegistration,)
    iq_policy = "one_queue"

    settings: RegisterSettings

    def start(self) -> None:
        """Make the throttle and the form."""
        chosen = self.settings
        extra = [name.removesuffix("+") for name in chosen.additional_registration_fields]
        required = [name[:-1] for name in chosen.additional_registration_fields if name.endswith("+")]
        self._fields = ("username", "password", *extra)
        self._required = ("username", "password", *required)
        self._form = _form(chosen, self._fields, self._required)
        self._gate = Gate(chosen, self.host.clock)
        # The keys of the tokens that strangers have brought, by their streams.
        self._invited: dict[IStream, str] = {}

    # -- before the login (section 3.1) -------------------------------------------------

    def stream_feature(self, stream: Any) -> bytes | None:
        """Announce registration to strangers who may register."""
        if stream.authenticated_as is not None:
            return None
        by_token = self.host.query(IInvites) is not None and self._may(stream, True)
        open_to_all = self._may(stream, False)
        found = element("register", NS_TOKEN) if by_token else b""
        return found + (element("register", NS_FEATURE) if by_token or open_to_all else b"") or None

    def _may(self, stranger: Stranger | IStream, invited: bool) -> bool:
        try:
            self._gate.check(stranger.address, stranger.secure, invited)
        except StanzaError:
            return False
        return True

    def handle(self, stream: IStream, iq: Stanza) -> Deferred[Stanza]:
        """See IRegistration."""
        return Deferred.fromCoroutine(self._answer(stream, iq.replace(from_=None)))

    async def _answer(self, stream: IStream, iq: Stanza) -> Stanza:
        try:
            return iq.result(await self._register(stream, iq))
        except Exception:
            return iq.error(failed(self.name, Failure()))

    async def _register(self, stream: IStream, iq: Stanza) -> bytes | None:
        """Answer a stranger's request; raises `StanzaError`."""
        wrong = check_request(iq)
        if wrong is not None:
            raise wrong
        if iq.payload == (NS_PREAUTH, "preauth") and iq.type == "set":
            await self._preauthorise(stream, iq)
            return None
        if iq.payload != (NS_REGISTER, "query"):
            raise StanzaError("bad-request")
        key = self._invited.get(stream)
        self._gate.check(stream.address, stream.secure, key is not None)
        if iq.type == "get":
            return self._form
        fields = _read(iq)
        if "remove" in fields:
            raise StanzaError("registration-required")
        if missing := [name for name in self._required if not fields.get(name)]:
            raise StanzaError("not-acceptable", f"Required: {', '.join(missing)}")
        await self._admit(stream.address, key, fields)
        self._invited.pop(stream, None)
        return None

    async def _admit(self, address: str, key: str | None, fields: dict[str, str]) -> str:
        """Make an account for whoever the gate has let this far; gives its localpart. Raises StanzaError."""
        try:
            local = jid.prepare_local(fields["username"])
        except jid.InvalidJID:
            raise StanzaError("not-acceptable", "The requested username is invalid.") from None
        self._gate.check_password(fields["password"])
        self._gate.count(address)
        await self._let_in(key, local, lambda: self._create(local, fields, address))
        return local

    # -- on a page ---------------------------------------------------------------------------

    def admits(self, stranger: Stranger) -> bool:
        """See IRegistration."""
        return self._may(stranger, False) and self._required == ("username", "password")

    def register(self, stranger: Stranger, username: str, password: str) -> Deferred[str]:
        """See IRegistration."""
        return Deferred.fromCoroutine(self._register_on_page(stranger, username, password))

    async def _register_on_page(self, stranger: Stranger, username: str, password: str) -> str:
        key = None
        if stranger.token:
            self._gate.check(stranger.address, stranger.secure, invited=True)
            invites = self.host.query(IInvites)
            key = await invites.check(stranger.token) if invites is not None else None
            if key is None:
                # A guess at a token counts like an attempt to register.
                self._gate.count(stranger.address)
                raise StanzaError("item-not-found", "The invitation is not valid any more.")
        self._gate.check(stranger.address, stranger.secure, key is not None)
        if self._required != ("username", "password"):
            raise StanzaError("not-allowed", "This server asks for more than this page does.")
        local = await self._admit(stranger.address, key, {"username": username, "password": password})
        return f"{local}@{self.host.domain}"

    def check_password(self, password: str) -> None:
        """See IRegistration."""
        self._gate.check_password(password)

    # -- with a token (XEP-0445) -----------------------------------------------------------

    async def _preauthorise(self, stream: IStream, iq: Stanza) -> None:
        """Note the token that a stranger has brought; guesses count like attempts to register."""
        invites, node = self.host.query(IInvites), iq.child(NS_PREAUTH, "preauth")
        if invites is None or node is None:
            raise StanzaError("service-unavailable")
        self._gate.check(stream.address, stream.secure, invited=True)
        self._gate.count(stream.address)
        key = await invites.check(node.getAttribute("token", ""))
        if key is None:
            raise StanzaError("item-not-found", "The provided token is invalid or expired")
        self._invited[stream] = key
        if len(self._invited) > MAX_INVITED:
            del self._invited[next(iter(self._invited))]

    async def _let_in(self, key: str | None, local: str, create: Callable[[], Awaitable[None]]) -> None:
        """Make an account with the token that was brought, or without one."""
        invites = self.host.query(IInvites)
        if await self._is_kept(local, key, invites):
            raise StanzaError("conflict", "The requested username already exists.")
        if invites is None:
            await create()
            return
        await (create() if key is None else invites.register(key, local, create))

    async def _is_kept(self, local: str, key: str | None, invites: Any) -> bool:
        """Tell whether a name waits for somebody else: for whom it is an invitation, or an administrator."""
        if invites is not None and await invites.reserved(local, key):
            return True
        if f"{local}@{self.host.domain}" not in self.host.admins:
            return False
        # Only who was invited under this very name becomes what the configuration says of it.
        return key is None or not await invites.reserved(local, None)

    async def _create(self, local: str, fields: dict[str, str], address: str) -> None:
        try:
            await create_account(self.host, local, fields["password"], address)
        except AccountExists:
            raise StanzaError("conflict", "The requested username already exists.") from None
        except InvalidPassword as error:
            raise StanzaError("not-acceptable", str(error)) from None
        except NotSupported:
            raise StanzaError("not-allowed", "Accounts are not made here") from None
        details = {name: fields[name] for name in self._fields[2:] if fields.get(name)}
        if not details:
            return
        try:
            await self.host.storage.write(Batch().put(self.host.domain, local, KIND, "", details))
        except StorageError:
            await delete_account(self.host, local)
            raise

    # -- after the login (sections 3.2 and 3.3) ---------------------------------------------

    @iq("get", NS_REGISTER, "query", to=(HOST, SELF))
    def registered(self, request: Stanza) -> bytes:
        """Say that there is an account, and whose."""
        parts = (element("registered"), element("username", None, escape(self._asking(request).local)))
        return element("query", NS_REGISTER, b"".join(parts) + element("password"))

    @iq("set", NS_REGISTER, "query", to=(HOST, SELF))
    async def change(self, request: Stanza) -> None:
        """Change the password, or remove the account: that of the sender, whatever the payload says."""
        local = self._asking(request).local
        fields = _read(request)
        try:
            if "remove" in fields:
                await self._remove(request, local, fields)
            else:
                await self._change_password(request, local, fields)
        except (NotSupported, NoSuchAccount):
            # A guest has none, and the application's own are not ours to change.
            raise StanzaError("not-allowed", "This account is not kept here") from None

    async def _remove(self, request: Stanza, local: str, fields: dict[str, str]) -> None:
        if len(fields) > 1:
            raise StanzaError("bad-request", "Nothing stands beside <remove/>")
        await delete_account(self.host, local, by=request.origin)

    async def _change_password(self, request: Stanza, local: str, fields: dict[str, str]) -> None:
        if not fields.get("username") or not fields.get("password"):
            raise StanzaError("bad-request", "A username and a password are needed")
        try:
            same = jid.prepare_local(fields["username"]) == local
        except jid.InvalidJID:
            same = False
        if not same:
            raise StanzaError("bad-request", "That is not your username")
        self._gate.check_password(fields["password"])
        try:
            await set_password(self.host, local, fields["password"], by=request.origin)
        except InvalidPassword as error:
            raise StanzaError("not-acceptable", str(error)) from None

    def _asking(self, request: Stanza) -> jid.JID:
        """Give who asks; only clients of this host have an account here to speak of."""
        sender = request.sender
        if request.origin is None or sender is None or sender.domain != self.host.domain:
            raise StanzaError("not-allowed")
        return sender

    # -- who is told -----------------------------------------------------------------------------

    @on(AccountCreated)
    async def created(self, event: AccountCreated) -> None:
        """Welcome an account that somebody registered, and tell the watchers."""
        if event.address is None:
            return
        words = {"username": event.jid.local, "host": self.host.domain, "ip": event.address}
        welcome = self.settings.welcome_message
        if welcome is not None:
            body, subject = filled(welcome.body, words), filled(welcome.subject, words)
            await say(self.host, event.jid.bare, body, subject)
        for watcher in self.settings.registration_watchers:
            note = filled(self.settings.registration_notification, words)
            await say(self.host, watcher, note, kind="chat")


def _form(chosen: RegisterSettings, names: tuple[str, ...], required: tuple[str, ...]) -> bytes:
    """Give the answer to a stranger's get: plain fields, and the same as a form."""
    form = forms.Form(
        "form",
        chosen.registration_title,
        [chosen.registration_instructions],
        formNamespace=NS_REGISTER,
        fields=[
            forms.Field(
                "text-private" if name == "password" else "text-single",
                name,
                label=name.capitalize(),
                required=name in required,
            )
            for name in names
        ],
    )
    parts = [element("instructions", None, escape(chosen.registration_instructions))]
    parts += [element(name) for name in names]
    return element("query", NS_REGISTER, b"".join(parts) + forms.encode(form))


def _read(request: Stanza) -> dict[str, str]:
    """Give what a request fills in; of a form and plain fields the form counts."""
    query = request.child(NS_REGISTER, "query")
    assert query is not None
    values = forms.read(query, NS_REGISTER)
    if values is None:
        fields = {node.name: str(node) for node in query.elements() if node.uri == NS_REGISTER}
    else:
        fields = {name: found[0] for name, found in values.items() if found}
    if any(len(text) > MAX_FIELD_CHARS for text in fields.values()):
        raise StanzaError("not-acceptable", f"A field has at most {MAX_FIELD_CHARS} characters")
    return fields
