"""A process that holds one function app in the real worker library and invokes it as its standard input says.

Each line in is a JSON object: the `function`, the `domains` to ask for in turn, how many `times` (for timing: the
requests are then made before the clock starts), and how many `at_once`; with `until_looked` the app's first look at the
table is waited for. Each line out tells the `seconds` that took, the answers by `statuses`, and the `resident` octets
of the process.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from dev.host import log_to_stderr
from dev.worker import Worker


def invocation(worker: Worker, function: str, domain: str) -> object:
    """A sending server's request for the policy of `domain`, as the worker gets it."""
    host = f"mta-sts.{domain}"
    headers = {"Host": host, "User-Agent": "postfix-tlspol/1.8", "Accept": "text/plain"}
    return worker.http_invocation(function, url=f"https://{host}/.well-known/mta-sts.txt", headers=headers)


async def _ask(worker: Worker, question: dict[str, Any]) -> dict[str, Any]:
    statuses: Counter[int] = Counter()
    while question.get("until_looked"):
        if json.loads((await worker.invoke_http("health")).body)["look_age"] is not None:
            break
        await asyncio.sleep(0.2)

    async def send(invocations: Iterator[object]) -> None:
        for prepared in invocations:
            statuses[(await worker.send_http(prepared)).status] += 1

    invocations: Iterator[object] = (invocation(worker, question["function"], domain) for domain in question["domains"])
    if times := question.get("times"):
        invocations = chain.from_iterable([list(invocations)] * times)
    start = time.perf_counter()
    await asyncio.gather(*(send(invocations) for _ in range(question.get("at_once", 1))))
    return {"seconds": time.perf_counter() - start, "statuses": statuses, "resident": _resident()}


def _resident() -> int:
    """The octets of memory that this process holds (Linux; 0 elsewhere)."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


async def _main(app_folder: Path) -> None:
    async with Worker(app_folder) as worker:
        # The event loop goes on between two questions, as a worker's does.
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await _ask(worker, json.loads(line))), flush=True)


if __name__ == "__main__":
    log_to_stderr()
    asyncio.run(_main(Path(sys.argv[1])))
