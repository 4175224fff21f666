"""Archives of messages (XEP-0313): what is archived, how it is asked for and given, how long it stays.

An archive is a log of `palaver.storage`; the ids of its entries are the ids that clients see. Its
owner and kind are the caller's: accounts, rooms and others keep theirs alike.
"""
