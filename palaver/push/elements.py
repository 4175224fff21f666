"""What is said about push notifications in XML (XEP-0357): requests read, publications written."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.words.xish import domish

from palaver import jid
from palaver.errors import StanzaError
from palaver.forms import NS_DATA
from palaver.jid import JID, InvalidJID
from palaver.markup import element, escape
from palaver.pubsub.conditions import NS_PUBLISH_OPTIONS, NS_PUBSUB
from palaver.push.registrations import Options

NS_PUSH = "urn:xmpp:push:0"
NS_SUMMARY = "urn:xmpp:push:summary"

# Node names are often made of device tokens, which have a few hundred characters.
MAX_NODE_CHARS = 1023
# What one registration may hold of a client's options; all of it is sent with each notification.
MAX_OPTIONS = 32
MAX_OPTIONS_CHARS = 8192

Summary = dict[str, str]
"""The fields of the summary form, by name."""


def read_service(node: domish.Element) -> JID:
    """Give the JID of the service that a request is about. Raises StanzaError."""
    try:
        return jid.parse(node.getAttribute("jid") or "")
    except InvalidJID as error:
        raise StanzaError("bad-request", f"This needs the jid of a push service: {error}") from None


def read_node(node: domish.Element) -> str | None:
    """Give the name of the node that a request is about; None without one. Raises StanzaError."""
    name: str | None = node.getAttribute("node")
    if name is not None and not 0 < len(name) <= MAX_NODE_CHARS:
        raise StanzaError("bad-request", f"A node's name has 1 to {MAX_NODE_CHARS} characters")
    return name


def read_options(enable: domish.Element) -> Options:
    """Give what a client wants published with each notification (section 5). Raises StanzaError."""
    children = list(enable.elements())
    if not children:
        return {}
    form = children[0]
    if len(children) > 1 or (form.uri, form.name) != (NS_DATA, "x"):
        raise StanzaError("bad-request", "This takes one data form and nothing else")
    if form.getAttribute("type", "submit") != "submit":
        raise StanzaError("bad-request", "The form has to be submitted")
    found: Options = {}
    for field in form.elements(NS_DATA, "field"):
        if name := field.getAttribute("var"):
            found[name] = [str(value) for value in field.elements(NS_DATA, "value")]
    if found.pop("FORM_TYPE", None) != [NS_PUBLISH_OPTIONS]:
        raise StanzaError("bad-request", f"The form has the FORM_TYPE {NS_PUBLISH_OPTIONS}")
    size = sum(len(name) + sum(map(len, texts)) for name, texts in found.items())
    if len(found) > MAX_OPTIONS or size > MAX_OPTIONS_CHARS:
        raise StanzaError("not-acceptable", "There are too many options, or they are too long")
    return found


def publication(node: str, summary: Summary, options: Options) -> bytes:
    """Give the request that publishes a notification (section 7)."""
    fields = {name: [text] for name, text in summary.items()}
    notification = element("notification", NS_PUSH, _form(NS_SUMMARY, fields))
    inner = element("publish", None, element("item", None, notification), node=node)
    if options:
        inner += element("publish-options", None, _form(NS_PUBLISH_OPTIONS, options))
    return element("pubsub", NS_PUBSUB, inner)


def read_summary(notification: domish.Element) -> Summary:
    """Give the summary of a notification that somebody has published; empty when there is none."""
    for form in notification.elements(NS_DATA, "x"):
        values = {
            field.getAttribute("var", ""): str(next(field.elements(NS_DATA, "value"), ""))
            for field in form.elements(NS_DATA, "field")
        }
        if values.pop("FORM_TYPE", None) == NS_SUMMARY:
            return values
    return {}


def _form(form_type: str, fields: Mapping[str, list[str]]) -> bytes:
    inner = b"".join([_field(name, texts) for name, texts in fields.items()])
    return element("x", NS_DATA, _field("FORM_TYPE", [form_type]) + inner, type="submit")


def _field(name: str, texts: list[str]) -> bytes:
    values = [element("value", None, escape(text)) for text in texts]
    return element("field", None, b"".join(values), var=name)
