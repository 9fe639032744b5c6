"""The set-up script on a machine that has nothing to offer it."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
INPUTS = ["pyproject.toml", "requirements.txt", "dev/node/package-lock.json", "dev/set_up.sh"]
TOOLS = ["cat", "cksum", "dirname"]


def test_where_there_is_no_python_it_says_what_to_do(tmp_path: Path) -> None:
    for name in INPUTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    programs = tmp_path / "programs"
    programs.mkdir()
    for tool in TOOLS:
        (programs / tool).symlink_to(str(shutil.which(tool)))
    # As pyenv's shims are for a version that is not there: found, and failing when run.
    shim = programs / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")
    shim.chmod(0o755)

    ended = subprocess.run(
        ["/bin/sh", tmp_path / "dev" / "set_up.sh"],
        env={"PATH": str(programs), "HOME": str(tmp_path), "PYENV_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stderr.startswith("No Python 3.13 or later with venv and ensurepip was found. Install one")
    assert "make PYTHON=/path/to/python3.13 run" in ended.stderr
    assert not (tmp_path / ".venv").exists()
