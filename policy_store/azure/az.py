"""The operator's own Azure CLI: it runs through its command `az`, as whoever is signed in there."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

_SECONDS = 900  # of one command: a free certificate alone is waited for some minutes
_BATCH = (".cmd", ".bat")
_MEANT_BY_CMD = set('"%!^&|<>\r\n')
_QUIET = {"AZURE_CORE_ONLY_SHOW_ERRORS": "true", "AZURE_CORE_NO_COLOR": "true"}


class AzFailed(Exception):
    """A command of the Azure CLI failed; the message is what it says itself."""


class NoAz(Exception):
    """There is no Azure CLI on this machine; the message says what to do."""


def started_by(az: Path, words: Sequence[str]) -> list[str]:
    """The command line that starts the Azure CLI at `az` with these words. Raises AzFailed.

    On Windows `az` is a batch file, whose words cmd.exe would interpret once more: in its place the Python is started
    that the installer, or pip, put beside it. Where there is none, no word is let through that cmd.exe could misread.
    """
    if az.suffix.lower() not in _BATCH:
        return [str(az), *words]
    for python in (az.parent.parent / "python.exe", az.parent / "python.exe"):
        if python.is_file():
            return [str(python), "-IBm", "azure.cli", *words]
    if odd := next((word for word in words if _MEANT_BY_CMD.intersection(word)), None):
        raise AzFailed(f"{az} is a batch file without its Python beside it, which cannot be given {odd!r}")
    return [str(az), *words]


class Az:
    """Runs commands of the Azure CLI. Raises NoAz if there is none on this machine."""

    def __init__(self) -> None:
        program = shutil.which("az")
        if program is None:
            raise NoAz(
                "There is no Azure CLI (az) on this machine: install it, use Azure Cloud Shell, or "
                "give --app-host, --verification-id and --plan to have the commands printed"
            )
        self._program = Path(program)

    def ask(self, *words: str) -> Any:
        """What the command `az WORDS` answers, read from its JSON; None if it answers nothing. Raises AzFailed."""
        command = " ".join(("az", *takewhile(lambda word: not word.startswith("-"), words)))
        try:
            done = subprocess.run(  # noqa: S603 - the operator's own program, with a list of words, without a shell
                started_by(self._program, [*words, "-o", "json"]),
                check=False,
                env={**os.environ, **_QUIET},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise AzFailed(f"{command} was still running after {_SECONDS} seconds") from error
        except OSError as error:
            raise AzFailed(f"{command} cannot be run: {error.strerror}") from error
        if done.returncode != 0:
            raise AzFailed(f"{command} says: {_reason(done.stderr)}")
        try:
            return json.loads(done.stdout) if done.stdout.strip() else None
        except ValueError as error:
            raise AzFailed(f"{command} answered no JSON") from error


def _reason(stderr: str) -> str:
    """The Azure CLI's own error message, in one line of printable characters."""
    text = stderr[stderr.find("ERROR:") :].removeprefix("ERROR:") if "ERROR:" in stderr else stderr
    line = " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
    return line[:400] or "nothing"
