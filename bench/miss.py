"""A miss, answered after one point read, beside that read by a plain client in the same process.

Run as a program it is that process: it tells the rounds' seconds as one line of JSON.
"""

import asyncio
import json
import os
import time
from contextlib import suppress
from itertools import cycle, permutations
from statistics import median

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableClient

from bench.common import FUNCTION, ROOT, Child, CountingProxy, Figure, count, fill, milliseconds, progress, ratio
from bench.worker_process import invocation
from dev.azurite import Azurite
from dev.host import log_to_stderr
from dev.worker import Worker
from policy_store.tables.policies import TABLE
from policy_store.tables.row import ROW_KEY

_ROUNDS = 15
_EACH = 40  # reads of each kind and side in a round
_KINDS = {
    "held": "miss, a copy is held",
    "known": "miss, never asked for",
    "unknown": "miss, no such row",
}
_SIDES = ("app", "thread", "bare")
_HELD = "held.example"

type _Seconds = dict[str, dict[str, list[float]]]  # by kind and side, one median of each round


def measure() -> list[Figure]:
    """The three sides take turns request by request; the requests to storage are counted afterwards, at a proxy."""
    figures = []
    with Azurite() as tables:
        fill(tables.connection_string, [_HELD, *_names("known", (_ROUNDS + 1) * _EACH)])
        environment = {"POLICY_STORE": tables.connection_string, "POLICY_FRESH_SECONDS": "0"}
        progress(f"miss: {_ROUNDS} rounds")
        with Child("bench.miss", environment=environment) as child:
            seconds: _Seconds = json.loads(child.line())
        for kind, name in _KINDS.items():
            sides = seconds[kind]
            figures += [
                ratio(f"{name} / read in a thread", sides["app"], sides["thread"], 1.2),
                ratio(f"{name} / bare read", sides["app"], sides["bare"]),
                milliseconds(name, sides["app"]),
            ]
        with CountingProxy(tables.port) as proxy:
            address = tables.connection_string.replace(f":{tables.port}", f":{proxy.port}")
            with Child("bench.worker_process", ROOT, environment={**environment, "POLICY_STORE": address}) as child:
                figures += [
                    _requests(child, proxy, f"storage requests for 100 x {_KINDS['held']}", [_HELD], 100),
                    _requests(child, proxy, f"storage requests for 100 x {_KINDS['known']}", _names("known", 100)),
                    _requests(child, proxy, f"storage requests for 100 x {_KINDS['unknown']}", _names("unknown", 100)),
                ]
    return figures


def _requests(child: Child, proxy: CountingProxy, name: str, domains: list[str], times: int = 1) -> Figure:
    with proxy.counting() as counted:
        child.ask({"function": FUNCTION, "domains": domains, "times": times})
    if counted[0] < len(domains) * times:
        raise RuntimeError(f"the proxy saw {counted[0]} requests for {len(domains) * times} misses")
    return count(name, counted[0], goal=len(domains) * times)


def _names(kind: str, number: int) -> list[str]:
    return [f"{kind}{index}.example" for index in range(number)]


async def _rounds(connection_string: str) -> _Seconds:
    seconds: _Seconds = {kind: {side: [] for side in _SIDES} for kind in _KINDS}
    with TableClient.from_connection_string(connection_string, TABLE) as client:
        async with Worker(ROOT) as worker:
            for turn in range(_ROUNDS + 1):
                for kind in _KINDS:
                    domains = [
                        _HELD if kind == "held" else f"{kind}{turn * _EACH + index}.example" for index in range(_EACH)
                    ]
                    medians = await _round(worker, client, domains, 404 if kind == "unknown" else 200)
                    for side in _SIDES if turn else ():  # the first round warms up
                        seconds[kind][side].append(medians[side])
    return seconds


async def _round(worker: Worker, client: TableClient, domains: list[str], status: int) -> dict[str, float]:
    """The median seconds of each side for reading `domains`, in all the orders that there are.

    `status` is what the app is to answer.
    """
    seconds: dict[str, list[float]] = {side: [] for side in _SIDES}
    for domain, order in zip(domains, cycle(permutations(_SIDES)), strict=False):
        prepared = invocation(worker, FUNCTION, domain)
        for side in order:
            start = time.perf_counter()
            if side == "app":
                answer = await worker.send_http(prepared)
            else:
                with suppress(ResourceNotFoundError):
                    if side == "thread":
                        await asyncio.to_thread(client.get_entity, domain, ROW_KEY)
                    else:
                        client.get_entity(domain, ROW_KEY)
            seconds[side].append(time.perf_counter() - start)
        if answer.status != status:
            raise RuntimeError(f"the app answered {answer.status} for {domain}")
    return {side: median(taken) for side, taken in seconds.items()}


if __name__ == "__main__":
    log_to_stderr()
    print(json.dumps(asyncio.run(_rounds(os.environ["POLICY_STORE"]))), flush=True)
