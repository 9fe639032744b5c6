"""The wheel in a bare environment, in a folder with spaces: the library of the app, and with its extra the command."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from dev.azurite import Azurite
from policy_store import __version__
from policy_store.tables.store import Store
from tests.checkout import ROOT, tracked
from tests.cli.conftest import store
from tests.environment import machine_environment

__all__ = ["store"]  # a fixture of the command's own tests

_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")


def _pip(*words: str | Path) -> None:
    done = subprocess.run([*_PIP, *words], env=machine_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_is_the_library_alone_and_with_its_extra_the_command(store: Store, azurite: Azurite, tmp_path: Path) -> None:
    del store  # its tables are there
    folder = tmp_path / "Kunden Müller & Söhne"
    source, environment, elsewhere = folder / "mta-sts", folder / "environment", folder / "elsewhere"
    elsewhere.mkdir(parents=True)
    for path in (ROOT / "pyproject.toml", ROOT / "requirements.txt", *tracked("policy_store/**")):
        target = source / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    _pip("wheel", "--no-deps", "--wheel-dir", folder, source)
    (wheel,) = folder.glob("*.whl")
    assert wheel.name == f"mta_sts-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == {path.relative_to(ROOT).as_posix() for path in tracked("policy_store/**")}

    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    programs = environment / "bin"

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        settings = {"PATH": os.environ["PATH"], "HOME": str(elsewhere), "LANG": "C.UTF-8"}
        return subprocess.run(words, cwd=elsewhere, env=settings, capture_output=True, text=True, check=False)

    _pip("--python", programs / "python", "install", wheel)
    library = run(programs / "python", "-c", "import policy_store.serving, policy_store.policy")
    assert (library.returncode, library.stderr) == (0, "")
    for command in ([programs / "mta-sts"], [programs / "python", "-m", "policy_store"]):
        bare = run(*command, "list")
        assert (bare.returncode, bare.stdout, bare.stderr.count("\n")) == (2, "", 1)
        assert "pip install '.[cli]' in the checkout" in bare.stderr

    _pip("--python", programs / "python", "install", f"mta-sts[cli] @ {wheel.as_uri()}")
    for command in ([programs / "mta-sts"], [programs / "python", "-m", "policy_store"]):
        assert run(*command, "--version").stdout == f"mta-sts {__version__}\n"
    added = run(programs / "mta-sts", "add", "contoso.com", "--mx", "mx.contoso.com", "--store", azurite.url)
    assert added.returncode == 0, added.stderr
    listed = run(programs / "mta-sts", "list", "--store", azurite.url)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "contoso.com" in listed.stdout
    linted = run(programs / "mta-sts", "lint", "--store", azurite.url)  # its rules are in a file beside the modules
    assert (linted.returncode, linted.stderr.count("Traceback")) == (0, 0)
    checked = run(programs / "mta-sts", "check", "contoso.com", "--resolver", "127.0.0.1:9", "--dns-seconds", "0.2")
    assert "Traceback" not in checked.stderr
