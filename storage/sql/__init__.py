"""Storage in an SQL database, through alchimia and SQLAlchemy Core.

``schema`` has the tables, ``engines`` and ``fulltext`` what differs between databases,
``lane`` the way to a connection's thread, ``commit`` the group commit, ``documents``
and ``logs`` the reads, ``migrate`` and ``migrations`` what happens to older schemas.
"""
