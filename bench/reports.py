"""TLS reports: how many a worker takes in, what a flood of them and hostile ones cost, and how long it takes to look at
30 days of 500 domains.
"""

import asyncio
import gzip
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from azure.data.tables import TableClient, TableServiceClient

from bench.command import run
from bench.common import Child, Figure, count, fill, milliseconds, octets, progress, ratio
from bench.report_flood import DOMAINS, next_report
from dev.azurite import Azurite
from dev.hostile_reports import hostile_posts
from policy_store.intake import THREADS, Intake, Post
from policy_store.settings import Settings
from policy_store.tables.connection import open_table
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.policies import TABLE as POLICY_TABLE
from policy_store.tables.policies import PolicyTable
from policy_store.tables.report_row import ReportRow
from policy_store.tables.reports import TABLE, ReportTable
from policy_store.tables.row import ROW_KEY
from policy_store.tlsrpt.reading import parse
from policy_store.tlsrpt.rows import Source, rows_of
from tests.end_to_end.senders.names import DnsServer

_ROUNDS = 5
_REPORTS = 150
_FLOOD_ROUNDS = 15
_SECONDS = 0.8
_CONNECTIONS = 16
_SENDERS = 4
_DAYS = 30
_COMMANDS = (
    ("reports", "list"),
    ("reports", "show", "d7.example"),
    ("plan",),
    ("promote", "--all", "--dry-run"),
)
_NAMES = [f"d{number}.example" for number in range(DOMAINS)]


def measure() -> list[Figure]:
    """Each part has a table service of its own."""
    return [*_taken_in(), *_flooded(), *_hostile(), *_looked_at()]


@contextmanager
def _store(names: list[str]) -> Iterator[str]:
    with Azurite() as tables:
        fill(tables.connection_string, names)
        with TableServiceClient.from_connection_string(tables.connection_string) as service:
            service.create_table(TABLE)
        yield tables.connection_string


def _intake(store: str) -> Intake:
    settings = Settings.read({"POLICY_STORE": store})
    reports = ReportTable(open_table(settings, TABLE, pages=True))
    return Intake(PolicyTable(open_table(settings, pages=True)), reports)


def _taken_in() -> list[Figure]:
    """Reports one after the other in as many hands as the intake has threads, and bare inserts of the same entities."""
    ours, bare = [], []
    with _store(_NAMES) as store:
        intake = _intake(store)
        with TableClient.from_connection_string(store, TABLE) as client, ThreadPoolExecutor(THREADS) as threads:
            for turn in range(-1, _ROUNDS):
                progress(f"reports: taking in, round {turn + 1}")
                seconds = asyncio.run(_take(intake))
                rows = [_row(next_report()) for _ in range(_REPORTS)]
                start = time.perf_counter()
                for _ in threads.map(client.create_entity, (row.entity for row in rows)):
                    pass
                if turn >= 0:
                    bare.append(_REPORTS / (time.perf_counter() - start))
                    ours.append(_REPORTS / seconds)
    return [
        ratio("reports a second / bare create_entity", ours, bare),
        count("reports a second, at most", max(ours)),
        count("bare create_entity a second, at most", max(bare)),
    ]


async def _take(intake: Intake) -> float:
    posts = iter([Post(next_report()) for _ in range(_REPORTS)])

    async def hand() -> None:
        for post in posts:
            answer = await intake.take(post)
            if answer.status != 201:
                raise RuntimeError(answer.text)

    start = time.perf_counter()
    await asyncio.gather(*(hand() for _ in range(THREADS)))
    return time.perf_counter() - start


def _row(octets_: bytes) -> ReportRow:
    plain = gzip.decompress(octets_)
    (row,) = rows_of(parse(plain), Source("https", datetime.now(UTC)), plain, lambda _: True)
    return row


def _flooded() -> list[Figure]:
    """Policies asked for over HTTP, in turns with and without a flood of reports to the same host."""
    calm, flooded, statuses = [], [], 0
    with _store(_NAMES) as store:
        environment = {"POLICY_STORE": store, "POLICY_FRESH_SECONDS": "86400", "POLICY_TLSRPT": "on"}
        with (
            Child("dev.host", "--port", 0, environment=environment) as app,
            Child("bench.load") as client,
            Child("bench.report_flood") as flood,
            ThreadPoolExecutor(1) as thread,
        ):
            port = int(app.line().rpartition(":")[2])
            policies = {"port": port, "connections": _CONNECTIONS, "seconds": _SECONDS}
            reports = {"port": port, "connections": 8, "seconds": _SECONDS + 0.4}
            for turn in range(-1, _FLOOD_ROUNDS):
                progress(f"reports: flood, round {turn + 1}")
                before = client.ask(policies)
                posting = thread.submit(flood.ask, reports)
                time.sleep(0.2)
                during = client.ask(policies)
                if turn >= 0:
                    calm.append(before["p99"])
                    flooded.append(during["p99"])
                    statuses += sum(posting.result()["statuses"].values())
    return [
        ratio(f"p99 of policies, {_CONNECTIONS} at once, flooded / calm", flooded, calm, 1.5),
        milliseconds(f"p99 of policies, {_CONNECTIONS} at once, calm", calm),
        milliseconds(f"p99 of policies, {_CONNECTIONS} at once, flooded", flooded),
        count("reports a second in the flood", statuses / _FLOOD_ROUNDS / (_SECONDS + 0.4)),
    ]


def _hostile() -> list[Figure]:
    """The slowest and the greediest of the hostile posts, in a process that holds nothing else of size."""
    with _store(["contoso.example"]) as store:
        intake = _intake(store)
        asyncio.run(intake.take(Post(b"warm")))
        taken = {}
        for post in hostile_posts():
            time.sleep(1)  # the thread rests after a report that took long
            before = _resident()
            peak = [before]
            done = threading.Event()
            watcher = threading.Thread(target=_watch, args=(peak, done))
            watcher.start()
            start = time.perf_counter()
            answer = asyncio.run(intake.take(Post(post.body)))
            seconds = time.perf_counter() - start
            done.set()
            watcher.join()
            if answer.status != post.status:
                raise RuntimeError(f"{post.name}: {answer.status} {answer.text}")
            taken[post.name] = (seconds, peak[0] - before)
            progress(f"reports: {post.name}: {seconds * 1000:.0f} ms, {(peak[0] - before) / 1e6:.1f} MB")
    slowest = max(taken, key=lambda name: taken[name][0])
    greediest = max(taken, key=lambda name: taken[name][1])
    return [
        count("kinds of hostile posts", len(taken)),
        milliseconds(f"slowest: {slowest}", [taken[slowest][0]]),
        octets(f"greediest: {greediest}", taken[greediest][1]),
    ]


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def _watch(peak: list[int], done: threading.Event) -> None:
    while not done.wait(0.001):
        peak[0] = max(peak[0], _resident())


def _looked_at() -> list[Figure]:
    """Commands over 500 domains with 4 senders and 30 days, and over a tenth of that."""
    figures = []
    runs = {}
    for size in (DOMAINS // 10, DOMAINS):
        names = _NAMES[:size]
        with _store(names) as store:
            _fill_reports(store, names)
            with DnsServer({}) as dns:  # every name is missing there, so that promote asks and gets no further
                resolver = f"127.0.0.1:{dns.port}"
                for words in _COMMANDS:
                    progress(f"reports: {' '.join(words)}, {size} domains")
                    given = (*words, "--resolver", resolver) if words[0] == "promote" else words
                    done = run(given, {"POLICY_STORE": store})
                    if done.code != (words[0] == "promote"):
                        raise RuntimeError(done.output[-4000:])
                    runs[words, size] = done
    for words in dict.fromkeys(words for words, _ in runs):
        many, few = runs[words, DOMAINS], runs[words, DOMAINS // 10]
        what = " ".join(words)
        figures += [
            milliseconds(f"{what}: {DOMAINS} domains", [many.seconds]),
            octets(f"{what}: peak of memory", many.peak),
            ratio(f"{what}: peak, {DOMAINS} domains / {DOMAINS // 10}", [many.peak], [few.peak]),
        ]
    return figures


def _fill_reports(store: str, names: list[str]) -> None:
    """A report for each domain, sender and day, written a hundred at a time, and the revision that it tells of."""
    sample = _row(next_report())
    today = datetime.now(UTC).date()
    with (
        TableClient.from_connection_string(store, TABLE) as client,
        TableClient.from_connection_string(store, HISTORY_TABLE) as history,
        TableClient.from_connection_string(store, POLICY_TABLE) as rows,
        ThreadPoolExecutor(4) as threads,
    ):
        for name in names:
            mx = f"{name.replace('.', '-')}.mail.protection.outlook.com"
            keys = {"PartitionKey": name, "RowKey": ROW_KEY}
            rows.update_entity({**keys, "mode": "testing", "mx": mx, "max_age": 604800})
            text = f"version: STSv1\r\nmode: testing\r\nmx: {mx}\r\nmax_age: 604800\r\n"
            key = (datetime.now(UTC) - timedelta(days=60)).strftime("%Y%m%d%H%M%SZ")
            history.create_entity({"PartitionKey": name, "RowKey": key, "id": key, "text": text})

        def of_day(day: date) -> None:
            made = [
                replace(
                    sample,
                    domain=name,
                    day=day,
                    reporter=f"sender{sender}.example",
                    ok=20,
                    text=f"version: STSv1\nmode: testing\nmx: {name.replace('.', '-')}.mail.protection.outlook.com\n"
                    "max_age: 604800",
                    whole=f"{name}{sender}",
                )
                for name in names
                for sender in range(_SENDERS)
            ]
            for first in range(0, len(made), 100):
                client.submit_transaction([("create", row.entity) for row in made[first : first + 100]])

        for _ in threads.map(of_day, [today - timedelta(days=age) for age in range(1, _DAYS + 1)]):
            pass
