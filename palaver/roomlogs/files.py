"""Where the pages of rooms lie, and the thread that writes them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from twisted.internet.defer import Deferred

from palaver.log import Log

log = Log("rooms")

# Most file systems end a name at 255 bytes.
MAX_NAME_CHARS = 200
# Bytes that wait for a disk that does not answer; what comes then is not in the pages.
MAX_WAITING_BYTES = 16 * 2**20
# A piece takes that much memory beside its data.
PIECE_BYTES = 200


class Piece(NamedTuple):
    """Something for a page: ``begins`` gives what a new file begins with; b"" for nothing."""

    path: Path
    begins: bytes
    data: bytes
    before: Path | None = None
    ends: bytes = b""


InThread = Callable[[Callable[[list[Piece]], None], list[Piece]], "Deferred[None]"]


def folder_name(name: str) -> str:
    """Give a room's name as that of one folder: it never leads elsewhere, and two rooms never share one."""
    quoted = quote(name, safe="@")
    if quoted.startswith("."):
        quoted = f"%2E{quoted[1:]}"
    if len(quoted) <= MAX_NAME_CHARS:
        return quoted
    # "%" never stands before a letter that is no hexadecimal digit in what was quoted.
    return f"%x{hashlib.sha256(name.encode()).hexdigest()}"


class Layout(NamedTuple):
    """How pages lie in ``root``: a folder for each room, in it years and months when ``nested``."""

    root: Path
    nested: bool
    suffix: str

    def path(self, room: str, day: date) -> Path:
        """Give the file of a day."""
        folder = self.root / folder_name(room)
        if self.nested:
            return folder / f"{day:%Y}" / f"{day:%m}" / f"{day:%d}.{self.suffix}"
        return folder / f"{day.isoformat()}.{self.suffix}"

    def link(self, day: date, days: int) -> str:
        """Give the address of another day's page, as seen from that of ``day``."""
        other = day + timedelta(days=days)
        if self.nested:
            return f"../../{other:%Y}/{other:%m}/{other:%d}.{self.suffix}"
        return f"{other.isoformat()}.{self.suffix}"


class Writer:
    """Puts pieces into files, in order, by one job in a thread at a time."""

    def __init__(self, in_thread: InThread) -> None:
        """``in_thread`` runs `write` with its argument."""
        self._in_thread = in_thread
        self._waiting: list[Piece] = []
        self._bytes = 0
        self._lost = 0
        self._writing: Deferred[Any] | None = None

    def add(self, piece: Piece) -> None:
        """Take a piece for the next `flush`."""
        size = PIECE_BYTES + len(piece.begins) + len(piece.data)
        if self._bytes + size > MAX_WAITING_BYTES:
            self._lost += 1
            return
        self._bytes += size
        self._waiting.append(piece)

    def flush(self) -> Deferred[Any] | None:
        """Begin to write what there is, unless that is under way; never fails."""
        if self._writing is not None or not self._waiting:
            return self._writing
        pieces, self._waiting, self._bytes = self._waiting, [], 0
        if self._lost:
            log.warn("room-log-lines-lost", lines=self._lost)
            self._lost = 0
        writing = self._in_thread(write, pieces)
        self._writing = writing
        writing.addErrback(
            lambda failure: log.error("room-log-not-written", reason=failure.getErrorMessage())
        )
        writing.addBoth(self._written)
        return self._writing

    def _written(self, result: object) -> None:
        self._writing = None

    async def close(self) -> None:
        """Write all that is left."""
        while (writing := self.flush()) is not None or self._waiting:
            if writing is not None:
                done: Deferred[None] = Deferred()
                writing.addBoth(_tell, done)
                await done


def _tell(result: object, done: Deferred[None]) -> None:
    done.callback(None)


def write(pieces: list[Piece]) -> None:
    """Append pieces to their files, each file opened once. Raises OSError; runs in a thread."""
    by_path: dict[Path, list[Piece]] = {}
    for piece in pieces:
        by_path.setdefault(piece.path, []).append(piece)
    for path, parts in by_path.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            if file.tell() == 0:
                file.write(parts[0].begins)
                _end(parts[0])
            file.write(b"".join(part.data for part in parts))


def _end(piece: Piece) -> None:
    """Close the page before, when there is one that is not closed."""
    before = piece.before
    if not piece.ends or before is None or not before.exists():
        return
    with before.open("rb+") as file:
        size = file.seek(0, 2)
        file.seek(max(size - len(piece.ends), 0))
        if file.read() != piece.ends:
            file.write(piece.ends)
