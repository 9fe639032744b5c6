"""One process at a time owns a folder, and says in it at which address it can be reached.

The lock is the operating system's, on an open file, so that it ends with the last process that holds this file open, in
whatever way it ends. A child that inherits the file keeps the lock as long as it lives.
"""

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

_NAME = "owner"
# What an owner has for starting until it says its address, and what its children have after a crash for writing.
_SECONDS_TO_WAIT = 10

if sys.platform == "win32":
    import msvcrt

    _LOCKED = PermissionError

    def _lock(file: IO[str]) -> None:
        file.seek(1 << 30)  # where nothing is: others may not read what is locked
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        file.seek(0)
else:
    import fcntl

    _LOCKED = BlockingIOError

    def _lock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class NotOwned(Exception):
    """The folder cannot be had; the sentence says why, and where its owner is."""


class Owner:
    """The owner of a folder: `file` holds the lock."""

    def __init__(self, file: IO[str]) -> None:
        self.file = file

    def say(self, url: str) -> None:
        """Tell whoever else wants the folder that the owner listens at this address."""
        self.file.write(url)
        self.file.flush()


@contextmanager
def owning(folder: Path, *, seconds: float = _SECONDS_TO_WAIT) -> Iterator[Owner]:
    """Own the folder, which is made if there is none, for a `with` block. Raises NotOwned.

    Where another owner listens at the address that it has said, that is raised at once. One that is about to say it, or
    that has crashed and whose children still write, is waited for, up to `seconds`.
    """
    try:
        folder.mkdir(exist_ok=True)
        file = (folder / _NAME).open("a+", encoding="utf-8")
    except OSError as error:
        raise NotOwned(f"{folder}/ cannot be written: {error.strerror}.") from error
    with file:
        deadline = time.monotonic() + seconds
        while not _locked(file):
            url = (folder / _NAME).read_text(encoding="utf-8")
            if _listens(url):
                raise NotOwned(f"It runs already in this folder: {url}. Stop that one first, with Ctrl-C.")
            if time.monotonic() > deadline:
                raise NotOwned(f"It runs already in this folder, and does not answer: another process has {folder}/.")
            time.sleep(0.05)
        file.truncate(0)
        yield Owner(file)
        file.truncate(0)


def _locked(file: IO[str]) -> bool:
    try:
        _lock(file)
    except _LOCKED:
        return False
    return True


def _listens(url: str) -> bool:
    address = urlsplit(url)
    if not (address.hostname and address.port):
        return False
    try:
        socket.create_connection((address.hostname, address.port), timeout=1).close()
    except OSError:
        return False
    return True
