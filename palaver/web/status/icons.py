"""Icons of the states: those of a folder, or discs that are drawn here."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from palaver.web.status.shown import STATES

SIZE = 24
# Points in each direction by which a pixel's cover is found, so that edges are smooth.
SAMPLES = 4
# Icons are shown beside a line of text.
MAX_ICON_BYTES = 256 * 1024
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
RGBA_8_BITS = b"\x08\x06\x00\x00\x00"

GREEN, AMBER, RED, GREY = (46, 160, 67), (217, 140, 16), (207, 34, 46), (128, 134, 142)
Shape = Callable[[float, float], bool]
"""Whether a point belongs to it, in units of the radius around the middle."""


def _disc(x: float, y: float) -> bool:
    return x * x + y * y <= 1


def _ring(x: float, y: float) -> bool:
    return 0.4 <= x * x + y * y <= 1


def _barred(x: float, y: float) -> bool:
    return _disc(x, y) and not (abs(x) <= 0.6 and abs(y) <= 0.18)


def _crescent(x: float, y: float) -> bool:
    return _disc(x, y) and (x - 0.45) ** 2 + (y + 0.45) ** 2 > 0.65


def _dotted(x: float, y: float) -> bool:
    return _disc(x, y) and x * x + y * y > 0.09


# Told apart by their shapes as well: not everybody sees these colours.
DRAWN: Mapping[str, tuple[Shape, tuple[int, int, int]]] = {
    "online": (_disc, GREEN),
    "chat": (_dotted, GREEN),
    "away": (_crescent, AMBER),
    "xa": (_crescent, GREY),
    "dnd": (_barred, RED),
    "offline": (_ring, GREY),
}


def file_name(state: str) -> str:
    """Give the name of a state's file in a folder."""
    return f"status_{state}.png"


def missing(folder: Path) -> list[str]:
    """Give the names of the files that a folder lacks, and of those that are too large."""
    files = [folder / file_name(state) for state in STATES]
    return [file.name for file in files if not file.is_file() or file.stat().st_size > MAX_ICON_BYTES]


def icons(folder: Path | None) -> dict[str, bytes]:
    """Give the icons by state as PNG. Raises OSError when those of a folder cannot be read."""
    if folder is None:
        return {state: draw(state) for state in STATES}
    return {state: (folder / file_name(state)).read_bytes() for state in STATES}


@cache
def draw(state: str) -> bytes:
    """Give the icon of a state."""
    shape, colour = DRAWN[state]
    lines = (
        b"\0" + b"".join(bytes((*colour, _cover(shape, x, y))) for x in range(SIZE)) for y in range(SIZE)
    )
    head = struct.pack(">II", SIZE, SIZE) + RGBA_8_BITS
    pixels = zlib.compress(b"".join(lines), 9)
    return PNG_SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _cover(shape: Shape, x: int, y: int) -> int:
    """Give how much of a pixel a shape covers, 0 to 255."""
    radius = SIZE / 2 - 1
    steps = [(number + 0.5) / SAMPLES for number in range(SAMPLES)]
    hits = sum(
        shape((x + right - SIZE / 2) / radius, (y + down - SIZE / 2) / radius)
        for right in steps
        for down in steps
    )
    return hits * 255 // (SAMPLES * SAMPLES)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
