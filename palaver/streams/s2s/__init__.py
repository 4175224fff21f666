"""Streams between servers (RFC 6120, XEP-0220 and what belongs to them).

`federation.Federation` is what the router hands everything to that is not for a domain of this server. A
`link.Link` stands for a domain of ours and one of theirs: it holds what waits, and has a connection made
(`connecting`, `resolving`). Streams are `incoming` or `outgoing`; both stand on `stream`. Who the other
side is follows from its certificate (`identity`) or from dialback (`dialback`), and `policy` says what is
enough.
"""
