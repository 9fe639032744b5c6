"""The files of the project, as distinct from what else lies in the checkout."""

import subprocess
import tempfile
from functools import cache
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]


def tracked(pattern: str) -> list[Path]:
    """The files that git has and that match a pattern of pathlib, in order."""
    return [ROOT / path for path in _listed() if PurePosixPath(path).full_match(pattern)]


@cache
def _listed() -> list[str]:
    """Every file of the project, from its root. Without git's data, all that .gitignore has nothing against."""
    git = ("git", "-c", "safe.directory=*")
    with tempfile.TemporaryDirectory() as folder:
        words: tuple[str, ...] = ("ls-files", "-z")
        if not (ROOT / ".git").exists():
            subprocess.run([*git, "init", "-q", "--bare", folder], check=True)
            words = (f"--git-dir={folder}", f"--work-tree={ROOT}", *words, "--others", "--exclude-standard")
        done = subprocess.run([*git, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(filter(None, done.stdout.split("\0")))
