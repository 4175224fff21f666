"""From a config to the service: the one place that the command, the twistd plugin and the tac files share."""

from __future__ import annotations

from typing import Any

from twisted.python import usage
from twisted.python.failure import Failure

from palaver import log
from palaver.config import Config, ConfigError, load_config
from palaver.control import Control
from palaver.service import Palaver

_log = log.Log("start")


def service_for(config: Config) -> Palaver:
    """Give a server that commands and SIGHUP can reach, not started yet; raises `ConfigError`."""
    log.set_level(config.general.loglevel)
    config.make_data_dir()
    palaver = Palaver(config)
    Control(palaver).setServiceParent(palaver)
    return palaver


class Options(usage.Options):
    """What ``twistd palaver`` takes."""

    synopsis = "[options]"
    optParameters = (("config", "c", None, "The configuration file."),)

    def postOptions(self) -> None:
        """Read the configuration, so that mistakes are shown before anything starts."""
        try:
            self["loaded"] = load_config(self["config"])
        except ConfigError as error:
            raise usage.UsageError(str(error)) from None


def makeService(options: Any) -> Palaver:
    """Give the service for twistd; a start that fails ends the process."""
    palaver = service_for(options["loaded"])

    def give_up(failure: Failure) -> None:
        _log.failure("start-failed", failure)
        # The start may have failed before the reactor runs, and then it cannot be stopped yet.
        palaver.reactor.callWhenRunning(palaver.reactor.stop)

    palaver.ready.addErrback(give_up)
    return palaver
