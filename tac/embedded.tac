# twistd -ny tac/embedded.tac
#
# A server inside another Twisted application: the application's own accounts, and a Wokkel
# handler on a domain of its own. Log in as juliet@localhost, password sesame, and write to
# echo.localhost.

from twisted.application.service import Application
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.python import log
from twisted.words.xish import domish

import palaver.upstream  # noqa: F401  Wokkel needs it on today's Twisted
from palaver.service import Palaver

from wokkel.xmppim import MessageProtocol  # isort: skip


class Echo(MessageProtocol):
    """Sends every chat message back."""

    def onMessage(self, message):
        if message.body is None or message.getAttribute("type") == "error":
            return
        answer = domish.Element((None, "message"))
        answer["to"], answer["from"] = message["from"], message["to"]
        answer["type"] = message.getAttribute("type", "normal")
        answer.addElement("body", content=str(message.body))
        self.send(answer)


# Any twisted.cred checker of passwords; this one is for trying out.
checker = InMemoryUsernamePasswordDatabaseDontUse(juliet=b"sesame", romeo=b"sesame")

application = Application("embedded")
server = Palaver({"general": {"data_dir": "palaver-data"}}, checker=checker)
server.setServiceParent(application)


def ready(started):
    started.server.host_handlers("echo.localhost", [Echo()])
    log.msg("ready: " + ", ".join(started.addresses()))


def give_up(failure):
    log.err(failure, "the server did not start")
    server.reactor.callWhenRunning(server.reactor.stop)


server.ready.addCallbacks(ready, give_up)
