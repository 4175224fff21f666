"""WebSocket frames (RFC 6455 section 5.2) of the kind that a client sends all day, read in one go.

A short text that is masked, not cut, and here as a whole is read without a state machine. All else, and
whatever is against the rules, is for the websockets library, which must get each such frame whole.
"""

from __future__ import annotations

# In C where that could be built; nowhere else is the choice made.
from websockets.frames import apply_mask  # type: ignore[attr-defined]

# Final, of the type text, and without a reserved bit.
_TEXT = 0x81
_MASKED = 0x80
_MASK_BYTES = 4
_TWO_BYTES = 126
_EIGHT_BYTES = 127
# What any short frame begins with: two bytes, two of the length if need be, the mask.
_HEAD_BYTES = 8


def texts(data: bytes, at: int, limit: int) -> tuple[list[bytes], int]:
    """Read texts of at most ``limit`` bytes from a place in ``data`` on.

    Gives them, and the place of the first frame that is another one, is not here as a whole, or not masked.
    """
    found: list[bytes] = []
    size = len(data)
    while size - at >= _HEAD_BYTES and data[at] == _TEXT:
        length = data[at + 1] - _MASKED
        if length < 0:
            break
        begin = at + 2 + _MASK_BYTES
        if length >= _TWO_BYTES:
            if length == _EIGHT_BYTES:
                break
            length = data[at + 2] << 8 | data[at + 3]
            begin += 2
        end = begin + length
        if end > size or length > limit:
            break
        found.append(apply_mask(data[begin:end], data[begin - _MASK_BYTES : begin]))
        at = end
    return found, at


def frame_bytes(data: bytes, at: int) -> int | None:
    """Give how long the frame at a place is, with its head; None when too little of that is here."""
    left = len(data) - at
    if left < 2:
        return None
    second = data[at + 1]
    length = second & ~_MASKED
    head = 2 + (_MASK_BYTES if second & _MASKED else 0)
    if length < _TWO_BYTES:
        return head + length
    more = 2 if length == _TWO_BYTES else 8
    if left < 2 + more:
        return None
    return head + more + int.from_bytes(data[at + 2 : at + 2 + more], "big")


def header(size: int) -> bytes:
    """Give what stands before a text of the server's, which is neither masked nor cut."""
    if size < _TWO_BYTES:
        return b"\x81%c" % size
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")
