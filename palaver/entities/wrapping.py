"""Stanzas inside stanzas, between a host and a service that acts for it (XEP-0297)."""

from __future__ import annotations

from twisted.words.xish import domish

from palaver.markup import element
from palaver.stanza import NS_CLIENT, NS_COMPONENT, NS_FORWARD, Stanza, from_element


def wrap(name: str, ns: str, stanza: Stanza) -> bytes:
    """Give an element of this name with a stanza forwarded in it."""
    return element(name, ns, element("forwarded", NS_FORWARD, stanza.encode(declare=True)))


def forwarded(stanza: Stanza, ns: str, name: str) -> Stanza | None:
    """Give the one stanza that is forwarded in a child of this name; None when there is none, or another.

    Libraries of components leave it in the namespace of their own stream, which is as good.
    """
    node = stanza.child(ns, name)
    wrapper = next(node.elements(NS_FORWARD, "forwarded"), None) if node is not None else None
    return inside(wrapper, NS_CLIENT, NS_COMPONENT)


def inside(wrapper: domish.Element | None, *namespaces: str) -> Stanza | None:
    """Give the one stanza inside an element, which has to be of one of these namespaces; None without one."""
    children = list(wrapper.elements()) if wrapper is not None else []
    if len(children) != 1 or children[0].uri not in namespaces:
        return None
    return from_element(children[0])
