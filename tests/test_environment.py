"""Tests find nothing of the person's: whatever was set when they were started, and wherever."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.cli.conftest import Run, run, store
from tests.environment import machine_environment

__all__ = ["run", "store"]  # fixtures of the command's own tests

# What a person may have set: the app's settings, a sign-in, wishes for the terminal, another encoding.
_SET = {
    "AZURE_CLIENT_ID": "00000000-0000-0000-0000-000000000000",
    "AZURE_TOKEN_CREDENTIALS": "prod",
    "CLICOLOR_FORCE": "1",
    "COLUMNS": "33",
    "EMAIL": "ada@contoso.com",
    "FORCE_COLOR": "1",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "IDENTITY_ENDPOINT": "http://127.0.0.1:9",
    "LC_ALL": "C",
    "LINES": "5",
    "NO_PROXY": "example",
    "POLICY_AUDIT_SCHEDULE": "0 0 3 * * *",
    "POLICY_FRESH_SECONDS": "0",
    "POLICY_HOST_HEADER": "X-Original-Host",
    "POLICY_STORE": "nonsense",
    "POLICY_STORE__tableServiceUri": "https://contoso.table.core.windows.net",
    "PYTHONIOENCODING": "cp1252",
    "REQUESTS_CA_BUNDLE": "/nonexistent",
    "SSL_CERT_FILE": "/nonexistent",
    "TERM": "xterm-256color",
    "TZ": "Pacific/Kiritimati",
    "policy_store": "nonsense",
}
_TELL = "import json, os; print(json.dumps([dict(os.environ), os.getcwd()]))"


def test_the_environment_is_the_tests_own() -> None:
    names = {name for name in os.environ if not name.startswith("PYTEST_")}
    assert names <= {"COLUMNS", "HOME", "LANG", "LINES", "NO_COLOR", "PATH", "TERM", "TMPDIR"}
    assert set(machine_environment()) >= {"PATH"}


def test_a_process_starts_in_an_empty_folder_with_another_home() -> None:
    done = subprocess.run([sys.executable, "-c", _TELL], capture_output=True, text=True, check=True)
    environment, folder = json.loads(done.stdout)
    assert environment["HOME"] == os.environ["HOME"]
    assert not [name for name in environment if name.upper().startswith(("POLICY_", "AZURE_"))]
    assert list(Path(folder).iterdir()) == []
    assert not Path(environment["HOME"]).is_relative_to(ROOT)


@pytest.mark.parametrize(("home", "workers"), [([], "0"), ([("HOME", "/nonexistent")], "1")], ids=["none", "another"])
def test_nothing_of_the_person_reaches_a_test(home: list[tuple[str, str]], workers: str, tmp_path: Path) -> None:
    """Another pytest, started with all of that and with settings in its folder, passes the other tests of this file."""
    (tmp_path / "local.settings.json").write_text('{"Values": {"POLICY_STORE": "nonsense"}}')
    command = [sys.executable, "-m", "pytest", "-q", "-n", workers, "-p", "no:cacheprovider"]
    command += ["-c", str(ROOT / "pyproject.toml"), "--basetemp", str(tmp_path / "temporary")]
    command += [__file__, "-k", "not reaches_a_test"]
    environment = {"PATH": os.environ["PATH"], **_SET, **dict(home)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_the_command_finds_its_store_and_its_width(run: Run) -> None:
    """The store of the fixture, as if nobody had set another; 80 columns, and no colour."""
    said = run("list")
    assert (said.exit_code, said.stderr) == (0, "")
    assert "\x1b" not in run("edit", "--help").stdout
    assert max(map(len, run("edit", "--help").stdout.splitlines())) == 80
