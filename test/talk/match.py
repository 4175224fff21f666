"""Compare an element with a template of a conversation file; `palaver.test.talk.script` has the rules."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape

from twisted.words.xish import domish

NS_XML = "http://www.w3.org/XML/1998/namespace"

_WORD = re.compile(r"\{([\w.-]+)\}")
OPEN = "..."
# What the server may add to whatever it delivers.
UNASKED = {"to", (NS_XML, "lang")}
ANY = "any"

Words = dict[str, str]


def fill(xml: str, words: Words) -> str:
    """Put what the words stand for into XML that is sent; raises `KeyError` for a word not known yet."""
    return _WORD.sub(lambda found: escape(words[found[1]], {'"': "&quot;", "'": "&apos;"}), xml)


def match(template: domish.Element, element: domish.Element, words: Words) -> Words | None:
    """Give the words after the comparison, new ones among them; None when the two differ."""
    if (template.uri, template.name) != (element.uri, element.name):
        return None
    is_open = any(isinstance(child, str) and child.strip() == OPEN for child in template.children)
    found = _match_attributes(template, element, dict(words), is_open)
    if found is None:
        return None
    wanted = list(template.elements())
    given = list(element.elements())
    if not is_open and len(wanted) != len(given):
        return None
    if not is_open and not wanted and not _bind(_text(template), _text(element), found):
        return None
    return _match_children(wanted, given, found)


def _match_children(wanted: list[domish.Element], given: list[domish.Element], words: Words) -> Words | None:
    for template in wanted:
        for candidate in given:
            found = match(template, candidate, words)
            if found is not None:
                words = found
                given.remove(candidate)
                break
        else:
            return None
    return words


def _match_attributes(
    template: domish.Element, element: domish.Element, words: Words, is_open: bool
) -> Words | None:
    for name, value in template.attributes.items():
        if name not in element.attributes or not _bind(str(value), str(element.attributes[name]), words):
            return None
    more = set(element.attributes) - set(template.attributes) - UNASKED
    return None if more and not is_open else words


def _bind(value: str, given: str, words: Words) -> bool:
    """Compare a value of the template with one that came; a new word is put into ``words``."""
    word = _WORD.fullmatch(value)
    if word is None:
        return _WORD.sub(lambda part: words.get(part[1], part[0]), value) == given
    return word[1] == ANY or words.setdefault(word[1], given) == given


def _text(element: domish.Element) -> str:
    return "".join(child for child in element.children if isinstance(child, str)).strip()
