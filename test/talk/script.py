"""What a conversation file says, as steps. Nothing here knows a server or a socket.

A file is read by lines. Its first comment says what it shows and which section asks for it.

    # RFC 6121 section 5: a message to a full JID.

    romeo logs in as romeo@localhost/orchard
    juliet logs in as juliet@localhost/balcony

    romeo sends:
        <message to="juliet@localhost/balcony" type="chat"><body>hi</body></message>

    juliet receives:
        <message from="romeo@localhost/orchard" to="{any}" type="chat"><body>hi</body></message>

Every account has the password `PASSWORD` and exists once it is named. The steps are those of `STEPS`;
"sends" and the two kinds of "receives" are followed by indented XML. In XML that is received

``{any}``    as a whole attribute value or text stands for anything
``{word}``   stands for anything once, and for the same from then on; in XML that is sent, for what it was
``...``      as a child or text means that there may be more attributes and children than are written

``{romeo}`` is the full JID of the client romeo. The order of children does not matter; ``to`` and xml:lang
are not looked at unless they are written; a file fails when something came that it does not mention.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PASSWORD = "sesame"

# Step by its form: the words after the client's name, and whether XML follows.
STEPS = {
    "log_in": re.compile(r"logs in as (?P<argument>\S+@\S+/\S+)"),
    "connect": re.compile(r"connects"),
    "encrypt": re.compile(r"speaks TLS"),
    "send": re.compile(r"sends:"),
    "receive": re.compile(r"receives:"),
    "receive_any": re.compile(r"receives in any order:"),
    "receive_nothing": re.compile(r"receives nothing"),
    "close": re.compile(r"disconnects"),
    "drop": re.compile(r"vanishes"),
    "closed": re.compile(r"is disconnected"),
}
ACCOUNT = re.compile(r"account (?P<argument>\S+@\S+)")
INDENT = "    "


class Step(NamedTuple):
    """One thing that a client does or sees; ``argument`` is a JID, or XML."""

    line: int
    client: str
    action: str
    argument: str = ""


class Script(NamedTuple):
    """A whole file. ``title`` is its first comment; ``accounts`` are sorted bare JIDs."""

    title: str
    accounts: list[str]
    steps: list[Step]


def read(path: Path) -> Script:
    """Read a file; raises `ValueError` with the line's number for what is not understood."""
    lines = path.read_text("utf-8").splitlines()
    steps = list(_steps(lines))
    accounts = {step.argument for step in steps if step.action == "account"}
    accounts |= {step.argument.partition("/")[0] for step in steps if step.action == "log_in"}
    title = next((line.lstrip("# ") for line in lines if line.startswith("#")), "")
    if not title:
        raise ValueError(f"{path.name} begins with no comment that says what it shows")
    return Script(title, sorted(accounts), [step for step in steps if step.action != "account"])


def _steps(lines: list[str]) -> Iterator[Step]:
    number = 0
    while number < len(lines):
        line = lines[number].rstrip()
        number += 1
        if not line or line.startswith("#"):
            continue
        step = _step(number, line)
        block = []
        while line.endswith(":") and number < len(lines) and (not lines[number] or lines[number][0] == " "):
            block.append(lines[number].removeprefix(INDENT))
            number += 1
        yield step._replace(argument="\n".join(block).strip()) if block else step


def _step(number: int, line: str) -> Step:
    account = ACCOUNT.fullmatch(line)
    if account is not None:
        return Step(number, "", "account", account["argument"])
    client, _, words = line.partition(" ")
    for action, form in STEPS.items():
        found = form.fullmatch(words)
        if found is not None:
            return Step(number, client, action, found.groupdict().get("argument", ""))
    raise ValueError(f"line {number} is not understood: {line}")
