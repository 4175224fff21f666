"""The palaver command: what it prints, what it refuses, and its exit status."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import stat
import sys
import tempfile
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from palaver import __version__, cli
from palaver.ask import NotRunning, ask, socket_path
from palaver.mistakes import ConfigError
from palaver.test.commands import run_python
from palaver.test.peers.server import ServerProcess
from palaver.xeps.invites import NO_REGISTRATION

WAIT_S = 20


class CommandCase(SynchronousTestCase):
    """Runs commands in a folder of their own."""

    def setUp(self):
        # A control socket's path is short, and trial's folders are deep.
        self.folder = Path(tempfile.mkdtemp(prefix="palaver-cli-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.folder)

    def run_here(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        """Run a command in this process; gives the exit status, the output and the complaints."""
        out, err = io.StringIO(), io.StringIO()
        self.patch(sys, "stdin", io.StringIO(stdin))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = cli.main(arguments)
            except SystemExit as exit:
                status = int(exit.code or 0)
        return status, out.getvalue(), err.getvalue()

    def run_apart(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        """Run it in a process of its own, for commands that need a reactor."""
        done = run_python("-m", "palaver.cli", *arguments, stdin=stdin, cwd=str(self.folder))
        return done.returncode, done.stdout, done.stderr


class UsageTests(CommandCase):
    """Commands that need no server."""

    def test_version(self):
        """`palaver --version` names the version."""
        self.assertEqual(self.run_here("--version"), (0, f"palaver {__version__}\n", ""))

    def test_no_command(self):
        """Without a command the usage is shown and the status is 2."""
        status, out, err = self.run_here()
        self.assertEqual((status, out), (2, ""))
        self.assertIn("usage: palaver", err)

    def test_an_unknown_command(self):
        """A command that does not exist is answered with those that do."""
        status, _, err = self.run_here("fly")
        self.assertEqual(status, 2)
        self.assertIn("'init'", err)

    def test_init_writes_a_configuration_once(self):
        """`palaver init` writes palaver.toml; a second time it leaves it alone and fails."""
        status, out, _ = self.run_here("init")
        self.assertEqual(status, 0)
        self.assertIn("palaver start --config palaver.toml", out)
        before = Path("palaver.toml").read_bytes()
        status, _, err = self.run_here("init")
        self.assertEqual((status, err), (1, "palaver.toml is there already and stays as it is.\n"))
        self.assertEqual(Path("palaver.toml").read_bytes(), before)

    def test_init_where_nothing_can_be_written(self):
        """A folder that is not there is one sentence."""
        status, _, err = self.run_here("init", "--config", "nowhere/palaver.toml")
        self.assertEqual(status, 1)
        self.assertEqual(err, "nowhere/palaver.toml cannot be written: No such file or directory.\n")

    def test_check_finds_no_mistake(self):
        """The configuration of `palaver init` passes `palaver check`."""
        self.run_here("init")
        self.assertEqual(self.run_here("check"), (0, "palaver.toml has no mistakes.\n", ""))

    def test_check_without_a_file(self):
        """Without a file the defaults are checked."""
        self.assertEqual(self.run_here("check"), (0, "The default configuration has no mistakes.\n", ""))

    def test_check_lists_every_mistake(self):
        """Each mistake is a line with the file and the key; the status is 2."""
        Path("bad.toml").write_text("[general]\nhost = 'x'\n[modules.mod_png]\n")
        status, out, err = self.run_here("check", "--config", "bad.toml")
        self.assertEqual((status, out), (2, ""))
        lines = err.splitlines()
        self.assertTrue(lines[0].startswith("bad.toml: general.host: unknown key"))
        self.assertIn("bad.toml: modules.mod_png: unknown module; did you mean 'mod_ping'?", lines[1])
        self.assertEqual(len(lines), 2)

    def test_a_configuration_that_is_not_there(self):
        """A file that is named has to be there, for every command."""
        for command in (["start"], ["check"], ["status"], ["account", "list"], ["storage", "upgrade"]):
            status, _, err = self.run_here(*command, "--config", "none.toml")
            self.assertEqual((status, err), (2, "none.toml: cannot be read: No such file or directory\n"))

    def test_status_and_reload_need_a_server(self):
        """Without a running server both say so."""
        for command in ("status", "reload"):
            status, _, err = self.run_here(command)
            self.assertEqual(status, 1)
            self.assertIn("No server has palaver-data open", err)

    def test_a_data_folder_with_a_long_name(self):
        """A path that no socket can have is refused with the reason."""
        error = self.assertRaises(ConfigError, socket_path, Path("/" + "x" * 200))
        self.assertIn("too long for a socket", str(error))

    def test_a_socket_that_nobody_serves(self):
        """What a killed server leaves behind counts as no server."""
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(socket_path(self.folder)))
        self.assertRaises(NotRunning, ask, self.folder, {"command": "status"})


class StoredTests(CommandCase):
    """Commands that open the storage themselves, because no server runs."""

    def test_the_life_of_an_account(self):
        """Made, listed, changed and deleted, each from the command line."""
        made = self.run_apart("account", "create", "juliet@localhost", "--password", "sesame")
        self.assertEqual(made, (0, "juliet@localhost has been created.\n", ""))
        self.assertEqual(self.run_apart("account", "list"), (0, "juliet@localhost\n", ""))
        self.assertEqual(self.run_apart("account", "passwd", "juliet@localhost", stdin="open\n")[0], 0)
        self.assertEqual(self.run_apart("account", "delete", "juliet@localhost")[0], 0)
        self.assertEqual(self.run_apart("account", "list", "localhost"), (0, "", ""))

    def test_the_data_folder_is_private(self):
        """Nobody else on the machine can read what is stored."""
        self.run_apart("account", "list")
        self.assertEqual(stat.S_IMODE(Path("palaver-data").stat().st_mode), 0o700)

    def test_what_cannot_be_done_is_one_sentence(self):
        """Accounts twice, missing, elsewhere or badly named: status 1 and what to do."""
        create = ("account", "create")
        self.run_apart(*create, "juliet@localhost", "--password", "sesame")
        for arguments, said in (
            ((*create, "juliet@localhost", "--password", "x"), "exists already"),
            ((*create, "juliet@example.org", "--password", "x"), "is not served here; served: localhost"),
            ((*create, "juliet", "--password", "x"), "write user@host"),
            ((*create, "@localhost", "--password", "x"), "is no account"),
            ((*create, "nurse@localhost", "--password", ""), "The password cannot be used"),
            (("account", "delete", "romeo@localhost"), "There is no account romeo@localhost"),
        ):
            status, out, err = self.run_apart(*arguments)
            self.assertEqual((status, out), (1, ""), arguments)
            self.assertIn(said, err)
            self.assertEqual(err.count("\n"), 1)

    def test_an_account_is_locked_out(self):
        """`palaver account disable` and `enable` lock out and let in; `kick` ends sessions."""
        self.run_apart("account", "create", "juliet@localhost", "--password", "sesame")
        for command, said in (
            ("disable", "juliet@localhost has been disabled.\n"),
            ("enable", "juliet@localhost has been re-enabled.\n"),
            ("kick", "0 sessions have been ended.\n"),
        ):
            self.assertEqual(self.run_apart("account", command, "juliet@localhost"), (0, said, ""))

    def test_invitations(self):
        """`palaver invite create` prints a link, which the list shows."""
        status, _, err = self.run_apart("invite", "create", "localhost")
        self.assertEqual((status, err), (1, f"{NO_REGISTRATION}\n"))
        Path("palaver.toml").write_text("[modules.mod_register]\nallow_registration = false\n")
        status, out, _ = self.run_apart(
            "invite", "create", "localhost", "--username", "bill", "--lifetime", "60"
        )
        self.assertEqual(status, 0)
        self.assertRegex(out, r"^uri: xmpp:bill@localhost\?register;preauth=[\w-]{24}\nexpire: ")
        status, out, _ = self.run_apart("invite", "list", "localhost")
        self.assertIn("for bill, 1 left", out)
        self.assertEqual(self.run_apart("invite", "delete", "localhost", out.split()[0])[0], 0)
        self.assertEqual(self.run_apart("invite", "list", "localhost"), (0, "", ""))
        status, _, err = self.run_apart("invite", "create", "localhost", "--uses", "0")
        self.assertEqual(status, 1)
        self.assertIn("uses", err)

    def test_any_command(self):
        """`palaver run` runs what a host's modules have, with the fields of its form, and lists them."""
        self.assertEqual(self.run_apart("account", "create", "juliet@localhost", stdin="secret\n")[0], 0)
        status, out, _ = self.run_apart("run", "localhost")
        self.assertEqual(status, 0)
        self.assertIn("room create room= owner= [title=]", out)
        made = ("room", "create", "room=hall", "owner=juliet@localhost", "title=Great hall", "public=0")
        said = "hall@muc.localhost has been created.\n"
        self.assertEqual(self.run_apart("run", "localhost", *made), (0, said, ""))
        listed = self.run_apart("run", "localhost", "room", "list", "find=hall")
        self.assertEqual(listed, (0, "hall@muc.localhost 0 Great hall\n", ""))
        for words, said in (
            (("room", "list", "seek=hall"), "room list takes no seek; it takes: find, after, limit.\n"),
            (("room", "burn"), "There is no command 'room burn' on localhost; its module may be off.\n"),
        ):
            self.assertEqual(self.run_apart("run", "localhost", *words), (1, "", said))
        status, _, err = self.run_apart("run", "localhost", "room", "create", "room=hall")
        self.assertEqual(status, 1)
        self.assertIn("owner", err)

    def test_the_pipeline_is_printed(self):
        """`palaver check --pipeline` shows who handles which stanza, and leaves nothing behind."""
        status, out, _ = self.run_apart("check", "--pipeline")
        self.assertEqual(status, 0)
        self.assertEqual(out.split("\n")[0].split(), ["host", "direction", "stanza", "phase", "module"])
        self.assertIn(
            ["localhost", "undelivered", "message", "store", "mod_offline"], map(str.split, out.split("\n"))
        )
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_the_storage_is_brought_up_to_date(self):
        """`palaver storage upgrade` makes the tables, and has nothing to do the next time."""
        self.assertEqual(self.run_apart("storage", "upgrade"), (0, "The storage has been upgraded.\n", ""))
        self.assertEqual(self.run_apart("storage", "upgrade"), (0, "The storage is up to date.\n", ""))


class RunningTests(SynchronousTestCase):
    """Commands that reach a running server, and its signals."""

    def serve(self) -> ServerProcess:
        server = ServerProcess({})
        self.addCleanup(server.stop)
        server.start()
        return server

    def wait_for(self, server: ServerProcess, text: str) -> None:
        """Wait until the server has logged something."""
        end = time.monotonic() + WAIT_S
        while text not in server.log():
            if time.monotonic() > end:
                self.fail(f"{text!r} was not logged:\n{server.log()}")
            time.sleep(0.02)

    def test_commands_reach_the_server(self):
        """Accounts, status and reload go through the server, and its socket is its owner's alone."""
        server = self.serve()
        self.assertEqual(stat.S_IMODE((server.data_dir / "control.sock").stat().st_mode), 0o600)
        server.command("account", "create", "juliet@localhost", "--password", "sesame")
        self.assertEqual(server.command("account", "list"), "juliet@localhost\n")
        self.assertIn("account-created user=juliet", server.log())
        self.assertNotIn("sesame", server.log())
        status = json.loads(server.command("status", "--json"))
        self.assertEqual((status["hosts"], status["sessions"]), (["localhost"], 0))
        self.assertIn("up for ", server.command("status"))
        self.assertIn("up to date", server.command("storage", "upgrade"))
        self.assertIn("reloaded", server.command("reload"))
        self.assertIn("exists already", str(self.assertRaises(RuntimeError, server.command, *CREATE)))

    def test_a_reload_that_cannot_be_applied_changes_nothing(self):
        """`palaver reload` and SIGHUP refuse a wrong configuration, and the server goes on."""
        server = self.serve()
        server.config_file.write_text(server.config_file.read_text() + "\n[nonsense]\n")
        refused = ask(server.data_dir, {"command": "reload"})
        self.assertFalse(refused["ok"])
        self.assertIn("nonsense: unknown key", refused["error"])
        os.kill(server.pid, signal.SIGHUP)
        self.wait_for(server, "reload-refused")
        self.assertTrue(ask(server.data_dir, {"command": "status"})["ok"])

    def test_a_hangup_applies_the_configuration(self):
        """SIGHUP reads the file again."""
        server = self.serve()
        os.kill(server.pid, signal.SIGHUP)
        self.wait_for(server, "service reloaded")

    def test_a_second_server_on_the_same_data(self):
        """Two servers never share a data folder: the second does not start, the first goes on."""
        server = self.serve()
        done = run_python("-m", "palaver.cli", "start", "--config", str(server.config_file))
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("another server has", done.stderr)
        self.assertTrue(ask(server.data_dir, {"command": "status"})["ok"])

    def test_a_port_that_is_taken(self):
        """A port that somebody else has stops the start with status 1 and its address."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            server = ServerProcess({"listen": {"c2s": [{"interface": "127.0.0.1", "port": port}]}})
            self.addCleanup(server.stop)
            error = str(self.assertRaises(RuntimeError, server.start))
        self.assertIn("palaver ended with 1", error)
        self.assertIn(f"127.0.0.1:{port}", error)
        self.assertNotIn("Traceback", error)

    def test_nonsense_on_the_control_socket(self):
        """What is no request is answered with an error, and the next one is served."""
        server = self.serve()
        for request in ({}, {"command": "fly"}, {"command": "account create"}, {"command": ["x"]}):
            self.assertFalse(ask(server.data_dir, request)["ok"], request)
        self.assertTrue(ask(server.data_dir, {"command": "status"})["ok"])

    def test_a_start_after_a_crash(self):
        """A killed server leaves a socket behind, which does not stop the next one."""
        server = self.serve()
        server.kill()
        server.start()
        self.assertTrue(ask(server.data_dir, {"command": "status"})["ok"])


CREATE = ("account", "create", "juliet@localhost", "--password", "sesame")
