"""What stands around the lines of a day's HTML page."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple
from urllib.parse import quote

STYLE = """
:root { color-scheme: light dark }
:root { --soft: #666; --line: #ddd; --nick: #1a5fb4; --good: #26773b; --bad: #a51d2d }
@media (prefers-color-scheme: dark) {
  :root { --soft: #9a9a9a; --line: #333; --nick: #78aeed; --good: #6fc381; --bad: #f08a94 }
}
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50em; margin: 0 auto; padding: 1em;
  overflow-wrap: anywhere }
header, footer { border-bottom: 1px solid var(--line); padding-bottom: .5em; margin-bottom: 1em }
footer { border-bottom: 0; border-top: 1px solid var(--line); margin-top: 1em; color: var(--soft) }
nav { display: flex; justify-content: space-between; gap: 1em; flex-wrap: wrap }
h1 { font-size: 1.4em; margin: .5em 0 }
main p { margin: .1em 0; padding-left: 1.5em; text-indent: -1.5em }
.mn, .said { unicode-bidi: isolate }
.said, .mne { white-space: pre-wrap }
main p:target { background: #ffd75f55 }
.ts { color: var(--soft); font: .8em ui-monospace, monospace; text-decoration: none }
.mn { color: var(--nick); font-weight: 600 }
.mne { font-style: italic }
.msc { font-weight: 600 }
.mj, .mnc { color: var(--good) } .mk, .mb { color: var(--bad) } .ml, .msm, .mrcm { color: var(--soft) }
details { color: var(--soft) } th { text-align: left; font-weight: normal; padding-right: 1em }
"""
# Pages have no script, whatever is said in a room.
POLICY = "script-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'"
FOOTER = b"</main>\n<footer>The day is over.</footer>\n</body>\n</html>\n"


class Look(NamedTuple):
    """What is the same on all pages: a style sheet's address or None, and the link at the top."""

    css_file: str | None
    top_target: str
    top_text: str


class Facts(NamedTuple):
    """What a page says of its room when it is begun; ``settings`` by name, ``people`` nick and role."""

    jid: str
    title: str
    subject: str
    settings: Mapping[str, str]
    people: Sequence[tuple[str, str]]


def header(look: Look, facts: Facts, day: date, zone: str, before: str, after: str) -> bytes:
    """Give all that comes before the first line; ``before`` and ``after`` are links to the next days."""
    title = html.escape(f"{facts.title} - {day.isoformat()}")
    style = f"<style>{STYLE}</style>"
    if look.css_file is not None:
        style = f'<link rel="stylesheet" href="{html.escape(look.css_file)}">'
    room = html.escape(f"xmpp:{quote(facts.jid, safe='@')}?join")
    subject = f"<p>{html.escape(facts.subject)}</p>\n" if facts.subject else ""
    return f"""<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{title}</title>
{style}
</head>
<body>
<header>
<nav><a href="{html.escape(look.top_target)}">{html.escape(look.top_text)}</a>
<span><a rel="prev" href="{html.escape(before)}">&larr; day before</a>
<a rel="next" href="{html.escape(after)}">next day &rarr;</a></span></nav>
<h1>{title}</h1>
<p><a href="{room}">{html.escape(facts.jid)}</a>, times in {html.escape(zone)}</p>
{subject}{_table("Room configuration", facts.settings.items())}{_table("Occupants", facts.people)}</header>
<main>
""".encode()


def _table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    pairs = list(rows)
    if not pairs:
        return ""
    inner = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>\n" for name, value in pairs
    )
    return f"<details><summary>{title}</summary>\n<table>\n{inner}</table></details>\n"
