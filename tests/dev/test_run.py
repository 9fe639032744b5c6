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

COMMAND = [sys.executable, "-m", "dev.run"]


@contextmanager
def running(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run it in `folder` on free ports; gives the process and all that it printed until it was ready."""
    environment = {**os.environ, "PORT": "0", "TABLE_PORT": "0"}
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
    ports = [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", said)]
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


@pytest.mark.parametrize(("setting", "whose"), [("PORT", "The app"), ("TABLE_PORT", "The table service")])
def test_a_port_in_use_is_one_clear_sentence(tmp_path: Path, setting: str, whose: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment = {**os.environ, "PORT": "0", "TABLE_PORT": "0", setting: str(port)}
        ended = subprocess.run(
            COMMAND, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30, check=False
        )
    assert ended.returncode == 1
    assert (
        ended.stderr == f"{whose} cannot listen on 127.0.0.1:{port}: Address already in use. "
        "Choose other ports as in: make run PORT=8071 TABLE_PORT=11002\n"
    )


def test_a_port_that_is_none_is_one_clear_sentence(tmp_path: Path) -> None:
    ended = subprocess.run(
        COMMAND,
        cwd=tmp_path,
        env={**os.environ, "PORT": "http"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == "PORT is 'http': it must be a port from 1 to 65535, or 0 for a free one.\n"
