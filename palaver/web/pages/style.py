"""What our pages look like, on a phone too, in light and in dark; it stands in each page."""

from __future__ import annotations

import base64
import hashlib

STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --paper: #fbfaf7; --card: #fff; --line: #d9d6cf;
  --strong: #0b5d5b; --on-strong: #fff; --harm: #9d1c2b; --soft: #5b6472; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e6e1; --paper: #15181d; --card: #1e232b;
  --line: #39414d; --strong: #7fd1c7; --on-strong: #0d1f1e; --harm: #ff9aa5; --soft: #a4adba; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1.0625rem/1.55 system-ui, sans-serif; }
main, header, footer { max-width: 46rem; margin: 0 auto; padding: 1rem 1.25rem; }
main.wide, header.wide { max-width: 72rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1rem 0 .5rem; }
h2 { font-size: 1.15rem; margin: 0 0 .5rem; }
a { color: var(--strong); }
section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: 1rem 1.25rem; margin: 1rem 0; overflow-x: auto; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
code { font-family: ui-monospace, monospace; font-size: .95em; overflow-wrap: anywhere; }
label { display: block; margin: .8rem 0 .2rem; }
input, select, textarea { font: inherit; width: 100%; max-width: 26rem; padding: .5rem .6rem;
  color: inherit; background: var(--paper); border: 1px solid var(--line); border-radius: .4rem; }
input[type=checkbox] { width: auto; }
button, .button { display: inline-block; font: inherit; font-weight: 600; padding: .55rem 1.1rem;
  margin: .8rem .5rem 0 0; border: 0; border-radius: .4rem; background: var(--strong);
  color: var(--on-strong); text-decoration: none; cursor: pointer; }
button.harm { background: var(--harm); color: var(--paper); }
:focus-visible { outline: 3px solid var(--strong); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); }
nav a { margin-right: 1rem; }
.wrong { color: var(--harm); font-weight: 600; } .soft { color: var(--soft); }
@media (max-width: 32rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; } }
"""

DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
"""The hash by which a page's policy allows this style and no other."""
