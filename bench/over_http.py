"""Requests over HTTP through the local host, beside the hard-coded function served by the same host."""

from bench.common import BASELINES, Child, Figure, fill, milliseconds, progress, ratio
from dev.azurite import Azurite

_ROUNDS = 7
_SECONDS = 0.8  # of each side in a round
_CONNECTIONS = (1, 16, 64)


def measure() -> list[Figure]:
    """Both hosts stay up and take turns; the client is a process of its own."""
    figures = []
    with Azurite() as tables:
        fill(tables.connection_string, ["d0.example"])
        environment = {"POLICY_STORE": tables.connection_string, "POLICY_FRESH_SECONDS": "86400"}
        with (
            Child("dev.host", "--port", 0, environment=environment) as app,
            Child("dev.host", "--port", 0, "--app", BASELINES / "hard_coded") as hard_coded,
            Child("bench.load") as client,
        ):
            ports = [int(side.line().rpartition(":")[2]) for side in (app, hard_coded)]
            for connections in _CONNECTIONS:
                progress(f"http: {connections} connections")
                figures += _figures(client, ports, connections)
    return figures


def _figures(client: Child, ports: list[int], connections: int) -> list[Figure]:
    rates: list[list[float]] = [[], []]
    halves: list[list[float]] = [[], []]
    tails: list[list[float]] = [[], []]
    for turn in range(-1, _ROUNDS):  # the first warms up
        for side, port in enumerate(ports):
            answer = client.ask({"port": port, "connections": connections, "seconds": _SECONDS})
            if turn >= 0:
                if answer["failed"]:
                    raise RuntimeError(f"{answer['failed']} requests were not answered 200")
                rates[side].append(answer["rate"])
                halves[side].append(answer["p50"])
                tails[side].append(answer["p99"])
    return [
        ratio(f"requests a second, {connections} at once / hard-coded", rates[0], rates[1], 0.9, at_least=True),
        ratio(f"p50, {connections} at once / hard-coded", halves[0], halves[1]),
        ratio(f"p99, {connections} at once / hard-coded", tails[0], tails[1]),
        milliseconds(f"p50, {connections} at once", halves[0]),
        milliseconds(f"p99, {connections} at once", tails[0]),
    ]
