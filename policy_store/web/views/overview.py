"""The first page: how many domains in which mode, what needs attention now, and what waits for a date."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from policy_store.changes.plan import Task
from policy_store.policy import MODES
from policy_store.tlsrpt.summary import Sessions
from policy_store.web.charts import sessions_chart, share
from policy_store.web.pages import go, page, plural, reading_of, site_of, still_reading, text_of
from policy_store.web.shelf import Reading, Reported

_SHOWN = 8


def show(request: Request) -> Response:
    """The overview."""
    reading = reading_of(request)
    if reading is None:
        return still_reading(request)
    modes = modes_of(reading)
    now = [task for task in reading.tasks if task.waits_for == "person"]
    later = [task for task in reading.tasks if task.waits_for == "date"]
    return page(
        request,
        "overview.html",
        reading=reading,
        modes=modes,
        chart=modes_chart(modes),
        customers=len(reading.customers()),
        broken=sum(bool(line.state.problems) for line in reading.lines.values()),
        now=_grouped(now),
        now_count=len(now),
        later=_grouped(later),
        later_count=len(later),
        runs=reading.runs[:5],
        days=(days := days_of(reading.reported or {})),
        sessions=sessions_chart(days, reading.time),
        failing=[one.state for one in (reading.reported or {}).values() if one.state.failed],
    )


def read_again(request: Request, form: FormData) -> Response:
    """Read the store again, then show the page that was looked at."""
    site_of(request).shelf.read_again()
    back = text_of(form, "back")
    return go(back if back.startswith("/") and not back.startswith("//") else "/")


def modes_of(reading: Reading) -> dict[str, int]:
    """How many domains are in each mode; `no policy` counts those that serve none."""
    counts: Counter[str] = Counter(line.state.mode or "no policy" for line in reading.lines.values())
    return {mode: counts[mode] for mode in (*MODES, "no policy")}


@dataclass(frozen=True, slots=True)
class Day:
    """The sessions of one day in several domains."""

    day: date
    sessions: int
    failed: int


def days_of(reported: Mapping[str, Reported]) -> list[Day]:
    """The sessions by day in all of these domains."""
    totals: dict[date, Sessions] = {}
    for one in reported.values():
        for day, found in one.days.items():
            totals[day] = totals.get(day, Sessions()) + found
    return [Day(day, found.ok + found.failed, found.failed) for day, found in sorted(totals.items())]


def modes_chart(modes: dict[str, int]) -> object:
    """The modes as one divided bar; None where there is no domain."""
    if not sum(modes.values()):
        return None
    said = ", ".join(f"{plural(count, 'domain')} in {mode}" for mode, count in modes.items() if count)
    return share("Domains by mode", said, modes)


def _grouped(tasks: list[Task]) -> list[tuple[Task, int]]:
    """The first tasks, those of one day with the same words as one, with how many domains each is for."""
    groups: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        groups.setdefault((f"{task.due:%Y-%m-%d}", task.what), []).append(task)
    return [(group[0], len(group)) for group in list(groups.values())[:_SHOWN]]
