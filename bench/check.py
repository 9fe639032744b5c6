"""1,000 domains through `mta-sts check` in the lab of the tests: seconds, domains a second, and the memory it takes."""

import json
import logging
import tempfile
from itertools import cycle, islice

from bench.command import Run, run
from bench.common import Figure, count, milliseconds, progress
from tests.lab.situation import MxHost, Situation
from tests.lab.world import World

_DOMAINS = 1_000
_MOST_MILLISECONDS, _MOST_OCTETS = 60_000, 300e6
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
        done = _run(situations, world)
    took = milliseconds(f"check --file - --json: {_DOMAINS} domains", [done.seconds])
    return [
        Figure(took.name, took.best, took.median, took.unit, _MOST_MILLISECONDS),
        count("check: domains a second", _DOMAINS / done.seconds),
        Figure(f"check: peak of memory, {_DOMAINS} domains", done.peak, done.peak, "bytes", _MOST_OCTETS),
    ]


def _run(situations: list[Situation], world: World) -> Run:
    """Check all and look at the words."""
    with tempfile.TemporaryFile("w+") as names:
        names.writelines(f"{situation.domain}\n" for situation in situations)
        names.seek(0)
        done = run(["check", "--file", "-", "--json", "--allow-private", *world.options], {}, names)
    words = [check["verdict"] for check in json.loads(done.output)]
    due = ["verified" if situation.hosts["mx"].kind == "good" else "deferred" for situation in situations]
    if words != due:
        raise RuntimeError(f"{sum(map(str.__ne__, words, due))} domains were not seen as they are")
    return done
