"""git sees the files of the project, and nothing that a person or a tool leaves between them."""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.checkout import ROOT, tracked
from tests.planted import AT_THE_TOP, BELOW, NOT_TO_BE_TOLD_FROM_OURS, plant


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with the project's rules, in which all that people save lies about."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    plant(tmp_path)
    return tmp_path


def ignored(checkout: Path, paths: Iterable[str]) -> set[str]:
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", "-z", "--stdin"],
        cwd=checkout,
        input="\0".join(paths),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return set(done.stdout.split("\0")) - {""}


def test_what_people_save_in_a_checkout_is_ignored(checkout: Path) -> None:
    planted = {*AT_THE_TOP, *BELOW}
    assert planted - ignored(checkout, planted) == set()
    seen = subprocess.run(
        ["git", "status", "--porcelain", "-z", "-uall"], cwd=checkout, capture_output=True, text=True, check=True
    ).stdout
    assert {line[3:] for line in seen.split("\0") if line} == {".gitignore", *NOT_TO_BE_TOLD_FROM_OURS}


def test_no_file_of_the_project_is_ignored(checkout: Path) -> None:
    """A new one would be forgotten in each `git add .`: list it, or its kind, in .gitignore."""
    ours = {path.relative_to(ROOT).as_posix() for path in tracked("**")}
    assert {"function_app.py", "docs/deploy.md", ".github/workflows/deploy.yml", "tests/planted.py"} <= ours
    assert ignored(checkout, ours) == set()
