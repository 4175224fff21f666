"""Requests (XEP-0060), read by Wokkel's PubSubRequest and by what it lacks.

Wokkel knows neither publish options, RSM, redirects, notify on retract, an owner's changes of subscriptions
nor the subscribers' defaults. Its JIDs are not used: it keeps each one that it has ever seen.
"""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.words.protocols.jabber.error import StanzaError as WordsError
from twisted.words.xish import domish

import palaver.upstream  # noqa: F401
from palaver import forms, jid, rsm
from palaver.errors import StanzaError
from palaver.jid import JID, InvalidJID
from palaver.pubsub.conditions import (
    NS_NODE_CONFIG,
    NS_OWNER,
    NS_PUBLISH_OPTIONS,
    NS_PUBSUB,
    NS_SUBSCRIBE_OPTIONS,
    refusal,
)
from palaver.stanza import Stanza

from wokkel.pubsub import PubSubRequest  # isort: skip

_TRUE = ("1", "true")
# One request changes no more than this; a longer list is sent in pieces.
MAX_CHANGES = 1000

Texts = dict[str, list[str]]


class Request(PubSubRequest):
    """One request, with more attributes than those of PubSubRequest.

    ``sender``          a palaver.jid.JID
    ``subscriber``      likewise, as ``jid`` says
    ``configuration``, ``preconditions``, ``choices``
                        the submitted form for a node, the publish options, the options of a subscription:
                        texts by name; None when there is none. ``cancelled`` when the form says so
    ``notify``          of a retraction
    ``redirect``        where a deleted node has gone, or None
    ``page``            palaver.rsm.PageRequest
    ``changes``         (JID, affiliation) of an owner's request; with the subid as third, for subscriptions
    ``kind``            the type of node that is to be made, or None
    ``association``     "associate" or "dissociate", and the node that is put into a collection or taken out
    """

    _requestVerbMap: ClassVar[dict[tuple[str, str, str], str]] = {
        **PubSubRequest._requestVerbMap,
        ("get", NS_PUBSUB, "default"): "defaultOptions",
        ("set", NS_OWNER, "collection"): "associate",
    }
    _parameters: ClassVar[dict[str, list[str]]] = {
        **PubSubRequest._parameters,
        "publish": ["node", "items", "preconditions"],
        "items": ["node", "maxItems", "itemIdentifiers", "subidOrNone", "page"],
        "retract": ["node", "itemIdentifiers", "notify"],
        "delete": ["node", "redirect"],
        "create": ["nodeOrNone", "configureOrNone", "kind"],
        "configureGet": ["node"],
        "configureSet": ["node", "configure"],
        "affiliationsGet": ["node"],
        "affiliationsSet": ["node", "affiliations"],
        "subscriptionsGet": ["node"],
        "subscriptionsSet": ["node", "subscriptions"],
        "subscriptions": ["nodeOrNone"],
        "affiliations": ["nodeOrNone"],
        "default": ["default", "kind"],
        "defaultOptions": ["nodeOrNone"],
        "associate": ["node", "association"],
    }

    configuration: Texts | None = None
    preconditions: Texts | None = None
    choices: Texts | None = None
    cancelled = False
    notify = False
    redirect: str | None = None
    page = rsm.ANY_PAGE
    kind: str | None = None
    association = ("", "")

    def __init__(self, iq: Stanza) -> None:
        """Read a request. Raises StanzaError."""
        super().__init__()
        sender = iq.sender
        assert sender is not None
        self.sender: JID = sender
        self.changes: list[tuple[JID, str, str | None]] = []
        pubsub = next(iq.element.elements())
        try:
            self._read(str(iq.type), pubsub)
        except WordsError as error:
            raise _translated(error) from None
        if self.nodeIdentifier is not None and len(self.nodeIdentifier) > 1023:
            raise StanzaError("not-acceptable", "A node's name is too long")

    def _read(self, type: str, pubsub: domish.Element) -> None:
        found = [
            (self._requestVerbMap[key], child)
            for child in pubsub.elements()
            if (key := (type, child.uri, child.name)) in self._requestVerbMap
        ]
        # A subscription may come with its options, which are a verb of their own.
        main = [pair for pair in found if pair[0] != "optionsSet"] or found
        if not main:
            raise StanzaError("feature-not-implemented", "There is no such request")
        if len(main) > 1:
            raise StanzaError("bad-request", "One request at a time")
        self.verb, node = main[0]
        for parameter in self._parameters[self.verb]:
            getattr(self, f"_parse_{parameter}")(node)

    # -- what Wokkel reads otherwise -----------------------------------------------------

    def _parse_jid(self, node: domish.Element) -> None:
        self.subscriber = _jid(node, refusal("bad-request", "jid-required"))

    def _parse_itemIdentifiers(self, node: domish.Element) -> None:
        try:
            super()._parse_itemIdentifiers(node)
        except WordsError:
            # Section 7.2.3.4 has a condition for what cannot be taken away without a name.
            raise refusal("bad-request", "item-required", "An item is named by its id") from None

    def _parse_affiliations(self, node: domish.Element) -> None:
        self._parse_changes(node, "affiliation")

    def _parse_subscriptions(self, node: domish.Element) -> None:
        self._parse_changes(node, "subscription")

    def _parse_changes(self, node: domish.Element, name: str) -> None:
        for child in node.elements(NS_OWNER, name):
            who = _jid(child, StanzaError("bad-request", "There is no jid"))
            # What is not named is not changed (sections 8.8.2.1, 8.9.2.1).
            if child.hasAttribute(name):
                self.changes.append((who, child[name], child.getAttribute("subid")))
        if len(self.changes) > MAX_CHANGES:
            raise StanzaError("not-acceptable", f"At most {MAX_CHANGES} changes at once")

    def _parse_default(self, node: domish.Element) -> None:
        super()._parse_default(node)
        if self.nodeType not in ("leaf", "collection"):
            raise StanzaError("not-acceptable", "A node is a leaf or a collection")

    def _parse_configure(self, node: domish.Element) -> None:
        self.configuration = self._form(node, NS_NODE_CONFIG)

    def _parse_configureOrNone(self, node: domish.Element) -> None:
        beside = next(_around(node).elements(NS_PUBSUB, "configure"), None)
        if beside is not None and next(beside.elements(), None) is not None:
            self.configuration = self._form(beside, NS_NODE_CONFIG)

    def _parse_options(self, node: domish.Element) -> None:
        self.choices = self._form(node, NS_SUBSCRIBE_OPTIONS)

    def _parse_optionsWithSubscribe(self, node: domish.Element) -> None:
        beside = next(_around(node).elements(NS_PUBSUB, "options"), None)
        if beside is not None and next(beside.elements(), None) is not None:
            self.choices = self._form(beside, NS_SUBSCRIBE_OPTIONS)

    # -- what Wokkel does not read -----------------------------------------------------

    def _parse_preconditions(self, node: domish.Element) -> None:
        beside = next(_around(node).elements(NS_PUBSUB, "publish-options"), None)
        if beside is not None:
            self.preconditions = self._form(beside, NS_PUBLISH_OPTIONS)
        if len(self.items) > 1:
            # Batches are long out of the standard (version 1.13).
            raise StanzaError("bad-request", "One item at a time")

    def _parse_notify(self, node: domish.Element) -> None:
        self.notify = node.getAttribute("notify", "") in _TRUE
        if not self.itemIdentifiers:
            raise refusal("bad-request", "item-required")

    def _parse_redirect(self, node: domish.Element) -> None:
        inside = next(node.elements(NS_OWNER, "redirect"), None)
        self.redirect = inside.getAttribute("uri") if inside is not None else None

    def _parse_page(self, node: domish.Element) -> None:
        # XEP-0060 section 6.5.4 has the <set/> beside <items/>.
        self.page = rsm.read(_around(node))
        if self.maxItems is not None and self.maxItems < 1:
            raise StanzaError("bad-request", "max_items is a number above 0")

    def _parse_kind(self, node: domish.Element) -> None:
        self.kind = node.getAttribute("type") or None

    def _parse_association(self, node: domish.Element) -> None:
        found = [
            (child.name, child.getAttribute("node", ""))
            for child in node.elements()
            if child.uri == NS_OWNER and child.name in ("associate", "dissociate")
        ]
        if len(found) != 1 or not found[0][1]:
            raise StanzaError("bad-request", "This takes one node to associate or to dissociate")
        self.association = found[0]

    def _form(self, node: domish.Element, form_type: str) -> Texts:
        """Give the values of the form inside; raises `StanzaError` when it is not there, or another one."""
        form = next(node.elements(forms.NS_DATA, "x"), None)
        if form is not None and form.getAttribute("type") == "cancel":
            self.cancelled = True
            return {}
        values = forms.read(node, form_type)
        if values is None:
            raise StanzaError("bad-request", f"This takes a submitted form with FORM_TYPE {form_type}")
        return values


def _around(node: domish.Element) -> domish.Element:
    """Give the ``<pubsub/>`` around an element of a request."""
    parent: domish.Element | None = node.parent
    assert parent is not None
    return parent


def _jid(node: domish.Element, missing: StanzaError) -> JID:
    text: Any = node.getAttribute("jid")
    if not text:
        raise missing
    try:
        return jid.parse(text)
    except InvalidJID as error:
        raise refusal("bad-request", "invalid-jid", str(error)) from None


def _translated(error: WordsError) -> StanzaError:
    """Give an error of Wokkel's as one of ours."""
    condition: Any = error.appCondition
    if condition is not None:
        return refusal(error.condition, condition.name, error.text)
    return StanzaError(error.condition, error.text)
