"""Components: other programs' services on domains of their own, over streams that they open.

`directory.Directory` knows which there may be and which are connected; a `stream.ComponentStream` speaks
with one of them by XEP-0114 or XEP-0225, over whatever connection carries its bytes.
"""
