"""Strangers who ask for names that nobody has, from many connections at once, and what tenants notice of it."""

import threading
import time
from typing import Any

from bench.common import Child, CountingProxy, Figure, count, fill, milliseconds, progress, ratio
from dev.azurite import Azurite

_CONNECTIONS = 256
_SECONDS = 6.0
_TENANTS = [f"tenant{number}.example" for number in range(50)]
_DELAYS = (0.01, 0.2, 0.3)
_NONE_OF_OURS = "www.{}.com"
_STRANGER = "mta-sts.{}.com"


def measure() -> list[Figure]:
    """Each host is asked by tenants while the flood goes on, from its first moment on and after its first look."""
    figures = []
    with Azurite() as tables:
        fill(tables.connection_string, _TENANTS)
        for delay in _DELAYS:
            with CountingProxy(tables.port, delay) as proxy:
                store = tables.connection_string.replace(f":{tables.port}/", f":{proxy.port}/")
                environment = {"POLICY_STORE": store}
                milli = f"{delay * 1000:.0f} ms"
                progress(f"flood: storage of {milli}")
                cold = _flooded(environment, _STRANGER, warm=False)
                held = _flooded(environment, _STRANGER, warm=True)
                beside = _flooded(environment, _NONE_OF_OURS, warm=True)
                figures += [
                    count(f"tenants not answered 200, from the start, {milli}", cold["failed"], goal=0),
                    milliseconds(f"slowest tenant, from the start, {milli}", [cold["slowest"]]),
                    count(f"tenants not answered 200, after the look, {milli}", held["failed"], goal=0),
                    ratio(
                        f"p99 of tenants / beside hosts of no interest, {milli}", [held["p99"]], [beside["p99"]], 2.0
                    ),
                ]
    return figures


def _flooded(environment: dict[str, str], strangers: str, *, warm: bool) -> dict[str, Any]:
    """What tenants get from one new host while strangers flood it."""
    with (
        Child("dev.host", "--port", 0, environment=environment) as host,
        Child("bench.load") as flood,
        Child("bench.load") as tenants,
    ):
        port = int(host.line().rpartition(":")[2])
        tenant = {"port": port, "connections": 2, "hosts": [f"mta-sts.{name}" for name in _TENANTS]}
        if warm:
            tenants.ask({**tenant, "seconds": 0.5})
            time.sleep(2)
        asking = {"port": port, "connections": _CONNECTIONS, "seconds": _SECONDS, "template": strangers}
        flooding = threading.Thread(target=flood.ask, args=(asking,))
        flooding.start()
        time.sleep(0.1 if not warm else 1.0)
        answer: dict[str, Any] = tenants.ask({**tenant, "seconds": _SECONDS - 2})
        flooding.join()
        return answer
