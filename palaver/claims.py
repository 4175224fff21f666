"""What the core itself claims of the XEPs, and their titles; modules claim theirs in twisted/plugins/."""

from __future__ import annotations

from palaver.plugin import Xep

CORE: tuple[Xep, ...] = (
    Xep(82, "1.1.1"),
    Xep(170, "1.0"),
    Xep(175, "1.2"),
    # Of these the parts for clients; those between servers are still to come.
    Xep(178, "1.2", "partial"),
    Xep(368, "1.1.0", "partial"),
    Xep(440, "1.0.0"),
    Xep(478, "0.2.0"),
)

TITLES = {
    12: "Last Activity",
    13: "Flexible Offline Message Retrieval",
    16: "Privacy Lists",
    22: "Message Events",
    23: "Message Expiration",
    30: "Service Discovery",
    49: "Private XML Storage",
    59: "Result Set Management",
    60: "Publish-Subscribe",
    77: "In-Band Registration",
    79: "Advanced Message Processing",
    82: "XMPP Date and Time Profiles",
    90: "Legacy Entity Time",
    92: "Software Version",
    106: "JID Escaping",
    115: "Entity Capabilities",
    126: "Invisibility",
    128: "Service Discovery Extensions",
    131: "Stanza Headers and Internet Metadata",
    157: "Contact Addresses for XMPP Services",
    160: "Best Practices for Handling Offline Messages",
    170: "Recommended Order of Stream Feature Negotiation",
    175: "Best Practices for Use of SASL ANONYMOUS",
    178: "Best Practices for Use of SASL EXTERNAL with Certificates",
    191: "Blocking Command",
    198: "Stream Management",
    199: "XMPP Ping",
    202: "Entity Time",
    203: "Delayed Delivery",
    237: "Roster Versioning",
    248: "PubSub Collection Nodes",
    279: "Server IP Check",
    280: "Message Carbons",
    297: "Stanza Forwarding",
    313: "Message Archive Management",
    334: "Message Processing Hints",
    352: "Client State Indication",
    359: "Unique and Stable Stanza IDs",
    368: "SRV records for XMPP over TLS",
    377: "Blocking Command Reports",
    424: "Message Retraction",
    431: "Full Text Search in MAM",
    440: "SASL Channel-Binding Type Capability",
    441: "Message Archive Management Preferences",
    478: "Stream Limits Advertisement",
}
