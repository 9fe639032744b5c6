"""Forms that change policies: of a new domain, of one, of many. Each leads to a change that is shown before it is
made.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from starlette.datastructures import FormData, ImmutableMultiDict
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from policy_store.changes import operations
from policy_store.changes.change import Planned
from policy_store.changes.desk import Desk
from policy_store.changes.operations import DEFAULT_MODE, Wanted
from policy_store.durations import DEFAULT_MAX_AGE
from policy_store.names import InvalidName, mail_domain
from policy_store.policy import MODES, Mode, Policy
from policy_store.sender.lookup import NoPatterns
from policy_store.tables.entry import Entry
from policy_store.tables.policies import RowChanged
from policy_store.tables.row import (
    ColumnProblem,
    InvalidRow,
    Row,
    read_max_age,
    read_mode,
    read_pattern,
    split_patterns,
)
from policy_store.tlsrpt.overview import recent_rows
from policy_store.web.drafts import Wish
from policy_store.web.pages import go, page, plural, reading_of, site_of, still_reading, text_of
from policy_store.web.shelf import Reading
from policy_store.web.views.domain import entry_of
from policy_store.web.views.domains import Filter

MAX_AGES = ((86400, "1 day"), (604800, "1 week"), (1209600, "2 weeks"), (2419200, "4 weeks"), (7776000, "90 days"))
FILTER = "f_"  # before the names of the filter, since a form of many has its own mode and customer
type Fields = ImmutableMultiDict[str, Any]

_FIELDS = ("domain", "mode", "max_age", "mx", "add_mx", "drop_mx", "customer", "note", "version", "time", "why")


@dataclass(frozen=True, slots=True)
class Filled:
    """A form as it was filled in: its texts, what is wrong with each, and what could be read of it."""

    texts: dict[str, str]
    problems: dict[str, str]
    mode: Mode | None = None
    max_age: int | None = None
    mx: tuple[str, ...] = ()
    add_mx: tuple[str, ...] = ()
    drop_mx: tuple[str, ...] = ()

    @property
    def wanted(self) -> Wanted:
        """What an edit is to change."""
        note, customer = self.texts["note"], self.texts["customer"]
        return Wanted(self.mode, self.max_age, self.mx, self.add_mx, self.drop_mx, note or None, customer or None)


def read(form: FormData) -> Filled:
    """The form, read as a row of the table is. An empty field wishes nothing."""
    texts = {name: text_of(form, name) for name in _FIELDS}
    problems: dict[str, str] = {}
    found: list[ColumnProblem] = []
    mode = read_mode(("mode", texts["mode"]), found) if texts["mode"] else None
    max_age = read_max_age(("max_age", texts["max_age"]), found) if texts["max_age"] else None
    problems |= {problem.column: str(problem) for problem in found}
    patterns: dict[str, tuple[str, ...]] = {}
    for name in ("mx", "add_mx", "drop_mx"):
        try:
            patterns[name] = tuple(dict.fromkeys(map(read_pattern, split_patterns(texts[name]))))
        except InvalidName as error:
            problems[name] = str(error)
    return Filled(texts, problems, mode, max_age, **patterns)


def ask_add(request: Request) -> Response:
    """The form for a new domain."""
    texts = dict.fromkeys(_FIELDS, "") | {"mode": DEFAULT_MODE, "max_age": str(DEFAULT_MAX_AGE)}
    texts["domain"] = request.query_params.get("domain", "")[:253]
    return _add_page(request, Filled(texts, {}))


def add(request: Request, form: FormData) -> Response:
    """Look at what adding a domain comes to; where the patterns are left empty, DNS proposes them."""
    site, filled = site_of(request), read(form)
    problems = dict(filled.problems)
    name, mx = "", filled.mx
    try:
        name = mail_domain(filled.texts["domain"])
    except InvalidName as error:
        problems["domain"] = str(error)
    if not problems and not mx and text_of(form, "propose"):
        try:
            mx = site.desk().world.patterns(name)
        except NoPatterns as error:
            problems["mx"] = str(error)
    texts = filled.texts | {"mx": "\n".join(mx) if mx else filled.texts["mx"]}
    if text_of(form, "propose") == "look" and not problems:  # the patterns are shown in the form first
        return _add_page(request, Filled(texts, {}))
    policy = None
    if not problems:
        try:
            policy = Policy(mode=filled.mode or DEFAULT_MODE, mx=mx, max_age=filled.max_age or DEFAULT_MAX_AGE)
        except ValidationError as error:
            problems["mx"] = "; ".join(one["msg"].removeprefix("Value error, ") for one in error.errors())
    if policy is None:
        return _add_page(request, Filled(texts, problems), 400)
    wanted, note, customer = policy, texts["note"] or None, texts["customer"] or None

    def decide(desk: Desk, item: object, wish: Wish) -> Planned:
        return operations.add(desk, desk.store.entry(str(item)), wanted, note=note, customer=customer, why=wish.why)

    return _begin(request, Wish(f"Add {name}", "added", (name,), decide, back="/domains"))


def ask_one(request: Request) -> Response:
    """The form for one domain, filled with what its row holds."""
    entry = entry_of(request)
    if entry.row is None:
        raise HTTPException(404, f"{entry.domain} has no row: add it first.")
    readable = entry.row.readable if isinstance(entry.row, InvalidRow) else {}
    policy = entry.row.policy if isinstance(entry.row, Row) else None
    mx = policy.mx if policy else readable.get("mx", ())
    texts = dict.fromkeys(_FIELDS, "") | {
        "mode": policy.mode if policy else readable.get("mode", ""),
        "max_age": str(policy.max_age if policy else readable.get("max_age", "")),
        "mx": "\n".join(mx),
        "customer": entry.customer,
        "note": entry.note,
        "version": entry.row.etag,
    }
    return _one_page(request, entry, Filled(texts, {}))


def one(request: Request, form: FormData) -> Response:
    """Look at what the edit of one domain comes to, unless somebody changed it since its form was opened."""
    entry, filled = entry_of(request), read(form)
    problems = dict(filled.problems)
    if not filled.texts["mx"] and filled.mode != "none":
        problems.setdefault("mx", "at least one pattern is needed unless the mode is none")
    if problems:
        return _one_page(request, entry, Filled(filled.texts, problems), 400)
    version, wanted = filled.texts["version"], filled.wanted

    def decide(desk: Desk, item: object, wish: Wish) -> Planned:
        now = desk.store.entry(str(item))
        if now.row is not None and now.row.etag != version:
            raise RowChanged(now.domain)
        changed = Wanted(
            wanted.mode,
            wanted.max_age,
            wanted.mx,
            note=wish.why or _changed(filled.texts["note"], now.note),
            customer=_changed(filled.texts["customer"], "".join(now.customer.splitlines())),
        )
        return operations.edit(desk, now, changed, force=wish.force)

    return _begin(request, Wish(f"Edit {entry.domain}", "changed", (entry.domain,), decide, back=_path(entry)))


def _changed(text: str, known: str) -> str | None:
    """A text for people as it is wanted; None where it is the known one."""
    return None if text == known.replace("\r\n", "\n").replace("\r", "\n").strip() else text


def promote(request: Request, form: FormData) -> Response:
    """Look at what enforcing one domain comes to."""
    return _begin(request, _promote((entry_of(request).domain,), text_of(form, "why"), _path(entry_of(request))))


def retire(request: Request, form: FormData) -> Response:
    """Look at what withdrawing one policy comes to."""
    entry = entry_of(request)
    return _begin(request, _retire((entry.domain,), text_of(form, "why"), _path(entry)))


def remove(request: Request, form: FormData) -> Response:
    """Look at what removing one row comes to."""
    entry = entry_of(request)

    def decide(desk: Desk, item: object, wish: Wish) -> Planned:
        return operations.remove(desk, desk.store.entry(str(item)), why=wish.why, force=wish.force)

    wish = Wish(f"Remove {entry.domain}", "removed", (entry.domain,), decide, why=text_of(form, "why"), back="/domains")
    return _begin(request, wish)


def roll_back(request: Request, form: FormData) -> Response:
    """Look at what putting an older text in force again comes to."""
    entry, id_ = entry_of(request), text_of(form, "id")

    def decide(desk: Desk, item: object, wish: Wish) -> Planned:
        return operations.roll_back(desk, desk.store.entry(str(item)), id_, why=wish.why, force=wish.force)

    title, why = f"Roll back {entry.domain} to {id_}", text_of(form, "why")
    return _begin(request, Wish(title, "rolled back", (entry.domain,), decide, why=why, back=_path(entry)))


def ask_many(request: Request) -> Response:
    """The forms for the domains that were chosen in the table."""
    reading = reading_of(request)
    if reading is None:
        return still_reading(request)
    return _many_page(request, reading, request.query_params, Filled(dict.fromkeys(_FIELDS, ""), {}))


def many(request: Request, form: FormData) -> Response:
    """Look at what a change of many domains comes to."""
    reading = reading_of(request)
    if reading is None:
        return still_reading(request)
    names, filled, action = _chosen(reading, form), read(form), text_of(form, "action")
    if not names:
        raise HTTPException(400, "No domain is chosen: tick some in the table.")
    problems = dict(filled.problems)
    wish: Wish | None = None
    if action == "promote":
        wish = _promote(names, filled.texts["why"], "/domains")
    elif action == "retire":
        wish = _retire(names, filled.texts["why"], "/domains")
    elif action == "restore":
        wish = _restore(names, filled, problems, site_of(request).desk().now)
    elif filled.wanted == Wanted():
        problems.setdefault("form", "There is nothing to change: fill in at least one field.")
    elif filled.mx and (filled.add_mx or filled.drop_mx):
        problems["mx"] = "this replaces all patterns: give it alone, or add and drop without it"
    else:
        wish = _edit(names, filled.wanted)
    if problems or wish is None:
        return _many_page(request, reading, form, Filled(filled.texts, problems), 400)
    return _begin(request, wish)


def _edit(names: tuple[str, ...], wanted: Wanted) -> Wish:
    named = len(names) == 1

    def decide(desk: Desk, item: object, wish: Wish) -> Planned:
        asked = (
            wanted
            if not wish.why
            else Wanted(
                wanted.mode, wanted.max_age, wanted.mx, wanted.add_mx, wanted.drop_mx, wish.why, wanted.customer
            )
        )
        return operations.edit(desk, desk.store.entry(str(item)), asked, force=wish.force, named=named)

    return Wish(f"Edit {_domains(names)}", "changed", names, decide, why=wanted.note or "")


def _promote(names: tuple[str, ...], why: str, back: str) -> Wish:
    def decide(desk: Desk, item: object, wish: Wish) -> Planned:
        name = str(item)
        rows = recent_rows(desk.store.reports, desk.now, name)
        reports = None if rows is None else tuple(rows)
        return operations.promote(desk, desk.store.entry(name), reports=reports, why=wish.why, force=wish.force)

    return Wish(f"Enforce {_domains(names)}", "promoted", names, decide, why=why, back=back)


def _retire(names: tuple[str, ...], why: str, back: str) -> Wish:
    def decide(desk: Desk, item: object, wish: Wish) -> Planned:
        return operations.retire(desk, desk.store.entry(str(item)), why=wish.why)

    return Wish(f"Withdraw the policy of {_domains(names)}", "retired", names, decide, why=why, back=back)


def _restore(names: tuple[str, ...], filled: Filled, problems: dict[str, str], now: datetime) -> Wish | None:
    text = filled.texts["time"]
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        problems["time"] = "write the time as 2026-11-24T19:30, in UTC"
        return None
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time
    if time > now:
        problems["time"] = "that is later than now: give a time of the past, in UTC"
        return None

    def decide(desk: Desk, item: object, wish: Wish) -> Planned:
        return operations.restore(desk, desk.store.entry(str(item)), time, why=wish.why, force=wish.force)

    title = f"Put {_domains(names)} back to {time:%Y-%m-%d %H:%M} UTC"
    return Wish(title, "put back", names, decide, why=filled.texts["why"])


def _chosen(reading: Reading, fields: Fields) -> tuple[str, ...]:
    """The domains that were ticked, or all that the filter leaves."""
    if fields.get("every"):
        return tuple(line.state.domain for line in Filter.of(fields, FILTER).lines(reading))
    return tuple(dict.fromkeys(str(name) for name in fields.getlist("domain") if str(name) in reading.lines))


def _begin(request: Request, wish: Wish) -> Response:
    site = site_of(request)
    return go(f"/changes/{site.drafts.start(site.desk(), wish)}")


def _domains(names: tuple[str, ...]) -> str:
    return plural(len(names), "domain") if len(names) > 1 else names[0]


def _path(entry: Entry) -> str:
    return f"/domains/{entry.domain}"


def _add_page(request: Request, filled: Filled, status: int = 200) -> Response:
    return page(request, "add.html", status, filled=filled, modes=MODES, max_ages=MAX_AGES)


def _one_page(request: Request, entry: Entry, filled: Filled, status: int = 200) -> Response:
    return page(request, "edit.html", status, entry=entry, filled=filled, modes=MODES, max_ages=MAX_AGES)


def _many_page(request: Request, reading: Reading, fields: Fields, filled: Filled, status: int = 200) -> Response:
    names = _chosen(reading, fields)
    every = bool(fields.get("every"))
    return page(
        request,
        "edit_many.html",
        status,
        names=names,
        every=every,
        wanted=Filter.of(fields, FILTER) if every else Filter(),
        filled=filled,
        modes=MODES,
        max_ages=MAX_AGES,
        shown=20,
    )
