"""MUC Light: rooms that are lists of members, without presence, below mod_muc_light.

The protocol is that of MongooseIM (https://xmpp.org/extensions/inbox/muc-light.html). `service` finds
rooms and gives stanzas to what answers them; `changes` are the rules of affiliations, without any XML.
"""
