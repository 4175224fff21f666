"""What values of the configuration are: addresses, domains, paths, with what is said of wrong ones."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from palaver import jid

KIB = 1024
MIB = 1024 * KIB

ROUTE = re.compile(r"local|component|cluster|s2s|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
HOST_TYPE = re.compile(r"[^\s@/]{1,100}")


class Section(BaseModel):
    """A table of the configuration: closed, and never changed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _below(path: Path, info: ValidationInfo) -> Path:
    """Take a relative path from the folder of the config file."""
    base = (info.context or {}).get("base")
    return path if base is None else Path(base) / path


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


def _address(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"{text!r} is no IP address; allowed: such as 127.0.0.1, 0.0.0.0 or ::") from None
    return text


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no network; allowed: such as 127.0.0.1 or 10.0.0.0/8") from None
    return text


def _name_server(text: str) -> str:
    address, colon, port = text.rpartition(":")
    if colon and (text.count(":") == 1 or address.endswith("]")):
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError(f"{text!r} has no port from 1 to 65535 behind its colon")
        _address(address.strip("[]"))
    else:
        _address(text)
    return text


def _account(text: str) -> str:
    found = jid.parse(text)
    if not found.local or found.resource:
        raise ValueError(f"{text!r} is no account; allowed: user@host")
    return found.bare


def matching(pattern: re.Pattern[str], allowed: str) -> AfterValidator:
    """Give a check that a text is as a pattern says; ``allowed`` is for people."""

    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"{text!r} is not understood; allowed: {allowed}")
        return text

    return AfterValidator(check)


BelowPath = Annotated[Path, AfterValidator(_below)]
ExistingFile = Annotated[BelowPath, AfterValidator(_existing)]
Domain = Annotated[str, AfterValidator(jid.prepare_domain)]
Account = Annotated[str, AfterValidator(_account)]
Address = Annotated[str, AfterValidator(_address)]
NameServer = Annotated[str, AfterValidator(_name_server)]
ProxyNetwork = Annotated[str, AfterValidator(_network)]
HostType = Annotated[str, matching(HOST_TYPE, "up to 100 characters without spaces, @ and /")]
RouteName = Annotated[str, matching(ROUTE, "local, component, cluster, s2s, package.module:factory")]
Seconds = Annotated[float, Field(gt=0, le=7 * 86400)]
Positive = Annotated[int, Field(gt=0)]
