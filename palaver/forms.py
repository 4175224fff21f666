"""Data forms (XEP-0004) with wokkel's classes, as bytes where this house wants bytes."""

from __future__ import annotations

from twisted.words.xish import domish

import palaver.upstream  # noqa: F401
from palaver.tree import serialize

from wokkel.data_form import Field, Form  # isort: skip

NS_DATA = "jabber:x:data"

__all__ = ("NS_DATA", "Field", "Form", "encode", "read")


def encode(form: Form) -> bytes:
    """Give the form's ``<x/>`` element."""
    return serialize([form.toElement()], "")


def read(node: domish.Element, form_type: str) -> dict[str, list[str]] | None:
    """Give the values by field of the submitted form inside ``node``; None when there is no such form.

    A form without FORM_TYPE counts, since older clients leave it out.
    """
    for form in node.elements(NS_DATA, "x"):
        values = {
            field["var"]: [str(value) for value in field.elements(NS_DATA, "value")]
            for field in form.elements(NS_DATA, "field")
            if field.hasAttribute("var")
        }
        if form.getAttribute("type") == "submit" and values.pop("FORM_TYPE", [form_type]) == [form_type]:
            return values
    return None
