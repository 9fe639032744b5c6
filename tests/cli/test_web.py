"""`mta-sts web` as a process: it says one address, opens one browser without showing it the token, and ends quietly."""

import http.client
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dev.azurite import Azurite
from policy_store.tables.store import Store
from tests.cli.conftest import Run

_CODE = "from policy_store.cli import main; main()"


@contextmanager
def started(azurite: Azurite, *words: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The page, and the address that it says."""
    command = [sys.executable, "-c", _CODE, "web", "--port", "0", *words]
    settings = {**os.environ, "POLICY_STORE": azurite.connection_string, **environment}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=settings, **pipes) as process:  # type: ignore[call-overload]
        try:
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found
            yield process, found[0]
        finally:
            if process.poll() is None:
                process.kill()


def ask(address: str) -> int:
    """The status of the answer at an address."""
    url = urlsplit(address)
    connection = http.client.HTTPConnection(url.netloc, timeout=30)
    try:
        connection.request("GET", f"{url.path}?{url.query}")
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal_and_logs_nothing(azurite: Azurite, store: Store, how: signal.Signals) -> None:
    with started(azurite, "--no-browser") as (process, address):
        assert ask(address) == 200
        assert ask(address) == 403
        process.send_signal(how)
        out, err = process.communicate(timeout=30)
    token = address.rpartition("=")[2]
    assert token not in out + err
    assert "Traceback" not in err


def test_the_browser_gets_a_file_that_only_its_owner_reads(azurite: Azurite, store: Store, tmp_path: Path) -> None:
    """What a program is started with is seen by everybody on the machine."""
    seen = tmp_path / "seen"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {seen}.part; mv {seen}.part {seen}\n', encoding="ascii")
    browser.chmod(0o700)
    with started(azurite, BROWSER=f"{browser} %s") as (_, address):
        token = address.rpartition("=")[2]
        for _ in range(300):
            if seen.exists():
                break
            time.sleep(0.1)
        opened = seen.read_text(encoding="ascii").strip()
        assert opened.startswith("file://")
        assert token not in opened
        path = Path(opened.removeprefix("file://"))
        assert token in path.read_text(encoding="utf-8")
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_report_is_written_and_says_where(run: Run, tmp_path: Path) -> None:
    run("add", "contoso.com", "--mx", "mx.example", "--customer", "Contoso")
    done = run("web", "--export", str(tmp_path / "report"), "--where", "customer = Contoso")
    assert done.exit_code == 0
    assert f"3 pages are in {tmp_path / 'report'}" in done.stdout.replace("\n", "")
    again = run("web", "--export", str(tmp_path / "report"))
    assert again.exit_code == 2
    assert "is not empty: name a new folder" in again.stderr


def test_where_is_for_the_report_only(run: Run) -> None:
    assert "--where is for --export" in run("web", "--where", "mode = none").stderr
