"""One thing that happened in a room, as a line of HTML, text or JSON."""

from __future__ import annotations

import html
import json
import re
from datetime import datetime
from typing import NamedTuple

# Ends before what closes a sentence or a bracket.
_LINK = re.compile(r"(?:https?://|xmpp:|mailto:)[^\s<>\"']*[^\s<>\"'.,;:!?)\]]", re.IGNORECASE)


# As wide as the time.
_INDENT = f"\n{' ' * 11}"


class Line(NamedTuple):
    """What happened; ``nick`` is whose it is, "" for the room itself.

    ``kind`` is message, action, subject, join, leave, kick, ban, nick, config or room; ``text`` is
    what was said, or what is told behind the nick.
    """

    at: datetime
    kind: str
    nick: str
    text: str

    @property
    def clock(self) -> str:
        """The time of day."""
        return self.at.strftime("%H:%M:%S")

    @property
    def anchor(self) -> str:
        """What a link to the line ends with."""
        return self.at.strftime("%H:%M:%S.%f")


# As MongooseIM's pages name them, so that its style sheets fit.
CLASSES = {
    "message": "mn",
    "action": "mne",
    "subject": "msc",
    "join": "mj",
    "leave": "ml",
    "kick": "mk",
    "ban": "mb",
    "nick": "mnc",
    "config": "mrcm",
    "room": "msm",
}


def as_text(line: Line) -> bytes:
    """Give a line of plain text; further lines of it begin with spaces: nobody makes up others' lines."""
    said = f"<{line.nick}> {line.text}" if line.kind == "message" else _told(line)
    return f"[{line.clock}] {_INDENT.join(said.splitlines())}\n".encode()


def as_json(line: Line) -> bytes:
    """Give an object in a line of its own: at, kind, nick, text."""
    found = {"at": line.at.isoformat(), "kind": line.kind, "nick": line.nick, "text": line.text}
    return json.dumps(found, ensure_ascii=False).encode() + b"\n"


def as_html(line: Line, nofollow: bool) -> bytes:
    """Give a paragraph; ``nofollow`` tells search engines not to follow people's links."""
    css = CLASSES[line.kind]
    time = (
        f'<p id="{line.anchor}"><a class="ts" href="#{line.anchor}">'
        f'<time datetime="{line.at.isoformat()}">[{line.clock}]</time></a> '
    )
    text = _linked(line.text, nofollow)
    if line.kind == "message":
        said = f'<span class="{css}">&lt;{html.escape(line.nick)}&gt;</span> <span class="said">{text}</span>'
    else:
        nick = f"{html.escape(line.nick)} " if line.nick else ""
        said = f'<span class="{css}">{nick}{text}</span>'
    return f"{time}{said}</p>\n".encode()


def _told(line: Line) -> str:
    return f"{line.nick} {line.text}" if line.nick else line.text


def _linked(text: str, nofollow: bool) -> str:
    """Give a text as HTML, with its links."""
    rel = "nofollow noopener" if nofollow else "noopener"
    parts, end = [], 0
    for found in _LINK.finditer(text):
        parts.append(html.escape(text[end : found.start()]))
        link = html.escape(found.group())
        parts.append(f'<a href="{link}" rel="{rel}">{link}</a>')
        end = found.end()
    parts.append(html.escape(text[end:]))
    return "".join(parts).replace("\n", "<br>")
