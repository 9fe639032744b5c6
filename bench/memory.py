"""What a worker holds after it was asked for many domains, and that strangers cannot push the known ones out."""

from typing import Any

from bench.common import FUNCTION, ROOT, Child, CountingProxy, Figure, count, fill, octets, progress
from dev.azurite import Azurite
from policy_store.serving import UNKNOWN_LIMIT

_KNOWN = [f"tenant{number}.example" for number in range(5_000)]
_UNKNOWN = [f"stranger{number}.example" for number in range(100_000)]
_AT_ONCE = 4
_PIECE = 10_000
_SURELY_HELD = UNKNOWN_LIMIT - _AT_ONCE  # reads under way together end in any order


def measure() -> list[Figure]:
    """One worker reads through a counting proxy; the memory is the growth of the process's resident octets."""
    with Azurite() as tables:
        progress(f"memory: writing {len(_KNOWN)} rows")
        fill(tables.connection_string, [*_KNOWN, "warm.example"])
        with CountingProxy(tables.port) as proxy:
            address = tables.connection_string.replace(f":{tables.port}", f":{proxy.port}")
            environment = {"POLICY_STORE": address, "POLICY_FRESH_SECONDS": "86400"}
            with Child("bench.worker_process", ROOT, environment=environment) as worker:
                return _figures(worker, proxy)


def _figures(worker: Child, proxy: CountingProxy) -> list[Figure]:
    # Connections, threads and what the runtime allocates by itself are there before the first figure.
    _ask(worker, ["warm.example"], 200)
    _ask(worker, [f"warm{number}.example" for number in range(200)], 404)
    start = _ask(worker, [], 0)["resident"]
    progress(f"memory: {len(_KNOWN)} known domains")
    after_known = _ask(worker, _KNOWN, 200)["resident"]
    after_limit = after_unknown = 0
    for first in range(0, len(_UNKNOWN), _PIECE):
        progress(f"memory: {first} of {len(_UNKNOWN)} unknown domains")
        after_unknown = _ask(worker, _UNKNOWN[first : first + _PIECE], 404)["resident"]
        after_limit = after_limit or after_unknown
    with proxy.counting() as for_known:
        _ask(worker, _KNOWN, 200)
    with proxy.counting() as for_held:
        _ask(worker, _UNKNOWN[-_SURELY_HELD:], 404)
    with proxy.counting() as for_pushed_out:
        _ask(worker, _UNKNOWN[:500], 404)
    if for_pushed_out[0] != 500:
        raise RuntimeError("a domain was still held that must have been pushed out")
    return [
        octets("octets for each known domain", (after_known - start) / len(_KNOWN)),
        octets("octets for each unknown domain held", (after_limit - after_known) / UNKNOWN_LIMIT),
        octets(
            f"growth over the next {len(_UNKNOWN) - _PIECE} unknown, octets each",
            (after_unknown - after_limit) / (len(_UNKNOWN) - _PIECE),
        ),
        count(f"reads for the {len(_KNOWN)} known after {len(_UNKNOWN)} unknown", for_known[0], goal=0),
        count(f"reads for the last {_SURELY_HELD} unknown", for_held[0], goal=0),
    ]


def _ask(worker: Child, domains: list[str], status: int) -> dict[str, Any]:
    answer: dict[str, Any] = worker.ask({"function": FUNCTION, "domains": domains, "at_once": _AT_ONCE})
    if answer["statuses"] != ({str(status): len(domains)} if domains else {}):
        raise RuntimeError(f"the worker answered {answer['statuses']} where {status} was due")
    return answer
