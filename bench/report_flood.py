"""A client that posts TLS reports, each a new one, on a number of connections, and sends the next as soon as one is
answered.

Each line of standard input is a JSON object with the `port`, the `connections` and the `seconds` to go on; each line
out tells how many came back with which status.
"""

import asyncio
import gzip
import json
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

DOMAINS = 500  # one domain takes 200 reports a day

_numbers = count()


def next_report() -> bytes:
    """A report as Google writes it, about one of the domains `d0.example` and so on, with a count of its own."""
    number = next(_numbers)
    day = (datetime.now(UTC) - timedelta(days=1)).date()
    domain = f"d{number % DOMAINS}.example"
    policy = ["version: STSv1", "mode: enforce", f"mx: {domain}", "max_age: 604800"]
    report = {
        "organization-name": "Google Inc.",
        "date-range": {"start-datetime": f"{day}T00:00:00Z", "end-datetime": f"{day}T23:59:59Z"},
        "contact-info": "smtp-tls-reporting@google.com",
        "report-id": f"{day}T00:00:00Z_{domain}_{number}",
        "policies": [
            {
                "policy": {"policy-type": "sts", "policy-string": policy, "policy-domain": domain, "mx-host": [domain]},
                "summary": {"total-successful-session-count": number, "total-failure-session-count": 0},
            }
        ],
    }
    return gzip.compress(json.dumps(report).encode())


async def _post(port: int, end: float, statuses: Counter[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < end:
        body = next_report()
        head = f"POST /v1/tlsrpt HTTP/1.1\r\nHost: app.example\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(answer.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
        statuses[int(answer.split(b" ", 2)[1])] += 1
    writer.close()


async def _flood(port: int, connections: int, seconds: float) -> dict[str, Any]:
    statuses: Counter[int] = Counter()
    end = time.perf_counter() + seconds
    await asyncio.gather(*(_post(port, end, statuses) for _ in range(connections)))
    return {"seconds": seconds, "statuses": statuses}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(asyncio.run(_flood(**json.loads(line)))), flush=True)
