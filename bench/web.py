"""The page: the time to the first byte of the table of 20,000 domains, and of one domain with 500 revisions and 10,000
report rows; and the memory of its process.
"""

import http.client
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from azure.data.tables import TableClient, TableServiceClient

from bench.common import ROOT, Figure, fill, milliseconds, octets, progress
from dev.azurite import Azurite
from policy_store.policy import Policy
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.history import key_of
from policy_store.tables.report_row import ReportRow
from policy_store.tables.reports import TABLE as REPORT_TABLE
from policy_store.tables.reports import ReportTable

_DOMAINS, _REVISIONS, _REPORTS, _ROUNDS = 20_000, 500, 10_000, 15
_NAMES = [f"tenant{number:05}.example" for number in range(_DOMAINS)]
_BUSY = _NAMES[7]


def measure() -> list[Figure]:
    """One page over one store, whose first reading is timed apart."""
    with Azurite() as tables:
        progress(f"web: {_DOMAINS} domains")
        fill(tables.connection_string, _NAMES)
        _tell(tables.connection_string)
        with _page(tables.connection_string) as (page, process):
            progress("web: the first reading")
            start = time.perf_counter()
            while "Reading the store" in page.get("/domains")[1]:
                time.sleep(0.1)
            first = time.perf_counter() - start
            progress("web: pages")
            pages = {
                f"domains, {_DOMAINS}: first page": "/domains",
                f"domains, {_DOMAINS}: a search": "/domains?q=tenant1999",
                f"domains, {_DOMAINS}: by customer, page 150": "/domains?sort=-since&page=150",
                "overview": "/",
                f"a domain: {_REVISIONS} revisions, {_REPORTS} report rows": f"/domains/{_BUSY}",
            }
            figures = [milliseconds("web: the first reading", [first])]
            figures += [
                milliseconds(f"web: {what}", [page.get(path)[0] for _ in range(_ROUNDS)])
                for what, path in pages.items()
            ]
            figures.append(octets("web: peak of memory", _peak(process)))
            return figures


def _tell(store: str) -> None:
    """A revision for every domain, and many revisions and reports of one."""
    now = datetime.now(UTC)
    with TableServiceClient.from_connection_string(store) as service:
        history = service.get_table_client(HISTORY_TABLE)
        reports = ReportTable(service.create_table(REPORT_TABLE))
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda name: _revision(history, name, now, 0), _NAMES))
            list(threads.map(lambda number: _revision(history, _BUSY, now, number), range(1, _REVISIONS)))
            list(threads.map(reports.add, _rows(now)))


def _revision(history: TableClient, domain: str, now: datetime, age: int) -> None:
    mx = f"{domain.replace('.', '-')}.mail.protection.outlook.com"
    text = Policy(mode="enforce", mx=(mx,), max_age=604800 + age).text
    key = key_of(now - timedelta(hours=age))
    history.create_entity(
        {"PartitionKey": domain, "RowKey": key, "id": key, "text": text, "by": "bench", "note": f"change {age}"}
    )


def _rows(now: datetime) -> Iterator[ReportRow]:
    for number in range(_REPORTS):
        day = now - timedelta(days=number % 30)
        yield ReportRow(
            domain=_BUSY,
            day=day.date(),
            reporter=f"sender{number % 300}.example",
            hash=f"{number:016x}",
            start=day,
            end=day,
            organization="A sender",
            contact="",
            report_id=str(number),
            type="sts",
            text="",
            ok=number % 50,
            failed=0,
            failures=(),
            more=0,
            via="https",
            agent="",
            client="",
            received=now,
            whole=f"{number:016x}",
            raw=b"",
        )


class _Page:
    """A browser that asks for one page after the other."""

    def __init__(self, address: str) -> None:
        url = urlsplit(address)
        self._connection = http.client.HTTPConnection(url.netloc, timeout=120)
        self._connection.request("GET", f"{url.path}?{url.query}")
        answer = self._connection.getresponse()
        answer.read()
        self._headers = {"cookie": (answer.getheader("set-cookie") or "").partition(";")[0]}

    def get(self, path: str) -> tuple[float, str]:
        """The seconds to the first byte, and the page."""
        start = time.perf_counter()
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        first = time.perf_counter() - start
        text = answer.read().decode()
        if answer.status != 200:
            raise RuntimeError(text[:2000])
        return first, text


@contextmanager
def _page(store: str) -> Iterator[tuple[_Page, int]]:
    """The page as the command starts it, and the id of its process."""
    code = "from policy_store.cli import main; main()"
    words = [sys.executable, "-c", code, "web", "--no-browser", "--port", "0", "--store", store]
    with subprocess.Popen(words, cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            said = process.stdout.readline()
            found = re.search(r"http://\S+", said)
            if found is None:
                raise RuntimeError(said)
            yield _Page(found[0]), process.pid
        finally:
            process.terminate()


def _peak(process: int) -> int:
    """The largest memory that the process had, in bytes."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024
