"""Namespaces of MUC Light."""

from __future__ import annotations

NS_LIGHT = "urn:xmpp:muclight:0"
NS_CONFIGURATION = f"{NS_LIGHT}#configuration"
NS_AFFILIATIONS = f"{NS_LIGHT}#affiliations"
NS_INFO = f"{NS_LIGHT}#info"
NS_BLOCKING = f"{NS_LIGHT}#blocking"
NS_CREATE = f"{NS_LIGHT}#create"
NS_DESTROY = f"{NS_LIGHT}#destroy"
