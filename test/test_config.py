"""The configuration: what may be there, what is the case without it, and every mistake at once."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field
from twisted.trial.unittest import SynchronousTestCase

from palaver import choices, modules, settings
from palaver.config import Config, ConfigError, for_host, load_config
from palaver.plugin import ModuleMaker
from palaver.template import TEMPLATE


class GreetSettings(modules.Settings):
    """Options for these tests."""

    text: str = Field(default="hello", description="What is said.")
    times: int = Field(default=1, ge=1, description="How often.")


class Greet:
    """A module that needs nothing but options."""

    Settings: ClassVar[type[modules.Settings]] = GreetSettings


GREET = ModuleMaker("mod_greet", f"{__name__}.Greet", "Greets.", default=False)
ALWAYS = ModuleMaker("mod_always", f"{__name__}.Greet", "Is on.", default=True)
MORE = ModuleMaker("mod_always_more", f"{__name__}.Greet", "Is in another one's table.", default=False)
BROKEN = ModuleMaker("mod_broken", "palaver.nowhere.Nothing", "Cannot be imported.", default=False)


def read(text: str, **others: Any) -> Config:
    """Read TOML with the modules of these tests beside the installed ones."""
    return Config.from_dict(tomllib.loads(text), makers=(GREET, ALWAYS, MORE, BROKEN), **others)


class DefaultTests(SynchronousTestCase):
    """What `palaver start` does without a file."""

    def test_localhost_is_served_for_this_machine_alone(self):
        """Without a file: localhost, on loopback, with STARTTLS demanded, on embedded storage."""
        config = Config.default()
        self.assertEqual(config.hosts, ["localhost"])
        self.assertEqual(
            [(listener.interface, listener.port, listener.tls) for listener in config.listen.c2s],
            [("127.0.0.1", 5222, "required")],
        )
        self.assertEqual(config.storage.url, "sqlite")
        self.assertEqual(config.general.data_dir, Path("palaver-data"))

    def test_another_host_is_served_to_everybody(self):
        """As soon as there is a real domain, the default port is open on every address."""
        config = read("[general]\nhosts = ['example.org']")
        self.assertEqual([listener.interface for listener in config.listen.c2s], ["::"])

    def test_no_listener_is_a_choice(self):
        """An empty array means no port at all."""
        self.assertEqual(read("[listen]\nc2s = []").listen.c2s, [])

    def test_the_file_that_init_writes_says_what_is_the_case_anyway(self):
        """The configuration of `palaver init` has no mistakes and changes no default."""
        config = read(TEMPLATE)
        default = Config.default()
        for section in ("general", "listen", "tls", "storage", "limits"):
            self.assertEqual(getattr(config, section), getattr(default, section), section)
        self.assertEqual(config.auth_for("localhost"), default.auth_for("localhost"))

    def test_its_commented_options_exist(self):
        """What `palaver init` writes behind a # is right too, once the # is gone."""
        text = re.sub(r"(?m)^# (?=\[|\w+ = )", "", TEMPLATE)
        self.assertIn("\n[components.", text)
        for mistake in self.assertRaises(ConfigError, read, text).mistakes:
            self.assertIn("there is no file", mistake.message)

    def test_each_option_says_what_it_is(self):
        """Every option has a description, which docs/configuration.md shows."""
        for section in vars(settings).values():
            if isinstance(section, type) and issubclass(section, settings.Section):
                for name, field in section.model_fields.items():
                    self.assertTrue(field.description, f"{section.__name__}.{name}")


class MistakeTests(SynchronousTestCase):
    """Every mistake is named with its key and what is allowed."""

    def mistakes(self, text: str, **others: Any) -> list[str]:
        return [
            f"{m.path}: {m.message}" for m in self.assertRaises(ConfigError, read, text, **others).mistakes
        ]

    def test_all_are_reported_at_once(self):
        """One run shows what is wrong in every section and in every module."""
        found = self.mistakes(
            """
            [general]
            hosts = ["localhost", "localhost"]
            loglevel = "loud"
            [[listen.c2s]]
            port = 70000
            [[listen.c2s]]
            tls = "maybe"
            [storage]
            url = "oracle://x"
            [modules.mod_greet]
            times = 0
            [modules.mod_gret]
            """
        )
        self.assertEqual(
            [line.partition(":")[0] for line in found],
            [
                "general.hosts",
                "general.loglevel",
                "listen.c2s[0].port",
                "listen.c2s[1].tls",
                "storage.url",
                "modules.mod_greet.times",
                "modules.mod_gret",
            ],
        )

    def test_an_unknown_key_is_compared_with_those_there_are(self):
        """A slip of the pen is answered with the key that was meant, and all that are allowed."""
        found = self.mistakes("[general]\ndatadir = 'x'")
        self.assertEqual(
            found,
            [
                "general.datadir: unknown key; did you mean 'data_dir'? "
                "allowed: admins, data_dir, domain_idle_s, host_types, hosts, language, log_format, "
                "loglevel, routing_modules, slow_stanza_ms"
            ],
        )

    def test_administrators_are_accounts(self):
        """Who administers is an account; a host may have more of them."""
        (found,) = self.mistakes("[general]\nadmins = ['example.org']")
        self.assertIn("is no account; allowed: user@host", found)
        config = read(
            "[general]\nhosts = ['a.example', 'b.example']\nadmins = ['Juliet@a.example']\n"
            "[[host_config]]\nhost = 'b.example'\nadmins = ['romeo@b.example']\n"
        )
        self.assertEqual(config.admins_of("a.example"), {"juliet@a.example"})
        self.assertEqual(config.admins_of("b.example"), {"juliet@a.example", "romeo@b.example"})

    def test_an_unknown_section_too(self):
        """A section that does not exist is one line with those that do."""
        (found,) = self.mistakes("[modulez.mod_ping]")
        self.assertIn("modulez: unknown key; did you mean 'modules'?", found)

    def test_a_listener_that_is_not_there_yet(self):
        """A kind of port that this version does not have is said to be unknown."""
        self.assertEqual(
            self.mistakes("[[listen.gopher]]"),
            ["listen.gopher: unknown key; allowed: c2s, component, http, s2s"],
        )

    def test_a_word_that_is_not_allowed(self):
        """The words that are allowed are listed."""
        (found,) = self.mistakes("[[listen.c2s]]\ntls = 'yes'")
        self.assertIn("'yes' is not allowed; allowed: off, optional, required or direct", found)

    def test_a_wrong_type(self):
        """A text where a number belongs is named."""
        (found,) = self.mistakes("[[listen.c2s]]\nport = 'ssh'")
        self.assertEqual(found[:41], "listen.c2s[0].port: 'ssh' is not allowed;")

    def test_a_table_where_there_is_none(self):
        """A value where a table belongs is named."""
        (found,) = self.mistakes("general = 3")
        self.assertTrue(found.startswith("general: 3 is not allowed"), found)

    def test_a_module_that_is_no_table(self):
        """`mod_ping = true` is no table."""
        (found,) = self.mistakes("[modules]\nmod_greet = true")
        self.assertTrue(found.startswith("modules.mod_greet: True is not allowed"), found)

    def test_bad_domains(self):
        """What is no domain cannot be a host."""
        (found,) = self.mistakes("[general]\nhosts = ['a b']")
        self.assertEqual(found, "general.hosts[0]: the domainpart is no domain name")

    def test_no_host(self):
        """A server without a host serves nobody."""
        (found,) = self.mistakes("[general]\nhosts = []")
        self.assertTrue(found.startswith("general.hosts: "), found)

    def test_bad_addresses(self):
        """A listener's interface is an IP address."""
        (found,) = self.mistakes("[[listen.c2s]]\ninterface = 'eth0'")
        self.assertIn("'eth0' is no IP address", found)

    def test_the_same_port_twice(self):
        """Two listeners cannot share a port."""
        (found,) = self.mistakes("[[listen.c2s]]\n[[listen.c2s]]")
        self.assertEqual(found, "listen: two listeners have the same interface and port")

    def test_half_a_certificate(self):
        """A certificate needs its key."""
        (found,) = self.mistakes(f"[tls]\ncertificate = '{__file__}'")
        self.assertEqual(found, "tls: certificate and key are given together, or neither")

    def test_a_certificate_that_is_not_there(self):
        """A missing file is named with its whole path, seen from the config file's folder."""
        found = self.mistakes("[tls]\ncertificate = 'a.pem'\nkey = 'b.pem'", base=Path("/etc/palaver"))
        self.assertEqual(found[0], "tls.certificate: there is no file /etc/palaver/a.pem")
        self.assertEqual(len(found), 2)

    def test_secrets_are_not_repeated(self):
        """A wrong value of an option named like a secret does not land on a screen."""
        (found,) = self.mistakes("[auth]\npassword = 'hunter2'")
        self.assertNotIn("hunter2", found)

    def test_too_few_iterations(self):
        """Fewer iterations than RFC 7677 asks for are refused."""
        (found,) = self.mistakes("[auth.password]\nscram_iterations = 1000")
        self.assertIn("greater than or equal to 4096", found)

    def test_a_component_handler_without_a_name(self):
        """A handler is written package.module:factory."""
        (found,) = self.mistakes("[components.'bot.localhost']\nhandler = 'bot'")
        self.assertIn("allowed: package.module:factory", found)

    def test_a_component_on_a_host(self):
        """A component cannot have the domain of a host or of another component."""
        (found,) = self.mistakes("[components.localhost]\nhandler = 'a:b'")
        self.assertEqual(found, "components.localhost: the domain localhost is taken already")

    def test_differences_of_a_host_that_is_not_served(self):
        """A host_config is for one of the hosts."""
        (found,) = self.mistakes("[[host_config]]\nhost = 'example.org'")
        self.assertEqual(found, "host_config[0].host: 'example.org' is not served; allowed: localhost")

    def test_differences_of_a_host_type(self):
        """A host_config is for a host or for one of the host types, and its modules are checked."""
        (found,) = self.mistakes("[[host_config]]\nhost_type = 'school'")
        self.assertEqual(
            found, "host_config[0].host_type: 'school' is no host type; general.host_types names none"
        )
        for text in ("admins = []", "host = 'localhost'\nhost_type = 'school'"):
            (found,) = self.mistakes(f"[[host_config]]\n{text}")
            self.assertIn("either host or host_type says what this is for", found)
        typed = "[general]\nhost_types = ['school']\n[[host_config]]\nhost_type = 'school'\n"
        (found,) = self.mistakes(f"{typed}[host_config.modules.mod_greet]\nx = 1")
        self.assertEqual(found, "host_config[0].modules.mod_greet.x: unknown key; allowed: text, times")
        config = read(f"{typed}admins = ['head@localhost']")
        self.assertEqual(config.admins_of("a.example", "school"), {"head@localhost"})
        self.assertEqual(config.admins_of("localhost"), frozenset())

    def test_wrong_options_of_one_host(self):
        """The modules of a host_config are checked like the others."""
        (found,) = self.mistakes("[[host_config]]\nhost='localhost'\n[host_config.modules.mod_greet]\nx = 1")
        self.assertEqual(found, "host_config[0].modules.mod_greet.x: unknown key; allowed: text, times")

    def test_a_module_that_cannot_be_imported(self):
        """A broken package is named, not a traceback."""
        (found,) = self.mistakes("[modules.mod_broken]")
        self.assertTrue(
            found.startswith("modules.mod_broken: palaver.nowhere.Nothing cannot be loaded"), found
        )

    def test_two_modules_of_one_name(self):
        """Two packages that bring the same module stop the start."""
        error = self.assertRaises(ConfigError, Config.from_dict, {}, makers=(GREET, GREET))
        self.assertIn("mod_greet is both", str(error))

    def test_wrong_generic_options(self):
        """`enabled` and `iqdisc` are checked for every module."""
        found = self.mistakes("[modules.mod_greet]\nenabled = 'yes'\niqdisc = {type = 'fast'}")
        self.assertEqual(found[0], "modules.mod_greet.enabled: it should be true or false")
        self.assertTrue(found[1].startswith("modules.mod_greet.iqdisc.type: 'fast' is not allowed"), found)


class FileTests(SynchronousTestCase):
    """A configuration in a file."""

    def write(self, data: str | bytes) -> str:
        path = Path(self.mktemp())
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return str(path)

    def complaint(self, path: str) -> str:
        return str(self.assertRaises(ConfigError, Config.from_file, path))

    def test_a_mistake_names_the_file(self):
        """The line for a mistake begins with the file's name."""
        path = self.write("[general]\nhost = 'x'")
        self.assertTrue(self.complaint(path).startswith(f"{path}: general.host: unknown key"))

    def test_what_is_no_toml(self):
        """A syntax error is named with its line."""
        self.assertRegex(self.complaint(self.write("[general\n")), r"is not TOML: .*line 1")

    def test_what_is_no_text(self):
        """A file that is not UTF-8 is refused."""
        self.assertIn("is not UTF-8 text", self.complaint(self.write(b"\xff\xfe")))

    def test_a_file_that_is_not_there(self):
        """A missing file is said to be missing."""
        self.assertEqual(
            self.complaint("/nowhere.toml"), "/nowhere.toml: cannot be read: No such file or directory"
        )

    def test_paths_start_at_the_folder_of_the_file(self):
        """`data_dir` is below the config file, wherever the server is started."""
        path = self.write("[general]\ndata_dir = 'data'")
        self.assertEqual(Config.from_file(path).general.data_dir, Path(path).resolve().parent / "data")

    def test_the_environment_names_the_file(self):
        """$PALAVER_CONFIG says which file a .tac file uses."""
        self.patch(os, "environ", {"PALAVER_CONFIG": self.write("[general]\nhosts=['a.example']")})
        self.assertEqual(load_config().hosts, ["a.example"])


class ModuleTests(SynchronousTestCase):
    """Which modules run on a host, with which options."""

    def setUp(self):
        # Only the modules of these tests, so that they say nothing about the installed ones.
        self.patch(choices, "getPlugins", lambda interface: ())

    def chosen(self, text: str, host: str = "localhost") -> dict[str, tuple[Any, str | None]]:
        found = read(text).modules_for(host)
        return {choice.maker.name: (choice.settings, choice.iq_policy) for choice in found}

    def test_defaults_are_on_without_a_table(self):
        """A module of daily use needs no table; the others do."""
        self.assertEqual(self.chosen(""), {"mod_always": (GreetSettings(), None)})

    def test_a_table_switches_on(self):
        """An empty table is enough."""
        self.assertEqual(set(self.chosen("[modules.mod_greet]")), {"mod_greet", "mod_always"})

    def test_enabled_false_switches_off(self):
        """`enabled = false` takes any module away, whatever else is in its table."""
        self.assertEqual(self.chosen("[modules.mod_always]\nenabled = false\nnonsense = 1"), {})

    def test_options_are_typed(self):
        """Options arrive as the module's own settings class."""
        self.assertEqual(
            self.chosen("[modules.mod_always]\ntext = 'hi'\ntimes = 3")["mod_always"][0],
            GreetSettings(text="hi", times=3),
        )

    def test_the_host_stands_in_for_its_placeholder(self):
        """@HOST@ in an option is the domain of each host in turn."""
        text = "[general]\nhosts = ['a.example', 'b.example']\n[modules.mod_always]\ntext = 'muc.@HOST@'"
        for host in ("a.example", "b.example"):
            self.assertEqual(self.chosen(text, host)["mod_always"][0].text, f"muc.{host}")
        self.assertEqual(
            for_host({"bot.@HOST@": ["@HOST@", 1]}, "a.example"), {"bot.a.example": ["a.example", 1]}
        )

    def test_how_calls_overlap(self):
        """`iqdisc` becomes the policy of the module's routes."""
        for table, policy in (
            ("{type = 'parallel'}", "parallel"),
            ("{type = 'queues', workers = 4}", "queues:4"),
            ("{type = 'one_queue'}", "one_queue"),
        ):
            self.assertEqual(self.chosen(f"[modules.mod_always]\niqdisc = {table}")["mod_always"][1], policy)

    def test_a_table_inside_of_a_table(self):
        """MongooseIM's backends of a module are modules here; their tables may be inside of its own."""
        text = "[modules.mod_always.more]\ntimes = 2\niqdisc = {type = 'parallel'}"
        found = self.chosen(text)
        self.assertEqual(found["mod_always_more"], (GreetSettings(times=2), "parallel"))
        self.assertEqual(found["mod_always"], (GreetSettings(), None))
        for_one = text.replace("modules.", "host_config.modules.").replace("'", '"')
        found = self.chosen(f"[[host_config]]\nhost = 'localhost'\n{for_one}")
        self.assertEqual(found["mod_always_more"], (GreetSettings(times=2), "parallel"))

    def test_two_tables_of_one_module(self):
        """One module has one table; nothing else is looked for inside of a table."""
        for text in (
            "[modules.mod_always.more]\n[modules.mod_always_more]",
            "[modules.mod_always]\nmore = 1",
            "[modules.mod_greet.more]",
        ):
            error = self.assertRaises(ConfigError, read, text)
            self.assertIn("unknown key", str(error))

    def test_one_host_may_differ(self):
        """A table of a host_config takes the place of the general one for that host only."""
        text = """
        [general]
        hosts = ["a.example", "b.example"]
        [modules.mod_always]
        text = "both"
        [[host_config]]
        host = "b.example"
        [host_config.auth]
        methods = ["anonymous"]
        [host_config.modules.mod_always]
        text = "b"
        """
        self.assertEqual(self.chosen(text, "a.example")["mod_always"][0].text, "both")
        self.assertEqual(self.chosen(text, "b.example")["mod_always"][0].text, "b")
        self.assertEqual(read(text).auth_for("a.example").methods, ["internal"])
        self.assertEqual(read(text).auth_for("b.example").methods, ["anonymous"])

    def test_the_class_is_loaded_on_demand(self):
        """A choice gives the module's class by its string."""
        (choice,) = read("[modules.mod_always]").modules_for("localhost")
        self.assertIs(choice.load(), Greet)

    def test_components_by_domain(self):
        """Each host gets its own component, with its own options."""
        config = read(
            """
            [general]
            hosts = ["a.example", "b.example"]
            [components."bot.@HOST@"]
            handler = "builtins:dict"
            options = {home = "@HOST@"}
            [components."one.example"]
            handler = "builtins:nothing"
            """
        )
        found = config.components()
        self.assertEqual(list(found), ["bot.a.example", "bot.b.example", "one.example"])
        self.assertEqual(found["bot.b.example"].make(), {"home": "b.example"})
        self.assertRaises(ConfigError, found["one.example"].make)

    def test_kinds_of_components(self):
        """A component is a handler in the process or a secret for another program, and not both."""
        wanted = 'components."bot.localhost": a component has either a handler or a secret'
        for text in ("", "handler = 'a:b'\nsecret = 'x'"):
            with self.assertRaises(ConfigError) as caught:
                read(f"[components.'bot.localhost']\n{text}")
            self.assertIn(wanted, str(caught.exception))
        with self.assertRaises(ConfigError) as caught:
            read("[components.'bot.localhost']\nsecret = 'x'\noptions = {a = 1}")
        self.assertIn("options are for a handler", str(caught.exception))

    def test_aside_touches_nothing(self):
        """A look at the pipeline uses memory and another folder, with the same modules."""
        aside = read("[modules.mod_greet]").aside(Path("elsewhere"))
        self.assertEqual((aside.storage.url, aside.general.data_dir), ("memory", Path("elsewhere")))
        self.assertIn(GREET, [choice.maker for choice in aside.modules_for("localhost")])
