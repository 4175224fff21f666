"""The configuration that ``palaver init`` writes."""

TEMPLATE = """\
# A Palaver for this machine alone. Every option: docs/configuration.md; what is wrong: palaver check.

[general]
hosts = ["localhost"]            # the domains that have accounts here
data_dir = "palaver-data"        # below the folder of this file
# admins = ["you@localhost"]     # accounts that may log in at http://localhost:5280/admin
# loglevel = "info"              # none, critical, error, warning, notice, info, debug, all
# log_format = "text"            # or "json"

[[listen.c2s]]
interface = "127.0.0.1"          # "::" lets other machines in
port = 5222
tls = "required"                 # off, optional, required, direct

[[listen.http]]                  # WebSocket and pages: http://localhost:5280/
interface = "127.0.0.1"          # a proxy that speaks HTTPS may stand in front of it
port = 5280
tls = "off"                      # off, on

[tls]
# With neither of these a self-signed certificate is made in data_dir.
# certificate = "fullchain.pem"
# key = "key.pem"
# [tls.hosts."example.org"]      # a certificate of its own for one host
# certificate = "example.org.pem"
# key = "example.org.key"

[storage]
url = "sqlite"                   # a file in data_dir; or sqlite:///path, or memory

[auth]
methods = ["internal"]           # "anonymous" lets guests in

[limits]
enabled = true

# A table switches a module on and has its options; enabled = false takes one away.
# Those of daily use are on without a table; docs/modules/ has a page for each.
# [modules.mod_register]         # lets clients make accounts (XEP-0077)
# [modules.mod_ping]
# send_pings = true
# [modules.mod_last]
# enabled = false

# A Wokkel handler of yours on a domain of its own.
# [components."bot.@HOST@"]
# handler = "package.module:factory"
"""
