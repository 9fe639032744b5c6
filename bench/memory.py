"""What a worker holds of a large table, and that names which nobody has cost storage nothing."""

from typing import Any

from bench.common import FUNCTION, ROOT, Child, CountingProxy, Figure, count, octets, progress
from bench.many_rows import domain, many_rows

_FEW, _MANY = 1_000, 100_000
_ASKED_FOR = 20_000
_UNKNOWN = [f"stranger{number}.example" for number in range(10_000)]
_AT_ONCE = 4


def measure() -> list[Figure]:
    """Workers look at tables of both sizes through a counting proxy; the memory is the process's resident octets."""
    few, _ = _resident(_FEW, [])
    many, figures = _resident(_MANY, _UNKNOWN)
    return [
        octets("octets for each of the rows, held", (many - few) / (_MANY - _FEW)),
        Figure(f"resident, {_MANY} rows held", many, many, "bytes", 250e6),
        *figures,
    ]


def _resident(rows: int, unknown: list[str]) -> tuple[float, list[Figure]]:
    with many_rows(rows) as environment:
        store = environment["POLICY_STORE"]
        port = int(store.rpartition(":")[2].partition("/")[0])
        with CountingProxy(port) as proxy:
            counted = {"POLICY_STORE": store.replace(f":{port}/", f":{proxy.port}/")}
            with Child("bench.worker_process", ROOT, environment=counted) as worker:
                progress(f"memory: a look at {rows} rows")
                worker.ask({"function": FUNCTION, "domains": [], "until_looked": True})
                asked_for = [domain(number) for number in range(min(rows, _ASKED_FOR))]
                with proxy.counting() as for_known:
                    answer = _ask(worker, asked_for, 200)
                if not unknown:
                    return answer["resident"], []
                with proxy.counting() as for_unknown:
                    after = _ask(worker, unknown, 404)
                return answer["resident"], [
                    count(f"reads for {len(asked_for)} known names", for_known[0], goal=0),
                    count(f"reads for {len(unknown)} unknown names", for_unknown[0], goal=0),
                    octets("growth for those, octets each", (after["resident"] - answer["resident"]) / len(unknown)),
                ]


def _ask(worker: Child, domains: list[str], status: int) -> dict[str, Any]:
    answer: dict[str, Any] = worker.ask({"function": FUNCTION, "domains": domains, "at_once": _AT_ONCE})
    if answer["statuses"] != {str(status): len(domains)}:
        raise RuntimeError(f"the worker answered {answer['statuses']} where {status} was due")
    return answer
