"""The service that finds people by their vCards (XEP-0055), on a domain of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from palaver import forms, rsm
from palaver.errors import StanzaError
from palaver.interfaces import IService
from palaver.jid import JID
from palaver.markup import element, escape
from palaver.routing.disco import NS_INFO, NS_ITEMS, info
from palaver.routing.failures import failed
from palaver.routing.iqs import check_request
from palaver.stanza import Stanza
from palaver.vcards.fields import FIELDS, WILDCARD
from palaver.vcards.photo import NS_VCARD
from palaver.vcards.stored import vcards

if TYPE_CHECKING:
    from palaver.routing.host import Host

NS_SEARCH = "jabber:iq:search"
MODULE = "mod_vcard"
INSTRUCTIONS = "You need an x:data capable client to search"

Found = list[tuple[str, dict[str, str]]]
Answerer = Callable[[Stanza], Awaitable[bytes]]


@implementer(IService)
class Directory:
    """Answers searches among the accounts of a host."""

    def __init__(self, host: Host, domain: str, matches: int, local_only: bool) -> None:
        """Find at most ``matches`` people; ``local_only`` refuses whoever has no account here."""
        self.domain = domain
        self.name = "vCard User Search"
        self._host = host
        self._matches = matches
        self._local_only = local_only
        self._iqs: dict[tuple[str, str, str], Answerer] = {
            ("get", NS_INFO, "query"): self._info,
            ("get", NS_ITEMS, "query"): self._items,
            ("get", NS_VCARD, "vCard"): self._card,
            ("get", NS_SEARCH, "query"): self._form,
            ("set", NS_SEARCH, "query"): self._search,
        }

    def deliver(self, stanza: Stanza, to: JID) -> Deferred[Any] | None:
        """See IService; only IQs mean something here."""
        if stanza.name == "message":
            return self._host.router.bounce(stanza, StanzaError("service-unavailable"))
        if stanza.name != "iq" or stanza.type in ("result", "error"):
            return None
        wrong = check_request(stanza)
        if wrong is not None:
            return self._host.router.bounce(stanza, wrong)
        answerer = self._iqs.get((str(stanza.type), *stanza.children[0]))
        if answerer is None or to.local or to.resource:
            return self._host.router.bounce(stanza, StanzaError("service-unavailable"))
        return Deferred.fromCoroutine(self._answer(stanza, answerer))

    async def _answer(self, iq: Stanza, answerer: Answerer) -> None:
        try:
            answer = iq.result(await answerer(iq))
        except Exception:
            self._host.router.bounce(iq, failed(MODULE, Failure()))
            return
        waiting = self._host.router.reply(iq, answer)
        if waiting is not None:
            await waiting

    # -- what it is -----------------------------------------------------------------------

    async def _info(self, iq: Stanza) -> bytes:
        _refuse_node(iq, NS_INFO)
        return info([("directory", "user", self.name)], [NS_INFO, NS_ITEMS, NS_SEARCH, NS_VCARD, rsm.NS_RSM])

    async def _items(self, iq: Stanza) -> bytes:
        _refuse_node(iq, NS_ITEMS)
        return element("query", NS_ITEMS)

    async def _card(self, iq: Stanza) -> bytes:
        return element("vCard", NS_VCARD, element("FN", None, escape(f"Palaver/{MODULE}")))

    # -- searches ---------------------------------------------------------------------------

    async def _form(self, iq: Stanza) -> bytes:
        """Give the form to fill in (XEP-0055 section 2.1)."""
        self._check(iq)
        fields = [forms.Field("text-single", field.var, label=field.label) for field in FIELDS]
        form = forms.Form(
            "form",
            f"Search users in {self.domain}",
            [f"Fill in the form to search for people. An {WILDCARD} at the end stands for anything."],
            formNamespace=NS_SEARCH,
            fields=fields,
        )
        inner = element("instructions", None, escape(INSTRUCTIONS)) + forms.encode(form)
        return element("query", NS_SEARCH, inner)

    async def _search(self, iq: Stanza) -> bytes:
        """Give who matches a form (XEP-0055 section 2.2), by pages when that is asked for (XEP-0059)."""
        self._check(iq)
        query = iq.child(NS_SEARCH, "query")
        assert query is not None
        given = forms.read(query, NS_SEARCH)
        if given is None:
            raise StanzaError("bad-request", "A search is a filled-in form")
        asked = rsm.read(query)
        criteria = {var: texts[0] for var, texts in given.items() if texts}
        found: Found = sorted(await vcards(self._host).search(criteria, self._matches))
        page, place = _page(found, asked)
        inner = self._results(page)
        if asked is not rsm.ANY_PAGE:
            if page:
                inner += rsm.encode(page[0][0], page[-1][0], len(found), place)
            else:
                inner += rsm.encode(count=len(found))
        return element("query", NS_SEARCH, inner)

    def _results(self, found: Found) -> bytes:
        title = element("title", None, escape(f"Search Results for {self.domain}"))
        parts = [title, _value("FORM_TYPE", NS_SEARCH, type="hidden")]
        reported = [element("field", None, var="jid", type="jid-single", label="Jabber ID")]
        reported += [
            element("field", None, var=field.var, type="text-single", label=field.label) for field in FIELDS
        ]
        parts.append(element("reported", None, b"".join(reported)))
        parts += [self._item(local, values) for local, values in found]
        return element("x", forms.NS_DATA, b"".join(parts), type="result")

    def _item(self, local: str, values: dict[str, str]) -> bytes:
        cells = [_value("jid", f"{local}@{self._host.domain}")]
        cells += [_value(field.var, values.get(field.var, "")) for field in FIELDS]
        return element("item", None, b"".join(cells))

    def _check(self, iq: Stanza) -> None:
        sender = iq.sender
        if self._local_only and (sender is None or sender.domain != self._host.domain):
            raise StanzaError("forbidden", "Only accounts of this server may search")


def _page(found: Found, asked: rsm.PageRequest) -> tuple[Found, int]:
    """Give the page that is asked for, and where it begins. Raises StanzaError: no such item."""
    places = {local: number for number, (local, _) in enumerate(found)}
    first, end = 0, len(found)
    try:
        if asked.after is not None:
            first = places[asked.after] + 1
        if asked.before is not None:
            end = places[asked.before]
    except KeyError:
        raise StanzaError("item-not-found", "There is no such result") from None
    if asked.max is not None:
        if asked.backwards:
            first = max(first, end - asked.max)
        else:
            end = min(end, first + asked.max)
    return found[first:end], first


def _value(var: str, text: str, type: str | None = None) -> bytes:
    return element("field", None, element("value", None, escape(text)), var=var, type=type)


def _refuse_node(iq: Stanza, ns: str) -> None:
    query = iq.child(ns, "query")
    if query is not None and query.getAttribute("node"):
        raise StanzaError("item-not-found", "Node does not exist")
