"""One run of the command `mta-sts` in a process of its own: how long it takes and how much memory."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from bench.common import ROOT

# Linux counts into a process's peak what it was before it began to run its program, a copy of its parent: so the parent
# is this small one, and not the benchmark, which holds a whole laboratory.
_LAUNCHER = """
import resource, subprocess, sys
code = subprocess.run([sys.executable, "-c", "from policy_store.cli import main; main()", *sys.argv[1:]]).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(code, peak, file=sys.stderr)
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took: seconds with its start, its greatest resident octets, its exit code, and what it said."""

    seconds: float
    peak: int
    code: int
    output: str


def run(arguments: Sequence[str], environment: Mapping[str, str], stdin: IO[str] | int = subprocess.DEVNULL) -> Run:
    """Run the command; POLICY_STORE is in its environment only where `environment` has it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POLICY_STORE")}
    with tempfile.TemporaryFile("w+") as said:
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", _LAUNCHER, *arguments],
            cwd=ROOT,
            env={**kept, **environment},
            stdin=stdin,
            stdout=said,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
        seconds = time.perf_counter() - start
        said.seek(0)
        output = said.read()
    *complaints, last = done.stderr.strip().splitlines()
    code, peak = map(int, last.split())
    if code > 1:
        raise RuntimeError("\n".join(complaints)[-4000:])
    return Run(seconds, peak, code, output)
