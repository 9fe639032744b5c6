"""The table of all domains: search, filters, order, pages, and the choice of many."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from starlette.requests import Request
from starlette.responses import Response

from policy_store.changes.selection import InvalidCondition, Selection, read_conditions
from policy_store.names import InvalidName, read_name
from policy_store.web.pages import page, reading_of, still_reading
from policy_store.web.shelf import Line, Reading

PAGE = 100  # domains
STATES = {"problem": "with a problem", "fine": "without a problem"}
_SORTS: dict[str, Callable[[Line], Any]] = {
    "domain": lambda line: line.state.domain,
    "mode": lambda line: (line.state.mode or "", line.state.domain),
    "customer": lambda line: (line.state.customer.casefold(), line.state.domain),
    "max_age": lambda line: (line.state.max_age or 0, line.state.domain),
    "since": lambda line: (line.state.since is not None, line.state.since, line.state.domain),
}


@dataclass(frozen=True, slots=True)
class Filter:
    """What the table shows: texts to find, a mode, a customer, a state, and conditions as `--where` has them."""

    q: str = ""
    mode: str = ""
    customer: str = ""
    state: str = ""
    where: str = ""

    @classmethod
    def of(cls, fields: Mapping[str, Any], prefix: str = "") -> Self:
        """The filter in a query or a form, whose names may have a prefix."""
        return cls(**{name: str(fields.get(prefix + name, ""))[:1000] for name in cls.__slots__})

    @property
    def parts(self) -> dict[str, str]:
        """The filter as the fields of a query."""
        return {name: getattr(self, name) for name in self.__slots__}

    def lines(self, reading: Reading) -> list[Line]:
        """The lines that are left, in the order of the domains. Raises InvalidCondition."""
        words = [_as_found(word) for word in self.q.lower().split()]
        conditions = Selection((), read_conditions([self.where] if self.where.strip() else []))
        return [
            line
            for line in reading.lines.values()
            if all(word in line.text for word in words)
            and self.mode in ("", line.state.mode or "no policy")
            and (not self.customer or _same_customer(self.customer, line.state.customer))
            and self.state in ("", "problem" if line.state.problems else "fine")
            and (not conditions.conditions or conditions.holds(reading.entries[line.state.domain]))
        ]


NO_CUSTOMER = "-"


def show(request: Request) -> Response:
    """One page of the table."""
    reading = reading_of(request)
    if reading is None:
        return still_reading(request)
    fields = request.query_params
    wanted = Filter.of(fields)
    sort = fields.get("sort", "domain")
    key = _SORTS.get(sort.removeprefix("-"), _SORTS["domain"])
    problem, lines = "", list[Line]()
    try:
        lines = wanted.lines(reading)
    except InvalidCondition as error:
        problem = str(error)
    if sort != "domain":
        lines.sort(key=key, reverse=sort.startswith("-"))
    pages = max(1, -(-len(lines) // PAGE))
    number = min(max(_number(fields.get("page", "1")), 1), pages)
    return page(
        request,
        "domains.html",
        400 if problem else 200,
        problem=problem,
        reading=reading,
        wanted=wanted,
        lines=lines[(number - 1) * PAGE : number * PAGE],
        found=len(lines),
        total=len(reading.lines),
        customers=reading.customers(),
        states=STATES,
        sort=sort,
        number=number,
        pages=pages,
    )


def _same_customer(wanted: str, customer: str) -> bool:
    return customer == ("" if wanted == NO_CUSTOMER else wanted)


def _as_found(word: str) -> str:
    """A word of a search as names are stored, where it is a name with letters beyond ASCII."""
    if word.isascii():
        return word
    try:
        return word if "." not in word.strip(".") else read_name(word)
    except InvalidName:
        return word


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1
