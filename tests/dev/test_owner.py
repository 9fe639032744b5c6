"""The owner of a folder: one at a time, found by its address, and never left behind by a process that is gone."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dev.owner import NotOwned, owning

_CHILD = "import time; print('child', flush=True); time.sleep(60)"
_OWNER = f"""
import subprocess, sys, time
from pathlib import Path
from dev.owner import owning
with owning(Path(sys.argv[1])) as owner:
    if sys.argv[2:] == ["with a child"]:
        child = subprocess.Popen([sys.executable, "-c", {_CHILD!r}], pass_fds=[owner.file.fileno()])
        print(child.pid, flush=True)
    else:
        print("owned", flush=True)
    time.sleep(60)
"""


@contextmanager
def owner(folder: Path, *words: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Another process that owns the folder, and the first line that it prints."""
    command = [sys.executable, "-c", _OWNER, str(folder), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_it_is_ours_again_after_the_block(tmp_path: Path) -> None:
    for _ in range(2):
        with owning(tmp_path / "tables") as held:
            held.say("http://127.0.0.1:9")
            assert (tmp_path / "tables" / "owner").read_text() == "http://127.0.0.1:9"
    assert (tmp_path / "tables" / "owner").read_text() == ""


def test_a_second_owner_is_told_where_the_first_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, owning(tmp_path) as held:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        held.say(url)
        with pytest.raises(NotOwned) as raised, owning(tmp_path):
            pass
        assert str(raised.value) == f"It runs already in this folder: {url}. Stop that one first, with Ctrl-C."
        assert (tmp_path / "owner").read_text() == url


def test_one_that_never_says_where_it_is_is_given_up(tmp_path: Path) -> None:
    with (
        owning(tmp_path),
        pytest.raises(NotOwned, match="It runs already in this folder, and does not answer"),
        owning(tmp_path, seconds=0.2),
    ):
        pass


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    with owner(tmp_path) as (process, _):
        with pytest.raises(NotOwned), owning(tmp_path, seconds=0):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        with owning(tmp_path, seconds=0):
            pass


def test_the_child_of_a_killed_process_keeps_the_lock_until_it_ends(tmp_path: Path) -> None:
    with owner(tmp_path, "with a child") as (process, child):
        process.kill()
        process.wait()
        with pytest.raises(NotOwned), owning(tmp_path, seconds=0.2):
            pass
        start = time.monotonic()
        subprocess.run(["sh", "-c", f"sleep 0.3 && kill -9 {int(child)} &"], check=True)
        with owning(tmp_path):
            assert time.monotonic() - start >= 0.3


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(NotOwned) as raised, owning(tmp_path / "none" / "tables"):
        pass
    assert str(raised.value) == f"{tmp_path}/none/tables/ cannot be written: No such file or directory."
