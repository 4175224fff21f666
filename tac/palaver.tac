# twistd -ny tac/palaver.tac
#
# The server by itself, after $PALAVER_CONFIG, ./palaver.toml, or the defaults.

from twisted.application import service

from palaver.tap import Options, makeService

options = Options()
options.parseOptions([])

application = service.Application("palaver")
makeService(options).setServiceParent(application)
