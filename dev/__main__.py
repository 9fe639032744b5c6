"""The jobs of the Makefile for machines without make, such as Windows: `python -m dev run`, with any Python 3.13.

Each first sets up what it needs (dev/set_up.py), instantly when nothing has changed. Without a job they are listed.
"""

import os
import subprocess
import sys

from dev.set_up import ROOT, main, set_up

_APART = [word for folder in ("browser", "deploy", "long") for word in ("--ignore", f"tests/{folder}")]  # other jobs
JOBS = {
    "run": ("the app on localhost with sample policies, until Ctrl-C", [["dev.run"]]),
    "test": (
        "every test",  # they wait more than they compute
        [["pytest", "-q", "-n", "5", "--dist", "worksteal", *_APART]],
    ),
    "lint": ("ruff and mypy", [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]]),
    "bench": ("how fast the app and the command are", [["bench"]]),
    "package": ("the folder .publish, which func azure functionapp publish sends", [["dev.package"]]),
}
# What a person has set for a Python of their own.
_NOT_OURS = {f"PYTHON{name}" for name in ("HOME", "IOENCODING", "OPTIMIZE", "PATH", "SAFEPATH", "WARNINGS")}


def run(job: str, arguments: list[str]) -> int:
    """Set up, run the job with these arguments more, and return its exit code."""
    main()
    python = str(set_up())
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    for module, *words in JOBS[job][1]:
        try:
            code = subprocess.run(
                [python, "-m", module, *words, *arguments], cwd=ROOT, env=environment, check=False
            ).returncode
        except KeyboardInterrupt:
            return 130
        if code:
            return code if code > 0 else 128 - code  # as a shell says of one that a signal ended
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in JOBS:
        sys.exit(run(sys.argv[1], sys.argv[2:]))
    print("".join(f"python -m dev {job:8} {what}\n" for job, (what, _) in JOBS.items()), end="")
    sys.exit(2 if sys.argv[1:] else 0)
