"""An application with its own accounts and its own module: run it with python embedded.py."""

from twisted.application.service import MultiService
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.internet import reactor

from palaver.modules import Module, iq
from palaver.plugin import ModuleMaker
from palaver.service import Palaver
from palaver.stanza import Stanza, text_element


class Greeting(Module):
    @iq("get", "urn:example:greeting", "greeting")
    def greet(self, request: Stanza) -> bytes:
        return text_element("greeting", "urn:example:greeting", f"Good day, {request.sender.local}!")


def make(config: dict | None = None) -> Palaver:
    checker = InMemoryUsernamePasswordDatabaseDontUse(juliet=b"sesame", romeo=b"mellon")
    return Palaver(config, checker=checker, modules=[ModuleMaker("mod_greeting", f"{__name__}.Greeting", "")])


if __name__ == "__main__":
    application = MultiService()
    make().setServiceParent(application)
    reactor.callWhenRunning(application.startService)
    reactor.run()
