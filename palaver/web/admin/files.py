"""What the pages for administrators load: their style, and the one script, without which they work too."""

from __future__ import annotations

import hashlib
from typing import Any

from palaver.web.pages.style import STYLE

# On a phone each row of a table becomes a card, with its columns' names in front of the values.
MORE_STYLE = """
.skip { position: absolute; left: -99rem; } .skip:focus { left: 1rem; top: .5rem; background: var(--card); }
header { display: flex; flex-wrap: wrap; align-items: center; gap: .4rem 1.2rem;
  border-bottom: 1px solid var(--line); }
header strong { font-size: 1.1rem; } header form { margin-left: auto; } header button { margin-top: 0; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: 0; padding: 0; }
nav a { margin: 0; display: inline-block; padding: .3rem 0; }
nav a[aria-current] { font-weight: 700; text-decoration-thickness: .15rem; }
form.line { display: flex; flex-wrap: wrap; gap: .5rem; align-items: end; }
form.line label { margin: 0; flex-basis: 100%; } form.line button { margin: 0; }
form.inline { display: inline; } td button, td .button { margin: 0; padding: .2rem .7rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .8rem; }
.figures div { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: .7rem 1rem; }
.figures dt { font-size: .95rem; } .figures dd { font-size: 1.5rem; font-variant-numeric: tabular-nums; }
dl.figures { margin: 1rem 0; } .actions > * { margin-right: .6rem; }
.harm { border-left: .35rem solid var(--harm); padding-left: .8rem; }
.button.harm { border-left: 0; padding-left: 1.1rem; background: var(--harm); color: var(--paper); }
.hint { color: var(--soft); font-size: .92rem; margin: .1rem 0 0; }
label.check { display: flex; gap: .6rem; align-items: center; }
td { overflow-wrap: anywhere; vertical-align: top; } caption { text-align: left; font-weight: 600; }
@media (max-width: 44rem) {
  thead { position: absolute; left: -999rem; }
  table, tbody, tr, td { display: block; }
  tr { border-bottom: 2px solid var(--line); padding: .4rem 0; } td { border: 0; padding: .1rem 0; }
  td:empty { display: none; }
  td[data-label]::before { content: attr(data-label) ": "; color: var(--soft); }
}
"""

# What is marked with data-live is fetched again, as long as somebody looks. Such requests do not count as
# being there, so that a login still ends; then the page is loaded anew and asks for the password.
SCRIPT = """\
"use strict";
const part = document.querySelector("[data-live]");
async function refresh() {
  if (document.hidden) return;
  const address = new URL(location.href);
  address.searchParams.set("live", "1");
  const answer = await fetch(address, { credentials: "same-origin" });
  if (answer.status === 401) { location.reload(); return; }
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelector("[data-live]");
  if (fresh) part.replaceChildren(...fresh.childNodes);
}
if (part) setInterval(() => refresh().catch(() => {}), 1000 * Number(part.dataset.live));
"""

FILES = {
    "style.css": ("text/css", (STYLE + MORE_STYLE).encode()),
    "live.js": ("text/javascript", SCRIPT.encode()),
}
# Another version has another name, so that browsers may keep what they have.
VERSION = hashlib.sha256(b"".join(body for _, body in FILES.values())).hexdigest()[:12]
MAX_AGE_S = 86400


def file(request: Any, name: str) -> bytes:
    """Give a file, which is no secret."""
    kind, body = FILES[name]
    request.setHeader("content-type", f"{kind}; charset=utf-8")
    request.setHeader("x-content-type-options", "nosniff")
    request.setHeader("cache-control", f"public, max-age={MAX_AGE_S}")
    return body
