"""Setting up on a machine that has nothing to offer, without a network, after a move, and without make."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dev import set_up
from dev.__main__ import JOBS

ROOT = Path(__file__).parents[2]
INPUTS = ["pyproject.toml", "requirements.txt", "dev/node/package-lock.json", "dev/set_up.sh", "dev/set_up.py"]
_NOWHERE = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "npm_config_registry": "http://127.0.0.1:9/"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout as far as setting up needs it, in a folder with spaces."""
    folder = tmp_path / "Kunden Müller & Söhne"
    for name in INPUTS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def program(folder: Path, name: str, script: str) -> Path:
    """A program that a machine has."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)
    return folder / name


def start(checkout: Path, programs: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the script of `make` where there are these programs and no others."""
    programs.mkdir(exist_ok=True)
    if not (programs / "dirname").exists():
        (programs / "dirname").symlink_to(str(shutil.which("dirname")))
    home = str(programs)
    return subprocess.run(
        ["/bin/sh", checkout / "dev" / "set_up.sh"],
        env={"PATH": str(programs), "HOME": home, "PYENV_ROOT": home, **settings},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


class TestPython:
    def test_where_there_is_none_it_says_what_to_do_and_why_each_was_refused(
        self, checkout: Path, tmp_path: Path
    ) -> None:
        programs = tmp_path / "programs"
        # As pyenv's shims are for a version that is not there; an older one; one that Debian has cut; a broken one.
        program(programs, "python3.14", "exit 127")
        program(programs, "python3.13", "echo 'error while loading shared libraries: libpython3.13.so' >&2; exit 127")
        program(programs, "python3", "echo 'it is Python 3.11.2' >&2; exit 1")
        ended = start(checkout, programs)
        assert ended.returncode == 1
        assert ended.stderr.startswith("No Python 3.13 or later with venv and ensurepip was found. Install one")
        assert "make PYTHON=/path/to/python3.13 run" in ended.stderr
        assert ended.stderr.splitlines()[2:] == [
            "Refused:",
            "  python3.14: it does not run",
            "  python3.13: error while loading shared libraries: libpython3.13.so",
            "  python3: it is Python 3.11.2",
        ]
        assert not (checkout / ".venv").exists()

    @pytest.mark.parametrize("there", [True, False])
    def test_one_that_was_named_is_never_passed_over(self, checkout: Path, tmp_path: Path, there: bool) -> None:
        programs = tmp_path / "programs"
        programs.mkdir()
        (programs / "python3").symlink_to(sys.executable)  # would do
        named = program(programs, "mine", "echo 'it is Python 3.11.2' >&2; exit 1") if there else programs / "nothing"
        ended = start(checkout, programs, PYTHON=str(named))
        reason = "it is Python 3.11.2" if there else "it is not there"
        assert (ended.returncode, ended.stderr.splitlines()[-1]) == (1, f"  {named}: {reason}")

    def test_one_that_is_too_old_says_so_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where nobody looked for one, as in `python -m dev.set_up`."""
        monkeypatch.setattr(set_up, "OLDEST", (99, 0))
        with pytest.raises(SystemExit, match=r" is Python 3\.\d+\.\d+\S*: 3\.13 or later is needed\.$"):
            set_up.main()


class TestNetwork:
    def test_without_one_it_is_said_in_a_word(self, checkout: Path, tmp_path: Path) -> None:
        programs = tmp_path / "programs"
        programs.mkdir()
        (programs / "python3").symlink_to(sys.executable)
        ended = start(checkout, programs, **_NOWHERE)
        assert ended.returncode == 1
        assert ended.stdout.splitlines()[0].startswith("Making .venv with ")
        assert "Installing Python packages into .venv: 550 MB, one to three minutes ..." in ended.stdout
        first = ended.stderr.splitlines()[0]
        assert first.startswith("The Python packages cannot be installed: the network cannot be reached, or a proxy")
        assert not (checkout / ".venv" / "set-up-from").exists()


class TestMoved:
    def test_an_environment_that_was_made_elsewhere_is_made_anew(
        self, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        done: list[Path] = []
        monkeypatch.setattr(set_up, "install", lambda python, root: done.append(root))
        set_up.set_up(checkout)
        assert "Making .venv" in capfd.readouterr().out
        set_up.set_up(checkout)  # nothing has changed
        assert capfd.readouterr().out == ""
        moved = checkout.rename(tmp_path / "moved")
        python = set_up.set_up(moved)
        said = capfd.readouterr().out
        assert said.startswith(f"This folder was {checkout}: .venv has that place written in it, and is made again.\n")
        assert done == [checkout, moved]
        assert str(moved) in (moved / ".venv" / "pyvenv.cfg").read_text()
        assert subprocess.run([python, "-c", ""], check=False).returncode == 0

    def test_what_it_is_made_from_has_changed(self, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        done: list[Path] = []
        monkeypatch.setattr(set_up, "install", lambda python, root: done.append(root))
        set_up.set_up(checkout)
        for input_ in ("pyproject.toml", "requirements.txt", "dev/node/package-lock.json"):
            with (checkout / input_).open("a", encoding="utf-8") as file:
                file.write("\n")
            set_up.set_up(checkout)
            set_up.set_up(checkout)
        assert len(done) == 4

    def test_one_whose_python_is_gone_is_made_anew(self, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(set_up, "install", lambda python, root: None)
        python = set_up.set_up(checkout)
        python.unlink()
        python.symlink_to("/nowhere/python3.13")
        assert subprocess.run([set_up.set_up(checkout), "-c", ""], check=False).returncode == 0


class TestWithoutMake:
    """`python -m dev JOB` is what `make JOB` is."""

    def test_the_jobs_are_those_of_make(self) -> None:
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        for job in JOBS:
            assert f"\n{job}: set-up ## " in makefile

    def test_without_a_job_they_are_listed(self) -> None:
        done = subprocess.run([sys.executable, "-m", "dev"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0
        assert [line.split()[3] for line in done.stdout.splitlines()] == list(JOBS)

    def test_a_job_sets_up_and_runs(self) -> None:
        words = [sys.executable, "-m", "dev", "package"]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert "func azure functionapp publish" in done.stdout


def test_the_jobs_of_make_fit_a_terminal() -> None:
    done = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) > 8
    assert max(map(len, lines)) <= 80
    assert len({len(line) - len(line[4:].partition(" ")[2].lstrip()) for line in lines}) == 1  # in one column


def test_windows_has_its_python_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert set_up.python_of(tmp_path) == tmp_path / "bin" / "python"
    path = tmp_path / "x"  # made before the platform is another
    monkeypatch.setattr(os, "name", "nt")
    found = set_up.python_of(path)
    monkeypatch.undo()
    assert found == path / "Scripts" / "python.exe"
