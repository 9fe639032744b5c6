"""A hit, answered from a fresh copy in memory, beside functions that return one hard-coded policy."""

from bench.common import BASELINES, FUNCTION, ROOT, Child, Figure, fill, milliseconds, progress, ratio
from dev.azurite import Azurite

_DOMAINS = [f"d{number}.example" for number in range(20)]
_ROUNDS = 101  # short ones, so that what else the machine does falls between them
_TIMES = 10  # of each domain in a round
_APP, _ASYNC, _THREAD, _LOGGED = "app", FUNCTION, "policy_in_a_thread", "policy_with_a_log_line"
_SAME_LINE = "policy_with_the_same_log_line"


def measure() -> list[Figure]:
    """Both apps live in processes of their own, which take turns."""
    with Azurite() as tables:
        fill(tables.connection_string, _DOMAINS)
        environment = {"POLICY_STORE": tables.connection_string, "POLICY_FRESH_SECONDS": "86400"}
        with (
            Child("bench.worker_process", ROOT, environment=environment) as app,
            Child("bench.worker_process", BASELINES / "hard_coded") as hard_coded,
        ):
            progress(f"hit: {_ROUNDS} rounds")
            seconds: dict[str, list[float]] = {_ASYNC: [], _APP: [], _THREAD: [], _LOGGED: [], _SAME_LINE: []}
            for turn in range(-2, _ROUNDS):  # the first two warm up
                for side, times in seconds.items():
                    child, function = (app, FUNCTION) if side == _APP else (hard_coded, side)
                    answer = child.ask({"function": function, "domains": _DOMAINS, "times": _TIMES})
                    if answer["statuses"] != {"200": len(_DOMAINS) * _TIMES}:
                        raise RuntimeError(f"{side} answered {answer['statuses']}")
                    if turn >= 0:
                        times.append(answer["seconds"] / _TIMES / len(_DOMAINS))
    return [
        ratio("hit / hard-coded, async", seconds[_APP], seconds[_ASYNC], 1.4),
        ratio("hit / hard-coded, in a thread (sync)", seconds[_APP], seconds[_THREAD], 0.4),
        ratio("hit / hard-coded, async, with a log line", seconds[_APP], seconds[_LOGGED]),
        ratio("hit / hard-coded, async, with the same log line", seconds[_APP], seconds[_SAME_LINE], 1.0),
        milliseconds("hit", seconds[_APP]),
        milliseconds("hard-coded, async", seconds[_ASYNC]),
    ]
