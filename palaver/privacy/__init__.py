"""Whose stanzas an account takes and sends: privacy lists (XEP-0016), and block lists (XEP-0191).

``rules`` has the lists as values, ``lists`` all of an account's and how they are stored, ``guards`` what
applies them to stanzas, ``changes`` how they are edited and who hears of it.
"""
