"""What every backend does alike: values to JSON text and back, and texts to the words that searches find."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from typing import cast

from palaver.storage import Json

_WORD = re.compile(r"[^\W_]+")
# The combining accents that SQLite's unicode61 tokenizer drops; other marks separate words there and here.
_ACCENT = re.compile("[\u0300-\u0331]")

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_decode = json.JSONDecoder().decode


def encode_value(value: Json) -> str:
    """Give a document's value as ASCII JSON; raises `TypeError` or `ValueError` when it is not JSON."""
    return _encode(value)


def decode_value(text: str) -> Json:
    """Give the value that `encode_value` wrote."""
    return cast(Json, _decode(text))


def decode_values(texts: Iterable[str]) -> list[Json]:
    """Give the values of many texts; half as dear as one by one."""
    return cast(list[Json], _decode(f"[{','.join(texts)}]"))


def words(text: str) -> list[str]:
    """Give the words of a text as searches compare them: lower case, without accents."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", _ACCENT.sub("", unicodedata.normalize("NFD", text)))
    return _WORD.findall(text.lower())
