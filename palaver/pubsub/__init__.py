"""Publish-Subscribe (XEP-0060): what a service on a domain of its own and every account's own service share.

A `space.Space` is a set of nodes under one address; ``verbs`` answers requests to it, with ``creating``,
``publishing``, ``retrieving``, ``subscribing`` and ``owning``. Wokkel's ``PubSubRequest`` reads requests
(see ``request``), and its data forms are what configurations travel in. Its ``PubSubService`` carries nothing
here: an answer has to wait for a commit, pages are cut by RSM, and all subscribers share the bytes of
a notification.
"""
