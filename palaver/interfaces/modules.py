"""Seams of modules: how they are named, made and asked, and the commands they bring."""

from __future__ import annotations

from zope.interface import Attribute, Interface


class IModuleMaker(Interface):
    """A Twisted plugin that names a module without importing it."""

    name = Attribute("The module's name in the config, such as mod_ping.")
    target = Attribute("The class, as a string: package.module.Class.")
    xeps = Attribute("Tuple of palaver.plugin.Xep: number, version, status (complete or partial).")
    default = Attribute("True when the module is on without a table in the config.")
    summary = Attribute("One line for people who choose modules.")


class IModule(Interface):
    """One feature on one host; see `palaver.modules.Module` for the usual base class."""

    name = Attribute("The module's name in the config.")
    host = Attribute("The IHost it is attached to.")
    settings = Attribute("Its typed options.")

    def attach():
        """Register everything and start; may give a Deferred. Raises ConfigError to stop the start."""

    def detach():
        """Take back everything that `attach` registered; may give a Deferred."""


class ICommand(Interface):
    """An operation for people and programs (XEP-0050), found by its node in the host's registry.

    `palaver.commands.command.Command` provides it; ``palaver.commands.command.add`` registers one, and
    so does the mark ``@command`` of `palaver.modules`.
    """

    node = Attribute("Its node for XEP-0050.")
    name = Attribute("Its words on the command line.")
    title = Attribute("What people call it.")
    permission = Attribute("Who may run it, see palaver.commands.command.Permission.")
    arguments = Attribute("The pydantic model of what it takes first, or None.")
    form_type = Attribute("The FORM_TYPE of its forms; None: its node.")

    def begin(call):
        """Give an awaitable of the first palaver.commands.command.Step, or of Done.

        It raises StanzaError to refuse, and StorageError.
        """


class IProcess(Interface):
    """The process of the server, in the server's registry where the server has one of its own."""

    def end(restart):
        """End it as a signal would; with ``restart`` the same command is run again then."""


class ICommands(Interface):
    """Lets clients run the commands of a host; provided while a module for that is on."""
