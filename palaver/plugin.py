"""What a file in ``twisted/plugins/`` needs to announce modules, and nothing heavier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from twisted.plugin import IPlugin
from zope.interface import implementer

from palaver.interfaces import IModuleMaker


class Xep(NamedTuple):
    """What a module claims: ``status`` is complete or partial."""

    number: int
    version: str
    status: str = "complete"


@implementer(IPlugin, IModuleMaker)
@dataclass(frozen=True)
class ModuleMaker:
    """One module: its name in the config and its class as a string."""

    name: str
    target: str
    summary: str
    xeps: tuple[Xep, ...] = ()
    default: bool = True
