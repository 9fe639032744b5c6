"""`make run` as a process: what it prints works, its tables survive, and it stops all that it started."""

import http.client
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dev.owner import owning

COMMAND = [sys.executable, "-m", "dev.run"]


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run it in `folder` on free ports; gives the process and all that it printed until it was ready."""
    environment = {**os.environ, "PORT": "0", "TABLE_PORT": "0", **settings}
    with subprocess.Popen(COMMAND, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        said = ""
        for line in process.stdout:
            said += line
            if "Ctrl-C" in line:
                break
        try:
            yield process, said
        finally:
            process.terminate()


def answer_to(curl_line: str) -> tuple[int, bytes]:
    """Send the request that the printed command would send."""
    words = shlex.split(curl_line)
    assert words[:3] == ["curl", "-i", "-H"]
    url = urlsplit(words[4])
    connection = http.client.HTTPConnection(url.netloc, timeout=10)
    try:
        connection.request("GET", url.path, headers=dict([words[3].split(": ")]))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_printed_request_is_answered_and_a_signal_stops_everything(tmp_path: Path, how: signal.Signals) -> None:
    with running(tmp_path) as (process, said):
        assert "8 sample policies added" in said
        assert answer_to(said[said.index("curl") :].splitlines()[0]) == (
            200,
            b"version: STSv1\r\nmode: testing\r\nmx: *.mail.protection.outlook.com\r\nmax_age: 604800\r\n",
        )
        process.send_signal(how)
        assert process.wait(15) == 0
    ports = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", said)}
    assert len(ports) == 2
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)


def test_policies_survive_a_restart_and_samples_stay_out_of_a_table_that_has_some(tmp_path: Path) -> None:
    for expected in ("8 sample policies added", "(kept in .azurite/)"):
        with running(tmp_path) as (process, said):
            assert expected in said
            assert answer_to(said[said.index("curl") :].splitlines()[0])[0] == 200
            process.terminate()
            assert process.wait(15) == 0


def test_the_printed_lines_lead_the_command_to_the_tables(tmp_path: Path) -> None:
    """The one for a shell is run by a shell; `--store` takes the address that is printed."""
    with running(tmp_path) as (_, said):
        (line,) = [line for line in said.splitlines() if line.startswith("export ")]
        command = f"{shlex.quote(sys.executable)} -m policy_store"
        done = subprocess.run(
            ["/bin/sh", "-c", f"{line}\n{command} list"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "contoso.example" in done.stdout
        address = re.findall(r"^Tables: (\S+)", said)[0]
        words = [sys.executable, "-m", "policy_store", "list", "--store", address]
        assert subprocess.run(words, capture_output=True, text=True, check=False).stdout == done.stdout
        assert line.replace("export POLICY_STORE=", "$env:POLICY_STORE = ") in said.splitlines()


def url_of(said: str) -> str:
    """The address of the app, as the printed command has it."""
    (url,) = re.findall(r"(http://127\.0\.0\.1:\d+)/\.well-known", said)
    return str(url)


def run_again(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run it where it has to end by itself."""
    environment = {**os.environ, "PORT": "0", "TABLE_PORT": "0", **settings}
    return subprocess.run(COMMAND, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("ports", ["the same", "others"])
def test_a_second_one_in_the_folder_says_where_the_first_is_and_ends(tmp_path: Path, ports: str) -> None:
    with running(tmp_path) as (process, said):
        url = url_of(said)
        tables = re.findall(r"Tables: http://127\.0\.0\.1:(\d+)", said)[0]
        settings = {"PORT": url.rpartition(":")[2], "TABLE_PORT": tables} if ports == "the same" else {}
        ended = run_again(tmp_path, **settings)
        assert ended.returncode == 1
        assert ended.stdout == ""
        assert ended.stderr == f"It runs already in this folder: {url}. Stop that one first, with Ctrl-C.\n"
        assert answer_to(said[said.index("curl") :].splitlines()[0])[0] == 200
        assert process.poll() is None


def test_one_in_another_folder_runs_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with running(tmp_path / "a") as (_, first), running(tmp_path / "b") as (_, second):
        assert "8 sample policies added" in first
        assert "8 sample policies added" in second


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_however_it_ended_the_next_one_starts_at_once_with_the_same_tables(tmp_path: Path, how: signal.Signals) -> None:
    with running(tmp_path) as (process, _):
        process.send_signal(how)
    with running(tmp_path) as (_, said):
        assert "(kept in .azurite/)" in said


def test_after_a_crash_nobody_owns_the_folder_before_the_table_service_has_ended(tmp_path: Path) -> None:
    with running(tmp_path) as (process, said):
        port = int(re.findall(r"Tables: http://127\.0\.0\.1:(\d+)", said)[0])
        process.kill()
    with owning(tmp_path / ".azurite"), pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_the_app_has_its_own_tables_whatever_store_the_environment_names(tmp_path: Path) -> None:
    store = {"POLICY_STORE__tableServiceUri": "https://contoso.table.core.windows.net", "POLICY_STORE": "nonsense"}
    with running(tmp_path, **store) as (_, said):
        assert answer_to(said[said.index("curl") :].splitlines()[0])[0] == 200


def test_a_folder_that_cannot_be_made_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / ".azurite").touch()
    ended = run_again(tmp_path)
    assert (ended.returncode, ended.stderr) == (1, ".azurite/ cannot be written: File exists.\n")


@pytest.mark.parametrize(("setting", "whose"), [("PORT", "The app"), ("TABLE_PORT", "The table service")])
def test_a_port_in_use_is_one_clear_sentence(tmp_path: Path, setting: str, whose: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_again(tmp_path, **{setting: str(port)})
    assert ended.returncode == 1
    assert (
        ended.stderr == f"{whose} cannot listen on 127.0.0.1:{port}: Address already in use. "
        "Choose other ports as in: make run PORT=8071 TABLE_PORT=11002\n"
    )


def test_a_port_that_is_none_is_one_clear_sentence(tmp_path: Path) -> None:
    ended = run_again(tmp_path, PORT="http")
    assert ended.returncode == 1
    assert ended.stderr == "PORT is 'http': it must be a port from 1 to 65535, or 0 for a free one.\n"
