"""The manners of a command: quiet and verbose, help, completion, colours, any encoding, output that nobody reads."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from dev.azurite import Azurite
from policy_store.cli.command import COMMANDS
from policy_store.policy import Policy
from policy_store.tables.store import Store
from tests.cli.conftest import Run

_MTA_STS = (sys.executable, "-m", "policy_store")
_NAMES = [name for group in COMMANDS.values() for name in group]
_POLICY = Policy(mode="testing", mx=("mx.contoso.com",), max_age=604800)


def start(*words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own, its output in pipes."""
    return subprocess.run(
        [*_MTA_STS, *words], env={**os.environ, **environment}, capture_output=True, timeout=60, check=False
    )


def on_a_terminal(words: Sequence[str], **environment: str) -> str:
    """What the command prints on a terminal."""
    near, far = pty.openpty()
    with subprocess.Popen([*_MTA_STS, *words], env={**os.environ, **environment}, stdout=far, stderr=far) as process:
        os.close(far)
        said = b""
        while True:
            try:
                piece = os.read(near, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            said += piece
    os.close(near)
    assert process.returncode in (0, 1)
    return said.decode()


class TestQuiet:
    @pytest.mark.parametrize("where", [0, 1, None], ids=["before the command", "after it", "at the end"])
    def test_a_change_prints_nothing(self, run: Run, store: Store, where: int | None) -> None:
        words = ["add", "contoso.com", "--mx", "mx.contoso.com"]
        words.insert(len(words) if where is None else where, "-q")
        done = run(*words)
        assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")
        assert store.policies.get("contoso.com") is not None

    def test_what_was_asked_for_and_errors_stay(self, run: Run, store: Store) -> None:
        store.policies.add("contoso.com", _POLICY)
        assert "contoso.com" in run("-q", "list").stdout
        assert "nobody.example" in run("show", "nobody.example", "--quiet").stderr


class TestVerbose:
    @pytest.mark.usefixtures("store")
    @pytest.mark.parametrize("words", [("-v", "list"), ("list", "-v"), ("list", "--verbose")])
    def test_it_says_which_store_what_named_it_and_each_request(self, azurite: Azurite, words: tuple[str, ...]) -> None:
        done = start(*words, POLICY_STORE=azurite.connection_string)
        said = done.stderr.decode()
        assert done.returncode == 0
        assert f"Store: 127.0.0.1:{azurite.port}, named by the environment" in said
        assert re.search(r'"GET /devstoreaccount1/policies\(\)\S* HTTP/1\.1" 200', said)
        assert "AccountKey" not in said
        assert done.stdout == start("list", POLICY_STORE=azurite.connection_string).stdout


class TestNext:
    def test_add_says_what_comes_next(self, run: Run) -> None:
        done = run("add", "contoso.com", "--mx", "mx.contoso.com")
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("Next: ")]
        for command in ("dns show", "bind", "check"):
            assert f"'mta-sts {command} contoso.com'" in line

    def test_import_says_what_comes_next_and_its_dry_run_that_it_was_one(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "new.csv").write_text("domain,mx\ncontoso.com,mx.contoso.com\n")
        dry = run("import", str(tmp_path / "new.csv"), "--dry-run")
        assert dry.stderr.splitlines()[-1] == "Next: the same line without --dry-run."
        assert "'mta-sts dns show --all'" in run("import", str(tmp_path / "new.csv")).stderr
        again = run("import", str(tmp_path / "new.csv"))
        assert "Next:" not in again.output

    def test_json_and_what_failed_say_nothing_of_it(self, run: Run) -> None:
        assert "Next:" not in run("add", "contoso.com", "--mx", "mx.contoso.com", "--json").output
        assert "Next:" not in run("add", "contoso.com", "--mx", "mx.contoso.com").output  # it is here already


class TestEncoding:
    """On Windows, what goes to a file or a pipe is in cp1252, which has neither Cyrillic letters nor U+2028."""

    @pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii"])
    @pytest.mark.parametrize(
        "words",
        [
            "show contoso.com",
            "list",
            "list --format csv",
            "history contoso.com",
            "export - --to csv",
            "lint",
            "plan",
            "edit contoso.com --note Привет --dry-run",
            "edit --help",
            "show пример.example",
        ],
    )
    def test_no_traceback_and_an_end(self, store: Store, azurite: Azurite, words: str, encoding: str) -> None:
        row = store.policies.add("contoso.com", _POLICY, "Заметка \u2028 ü")
        store.history.record(row, store.policies, by="Ада", note="по-русски")
        done = start(*words.split(), POLICY_STORE=azurite.connection_string, PYTHONIOENCODING=encoding)
        assert done.returncode in (0, 1)
        assert b"Traceback" not in done.stderr
        assert b"nobody expected" not in done.stderr
        assert b"Traceback" not in done.stdout
        done.stderr.decode(encoding)
        done.stdout.decode("utf-8" if "export" in words else encoding)  # a file is in UTF-8 wherever it goes

    def test_a_character_that_the_encoding_has_not_is_shown_by_its_number(self, store: Store, azurite: Azurite) -> None:
        store.policies.add("contoso.com", _POLICY, "ü и")
        done = start("show", "contoso.com", POLICY_STORE=azurite.connection_string, PYTHONIOENCODING="cp1252")
        assert "ü \\u0438" in done.stdout.decode("cp1252")


class TestColours:
    def test_no_color_leaves_no_style_on_a_terminal(self, store: Store, azurite: Azurite) -> None:
        store.policies.add("contoso.com", _POLICY)
        settings = {"POLICY_STORE": azurite.connection_string, "TERM": "xterm-256color"}
        assert "\x1b[" in on_a_terminal(["list"], **settings, NO_COLOR="")
        assert "\x1b[" not in on_a_terminal(["list"], **settings, NO_COLOR="1")


@pytest.mark.parametrize("length", [1, 8000])
def test_an_end_that_nobody_reads_is_no_error(store: Store, azurite: Azurite, length: int) -> None:
    """As in `mta-sts list | head -0`, with less and with more output than a pipe takes."""
    for number in range(20):
        store.policies.add(f"contoso{number}.com", _POLICY, "x" * length)
    environment = {**os.environ, "POLICY_STORE": azurite.connection_string}
    with subprocess.Popen(
        [*_MTA_STS, "export", "-", "--to", "csv"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""


class TestHelp:
    @pytest.mark.parametrize("words", [("help", "show"), ("show", "-h"), ("show", "--help")])
    def test_every_way_to_it_is_the_same(self, run: Run, words: tuple[str, ...]) -> None:
        assert run(*words).output == run("show", "--help").output
        assert "Example: mta-sts show contoso.com" in run(*words).output

    def test_help_alone_is_that_of_the_whole(self, run: Run) -> None:
        assert run("help").output == run("--help").output

    @pytest.mark.parametrize("name", _NAMES)
    def test_every_command_has_the_common_options(self, run: Run, name: str) -> None:
        done = run("help", name)
        assert done.exit_code == 0
        if "Commands" not in done.output:
            for option in ("--quiet", "-q", "--verbose", "-v", "-h"):
                assert option in done.output


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell", "pwsh"])
    def test_each_shell_gets_its_lines_and_the_commands(self, shell: str) -> None:
        lines = start(_MTA_STS_COMPLETE=f"source_{shell}").stdout.decode()
        assert "mta-sts" in lines
        assert "_MTA_STS_COMPLETE" in lines
        words = {"COMP_WORDS": "mta-sts re", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "mta-sts re"}
        more = {"_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_WORD_TO_COMPLETE": "re"}
        said = start(_MTA_STS_COMPLETE=f"complete_{shell}", **words, **more).stdout.decode()
        for name in _NAMES:
            found = re.search(rf"""^(_arguments.*)?"?{name}\b""", said, re.MULTILINE)
            assert bool(found) == name.startswith("re"), said

    def test_options_and_the_names_of_stores_are_completed(self, tmp_path: Path) -> None:
        (tmp_path / "c.toml").write_text("[stores.contoso]\naddress = 'https://c.example'\n")

        def completed(line: str) -> list[str]:
            words = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" ")), "POLICY_CONFIG": str(tmp_path / "c.toml")}
            return start(_MTA_STS_COMPLETE="complete_bash", **words).stdout.decode().split()

        assert completed("mta-sts list --st") == ["--store"]
        assert completed("mta-sts list --store c") == ["contoso"]
        assert completed("mta-sts dns sh") == ["show"]
        assert "--install-completion" in completed("mta-sts --i")
