"""XEP-0092: Software Version, and XEP-0232: Software Information."""

from __future__ import annotations

import platform
from collections.abc import Iterable

from pydantic import Field

from palaver import __version__, forms
from palaver.errors import StanzaError
from palaver.markup import element, escape
from palaver.modules import Module, Settings, iq
from palaver.stanza import Stanza

NS_VERSION = "jabber:iq:version"
SOFTWARE_INFO = "urn:xmpp:dataforms:softwareinfo"


class VersionSettings(Settings):
    """Options of mod_version."""

    os_info: bool = Field(
        False,
        description="Tell everybody the operating system and its release; attackers like to know.",
    )


class Version(Module):
    """Says which software this is."""

    Settings = VersionSettings
    features = (NS_VERSION,)

    settings: VersionSettings

    def start(self) -> None:
        """Write the answer, which never changes."""
        inner = element("name", None, b"Palaver") + element("version", None, escape(__version__))
        if self.settings.os_info:
            inner += element("os", None, escape(f"{platform.system()} {platform.release()}"))
        self._answer = element("query", NS_VERSION, inner)

    def disco_forms(self) -> Iterable[bytes]:
        """Give the same as a form, for those who know the server's features only (XEP-0232)."""
        told = {"software": "Palaver", "software_version": __version__}
        if self.settings.os_info:
            told |= {"os": platform.system(), "os_version": platform.release()}
        fields = [forms.Field("text-single", name, text) for name, text in told.items()]
        return (forms.encode(forms.Form("result", formNamespace=SOFTWARE_INFO, fields=fields)),)

    @iq("get", NS_VERSION, "query")
    def version(self, request: Stanza) -> bytes:
        """Give name and version."""
        return self._answer

    @iq("set", NS_VERSION, "query")
    def refuse(self, request: Stanza) -> None:
        """Nobody changes the version."""
        raise StanzaError("not-allowed")
