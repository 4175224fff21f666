"""A disco#info answer as a value, and its hashes after XEP-0115 and XEP-0390."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from twisted.words.xish import domish

from palaver.parsing import NS_XML

NS_INFO = "http://jabber.org/protocol/disco#info"
NS_CAPS = "http://jabber.org/protocol/caps"
NS_ECAPS2 = "urn:xmpp:caps"
NS_HASHES = "urn:xmpp:hashes:2"
NS_DATA = "jabber:x:data"

# The names of XEP-0300, without MD5.
ALGORITHMS: dict[str, Callable[[bytes], Any]] = {
    "sha-1": hashlib.sha1,
    "sha-224": hashlib.sha224,
    "sha-256": hashlib.sha256,
    "sha-384": hashlib.sha384,
    "sha-512": hashlib.sha512,
    "sha3-256": hashlib.sha3_256,
    "sha3-512": hashlib.sha3_512,
    "blake2b-256": partial(hashlib.blake2b, digest_size=32),
    "blake2b-512": hashlib.blake2b,
}

# XEP-0115 strings all parts together, so that one of another kind can pass for a feature. It cannot
# when forms are of these kinds (XEP-0232, 0157) and features look like none of it and like no identity.
KNOWN_FORMS = frozenset(("urn:xmpp:dataforms:softwareinfo", "http://jabber.org/network/serverinfo"))
_WORD = re.compile(r"[A-Za-z0-9_.-]+\Z")
_LIKE_IDENTITY = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+/")

Identity = tuple[str, str, str, str]
"""category, type, language, name."""


class FormValues(NamedTuple):
    """A form: its FORM_TYPE (None without one that is hidden and single), and every field with its values."""

    type: str | None
    fields: tuple[tuple[str, tuple[str, ...]], ...]


class Information(NamedTuple):
    """What a disco#info result says.

    ``regular`` is False when it holds more than identities, features and plain forms with their types.
    """

    identities: tuple[Identity, ...]
    features: tuple[str, ...]
    forms: tuple[FormValues, ...] = ()
    regular: bool = True


def read(query: domish.Element) -> Information:
    """Read a result's ``<query/>``; whatever is missing counts as empty."""
    language = query.getAttribute((NS_XML, "lang"), "")
    identities, features, forms = [], [], []
    regular = True
    for node in query.elements():
        if (node.uri, node.name) == (NS_INFO, "identity"):
            kind = node.getAttribute("category", ""), node.getAttribute("type", "")
            spoken = node.getAttribute((NS_XML, "lang"), language)
            identities.append((*kind, spoken, node.getAttribute("name", "")))
        elif (node.uri, node.name) == (NS_INFO, "feature"):
            features.append(node.getAttribute("var", ""))
        elif (node.uri, node.name) == (NS_DATA, "x"):
            forms.append(read_form(node))
            regular = regular and forms[-1].type is not None and _is_plain(node)
        else:
            regular = False
    return Information(tuple(identities), tuple(features), tuple(forms), regular)


def read_form(node: domish.Element) -> FormValues:
    """Read a form."""
    kinds: set[str] = set()
    fields = []
    for field in node.elements(NS_DATA, "field"):
        values = tuple(str(value) for value in field.elements(NS_DATA, "value"))
        var = field.getAttribute("var", "")
        fields.append((var, values))
        if var == "FORM_TYPE" and field.getAttribute("type") == "hidden":
            kinds.update(values)
    return FormValues(kinds.pop() if len(kinds) == 1 else None, tuple(fields))


def _is_plain(node: domish.Element) -> bool:
    return not any(child.name in ("reported", "item") for child in node.elements())


# -- hashes -----------------------------------------------------------------------------------


def digest(information: Information, protocol: str, algorithm: str) -> str:
    """Give the hash in Base64; ``protocol`` is NS_CAPS or NS_ECAPS2, ``algorithm`` one of `ALGORITHMS`."""
    text = _caps_text(information) if protocol == NS_CAPS else _ecaps2_text(information)
    return base64.b64encode(ALGORITHMS[algorithm](text.encode()).digest()).decode()


def _caps_text(information: Information) -> str:
    """Give the verification string (XEP-0115 section 5.1); forms without a type do not count."""
    parts = ["/".join(identity) for identity in sorted(information.identities)]
    parts += sorted(set(information.features))
    forms = sorted((form.type, form.fields) for form in information.forms if form.type is not None)
    for kind, fields in forms:
        parts.append(kind)
        for var, values in sorted(fields):
            if var != "FORM_TYPE":
                parts += [var, *sorted(values)]
    return "".join([f"{part}<" for part in parts])


def _ecaps2_text(information: Information) -> str:
    """Give the input of the hash function (XEP-0390 section 4.1)."""
    features = "".join(sorted(f"{feature}\x1f" for feature in information.features))
    identities = "".join(
        sorted("".join(f"{part}\x1f" for part in identity) + "\x1e" for identity in information.identities)
    )
    forms = "".join(sorted(_ecaps2_form(form) for form in information.forms))
    return f"{features}\x1c{identities}\x1c{forms}\x1c"


def _ecaps2_form(form: FormValues) -> str:
    fields = (
        f"{var}\x1f" + "".join(sorted(f"{value}\x1f" for value in values)) + "\x1e"
        for var, values in form.fields
    )
    return "".join(sorted(fields)) + "\x1d"


# -- whether to believe them --------------------------------------------------------------------


def proves(information: Information, protocol: str, algorithm: str, value: str) -> bool:
    """Tell whether this is what a hash stands for, and nothing else can be: others may rely on it."""
    sound = _is_unambiguous(information) if protocol == NS_CAPS else information.regular
    return sound and hmac.compare_digest(digest(information, protocol, algorithm).encode(), value.encode())


def _is_unambiguous(information: Information) -> bool:
    """Tell whether the verification string can be read in one way only (XEP-0115 sections 5.4 and 7)."""
    identities, features = information.identities, information.features
    kinds = [form.type for form in information.forms if form.type is not None]
    if any(len(set(given)) != len(given) for given in (identities, features, kinds)):
        return False
    if not KNOWN_FORMS.issuperset(kinds) or not KNOWN_FORMS.isdisjoint(features):
        return False
    if "<" in "".join(["".join(identity) for identity in identities] + list(features)):
        return False
    if not all(
        _WORD.match(kind) and _WORD.match(type) and "/" not in lang for kind, type, lang, _ in identities
    ):
        return False
    return not any(_LIKE_IDENTITY.match(feature) for feature in features)
