"""1,000 domains through `mta-sts check` in the lab of the tests: seconds, domains a second, and the memory it takes."""

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice

from bench.common import ROOT, Figure, count, milliseconds, progress
from tests.lab.situation import MxHost, Situation
from tests.lab.world import World

_DOMAINS = 1_000
_MOST_MILLISECONDS, _MOST_OCTETS = 60_000, 300e6
_COMMAND = "from policy_store.cli import main; main()"
_MX_KINDS = ("good", "good", "good", "no_starttls", "other_name")


def measure() -> list[Figure]:
    """One run of the command, on a lab in this process that it shares the machine with."""
    progress(f"check: {_DOMAINS} domains")
    situations = [
        Situation(
            name=f"tenant{number:04}",
            source="made up",
            hosts={"mx": MxHost(kind=kind)},
            verdict="verified",
            if_enforced="verified",
            findings=frozenset(),
        )
        for number, kind in enumerate(islice(cycle(_MX_KINDS), _DOMAINS))
    ]
    logging.getLogger("mail.log").disabled = True  # where aiosmtpd tells of every client that refuses a certificate
    with World(situations) as world:
        seconds, peak = _run(situations, world)
    took = milliseconds(f"check --file - --json: {_DOMAINS} domains", [seconds])
    return [
        Figure(took.name, took.best, took.median, took.unit, _MOST_MILLISECONDS),
        count("check: domains a second", _DOMAINS / seconds),
        Figure(f"check: peak of memory, {_DOMAINS} domains", peak, peak, "bytes", _MOST_OCTETS),
    ]


def _run(situations: list[Situation], world: World) -> tuple[float, float]:
    """Check all and look at the words. Returns seconds with the command's start, and its greatest resident octets."""
    with tempfile.TemporaryFile("w+") as names, tempfile.TemporaryFile("w+") as said:
        names.writelines(f"{situation.domain}\n" for situation in situations)
        names.seek(0)
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND, "check", "--file", "-", "--json", "--allow-private", *world.options],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("POLICY_STORE")},
            stdin=names,
            stdout=said,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        said.seek(0)
        words = [check["verdict"] for check in json.load(said)]
    due = ["verified" if situation.hosts["mx"].kind == "good" else "deferred" for situation in situations]
    if words != due:
        raise RuntimeError(f"{sum(map(str.__ne__, words, due))} domains were not seen as they are")
    return seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
