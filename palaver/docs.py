"""Documentation that is made from the code: ``python -m palaver.docs`` in a checkout.

The feature tables of README.md and docs/palaver.doap come from the claims of the
modules, docs/modules/ from their docstrings and options, docs/configuration.md from
`palaver.settings`. A test fails when a file is not what this would write.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from twisted.plugin import getPlugins
from twisted.python.reflect import namedAny

from palaver.claims import CORE, TITLES
from palaver.interfaces import IModuleMaker
from palaver.settings import IqDisc, Root

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- made by python -m palaver.docs -->", "<!-- end -->"
XEP_URL = "https://xmpp.org/extensions/xep-{:04}.html"
MADE = "<!-- Made by python -m palaver.docs; edit the code instead. -->\n"

_WORDS = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    SecretStr: "text",
    Path: "path",
}


def main() -> None:
    """Write every file that has changed."""
    for path, text in files(ROOT).items():
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            print(path.relative_to(ROOT))


def files(root: Path) -> dict[Path, str]:
    """Give what each file below a checkout should hold."""
    readme = root / "README.md"
    made = {
        readme: _between(readme.read_text("utf-8"), f"{_xep_table()}\n{_module_table()}"),
        root / "docs/palaver.doap": doap(),
        root / "docs/configuration.md": configuration(),
    }
    for maker in makers():
        made[root / f"docs/modules/{maker.name}.md"] = module_page(maker)
    return made


def makers() -> list[Any]:
    """Give the makers of the modules that come with Palaver, by name."""
    ours = (maker for maker in getPlugins(IModuleMaker) if maker.target.startswith("palaver."))
    return sorted(ours, key=lambda maker: str(maker.name))


def claims() -> Iterator[tuple[Any, str]]:
    """Give every claimed Xep with the module that claims it, or "core"; by number."""
    found = [(xep, "core") for xep in CORE]
    found += [(xep, maker.name) for maker in makers() for xep in maker.xeps]
    yield from sorted(found, key=lambda claim: (claim[0].number, claim[1]))


# -- feature tables ---------------------------------------------------------------------


def _between(text: str, made: str) -> str:
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{made}{END}{after}"


def _xep_table() -> str:
    rows = [
        (
            f"[XEP-{xep.number:04}]({XEP_URL.format(xep.number)})",
            TITLES[xep.number],
            xep.version,
            xep.status,
            by,
        )
        for xep, by in claims()
    ]
    return _table(("XEP", "Title", "Version", "Status", "By"), rows)


def _module_table() -> str:
    rows = [
        (
            f"[{maker.name}](docs/modules/{maker.name}.md)",
            maker.summary,
            "yes" if maker.default else "no",
            ", ".join(f"{xep.number:04}" for xep in maker.xeps),
        )
        for maker in makers()
    ]
    return _table(("Module", "What it does", "On by default", "XEPs"), rows)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def doap() -> str:
    """Give the DOAP file (XEP-0453) with every claim."""
    supported = "".join(
        "    <implements><xmpp:SupportedXep>\n"
        f'      <xmpp:xep rdf:resource="{XEP_URL.format(xep.number)}"/>\n'
        f"      <xmpp:status>{xep.status}</xmpp:status>\n"
        f"      <xmpp:version>{xep.version}</xmpp:version>\n"
        "    </xmpp:SupportedXep></implements>\n"
        for xep, _ in claims()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"\n'
        '         xmlns="http://usefulinc.com/ns/doap#"\n'
        '         xmlns:xmpp="https://linkmauve.fr/ns/xmpp-doap#">\n'
        "  <Project>\n"
        "    <name>Palaver</name>\n"
        '    <shortdesc xml:lang="en">An XMPP server on Twisted</shortdesc>\n'
        "    <programming-language>Python</programming-language>\n"
        "    <os>Linux</os>\n"
        '    <category rdf:resource="https://linkmauve.fr/ns/xmpp-doap#category-server"/>\n'
        '    <implements rdf:resource="https://xmpp.org/rfcs/rfc6120.html"/>\n'
        '    <implements rdf:resource="https://xmpp.org/rfcs/rfc6121.html"/>\n'
        '    <implements rdf:resource="https://xmpp.org/rfcs/rfc7622.html"/>\n'
        f"{supported}"
        "  </Project>\n"
        "</rdf:RDF>\n"
    )


# -- pages of modules and of the configuration ---------------------------------------------


def module_page(maker: Any) -> str:
    """Give the page of one module."""
    made = namedAny(maker.target)
    xeps = [
        f"- [XEP-{xep.number:04}]({XEP_URL.format(xep.number)}): {TITLES[xep.number]}, "
        f"version {xep.version}, {xep.status}\n"
        for xep in maker.xeps
    ]
    default = (
        "On by default; `enabled = false` takes it away."
        if maker.default
        else "Off unless its table is there."
    )
    parts = [
        MADE,
        f"# {maker.name}\n\n{maker.summary}.\n\n{inspect.getdoc(made) or ''}\n\n{default}\n",
        f"## Claims\n\n{''.join(xeps)}" if xeps else "",
        f"## Options of `[modules.{maker.name}]`\n\n{_options(made.Settings)}",
        *(
            _section(f"modules.{maker.name}.{name}", option)
            for name, option in made.Settings.model_fields.items()
            if _model(option.annotation)
        ),
    ]
    return "\n".join(part for part in parts if part)


def configuration() -> str:
    """Give the reference of the configuration file."""
    parts = [
        MADE,
        "# Configuration\n\n"
        "A TOML file: the one after `--config`, else `$PALAVER_CONFIG`, else `./palaver.toml`, else the "
        "defaults. `palaver init` writes one, `palaver check` says what is wrong with it: every mistake at "
        "once, each with its key and what is allowed. Relative paths start at the folder of the file. "
        "`palaver reload`, or SIGHUP, applies a change to a running server without ending a session.\n",
        *(_section(name, field) for name, field in Root.model_fields.items()),
        "## Options of every module\n\n"
        "`enabled = false` takes a module away that is on by default. `iqdisc` says how the IQs that it "
        f"answers overlap:\n\n{_options(IqDisc)}\n"
        "`@HOST@` in an option stands for the domain of each host in turn. [modules/](modules/) has a page "
        "for each module.\n",
    ]
    return "\n".join(parts)


def _section(key: str, field: FieldInfo) -> str:
    """Describe the table at a key, and the tables in it."""
    kind, model = get_origin(field.annotation), _model(field.annotation)
    if kind is dict:
        key += ".NAME"
    title = f"## `[[{key}]]`" if kind in (list, tuple) else f"## `[{key}]`"
    if model is None:
        return f"{title}\n\n{field.description}\n"
    tables = {name: option for name, option in model.model_fields.items() if _model(option.annotation)}
    own = {name: option for name, option in model.model_fields.items() if name not in tables}
    parts = [f"{title}\n\n{inspect.getdoc(model)}\n"]
    if own:
        parts.append(_option_table(own))
    return "\n".join([*parts, *(_section(f"{key}.{name}", option) for name, option in tables.items())])


def _model(annotation: Any) -> type[BaseModel] | None:
    """Give the model that an option is a table, an array or a mapping of; None when it is of none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model, get_args(annotation))), None)


def _options(model: type[BaseModel]) -> str:
    return _option_table(model.model_fields)


def _option_table(fields: dict[str, FieldInfo]) -> str:
    if not fields:
        return "None.\n"
    rows = [
        (f"`{name}`", _kind(field), _default(field), field.description or "")
        for name, field in fields.items()
    ]
    return _table(("Option", "Value", "Default", "Meaning"), rows)


def _kind(field: FieldInfo) -> str:
    words = _type_words(field.annotation)
    bounds = [
        f"{sign} {getattr(limit, name)}"
        for limit in field.metadata
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if getattr(limit, name, None) is not None
    ]
    return ", ".join([words, *bounds])


def _type_words(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{word}`" for word in inner)
    if origin in (Union, UnionType):
        return " or ".join(_type_words(part) for part in inner if part is not NoneType)
    if origin in (list, tuple, set, frozenset):
        return f"array of {_type_words(inner[0])}"
    if hasattr(annotation, "__metadata__"):
        return _type_words(inner[0])
    return _WORDS.get(annotation, "table")


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return ""
    return f"`{json.dumps(_plain(value), ensure_ascii=False)}`"


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, bool | int | float | str | dict) else str(value)


if __name__ == "__main__":
    main()
