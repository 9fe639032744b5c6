"""The environment and the folder that tests run in, and with them all that they start: nothing of the person's own."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_KEPT = ("PATH", "TMPDIR")
_KEPT_PREFIX = "PYTEST_"
_OWN = {"COLUMNS": "80", "LANG": "C.UTF-8", "LINES": "40", "NO_COLOR": "1", "TERM": "dumb"}

_machine: dict[str, str] = {}


def replace_environment() -> None:
    """Leave in this process's environment what a test may count on, without a home until `of_our_own`."""
    _machine.update(os.environ)
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIX)}
    os.environ.clear()
    os.environ.update({**kept, **_OWN})


def machine_environment() -> Mapping[str, str]:
    """The environment that pytest was started in: for pip, which has to know where this machine has packages from."""
    return dict(_machine)


@contextmanager
def of_our_own(current: Path, home: Path) -> Iterator[None]:
    """Make `current` the current folder, and `home` the home, of this process and of what it starts."""
    before = Path.cwd()
    os.chdir(current)
    os.environ["HOME"] = str(home)
    yield
    os.chdir(before)
