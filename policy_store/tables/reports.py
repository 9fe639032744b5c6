"""The table `tlsreports`: one row for each policy entry of a TLS report (RFC 8460), added once.

PartitionKey is the UTC day of the report, RowKey `domain!reporter!hash`: a day is one partition with its domains in the
order of the other tables, and one report has one row however often it comes, and by whichever way.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from heapq import merge
from typing import Any, Literal, Self, get_args

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.data.tables import TableClient, TableErrorCode, UpdateMode

from policy_store.names import quoted
from policy_store.pool import ordered
from policy_store.tables.policies import entity_exists

type Via = Literal["https", "imported"]

TABLE = "tlsreports"
LARGEST_RAW = 48 * 1024  # bytes; a larger report is kept without its source

_log = logging.getLogger(__name__)
_DIVIDER = "!"  # sorts before all that a domain is made of, and no domain has it
_AFTER_DIVIDER = '"'
_PAGE = 250  # rows of one day that are fetched at once, where many days are read side by side
_FORBIDDEN = 403
_AT_ONCE = 100  # entities of one transaction
# What a verdict needs: without the others, times above all, a row is read in two thirds of the time.
_BRIEF = (
    "PartitionKey",
    "RowKey",
    "organization",
    "type",
    "text",
    "ok",
    "failed",
    "details",
    "more",
    "via",
    "client",
    "whole",
)
_COLUMNS = (*_BRIEF, "start", "end", "contact", "report_id", "agent", "received")


class InvalidReport(ValueError):
    """A row that no receiver wrote; the message says what is wrong with it."""


class CannotMake(ValueError):
    """The table is missing, and this person may not make it."""

    def __init__(self) -> None:
        super().__init__(
            f"the store has no table {TABLE} that you may use, and you may not create it: ask whoever deploys "
            "infra/main.bicep to set tlsReports=true, which creates the table and gives the operators the role Storage "
            "Table Data Contributor on it"
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """Sessions that failed for one cause at one MX host. `type` is a result type of RFC 8460 section 4.3."""

    type: str
    mx_host: str
    reason: str
    sessions: int


@dataclass(frozen=True, slots=True)
class ReportRow:
    """What one report says of one policy of one domain.

    `day` is the UTC day that it counts for. `reporter` is the registrable domain of who wrote it, as far as anybody can
    tell. `text` has the lines of the policy as the sender saw it, divided by LF. `failures` are the worst ones, `more`
    counts the failed sessions of the others. `via` is `imported` where a person vouches for the report, else `https`:
    anybody may have sent it, from the address `client` with the User-Agent `agent`. `whole` is the same for all rows of
    a report, and `raw` is that report in gzip, kept with one of them.
    """

    domain: str
    day: date
    reporter: str
    hash: str
    start: datetime
    end: datetime
    organization: str
    contact: str
    report_id: str
    type: str
    text: str
    ok: int
    failed: int
    failures: tuple[Failure, ...]
    more: int
    via: Via
    agent: str
    client: str
    received: datetime
    whole: str
    raw: bytes = b""

    @property
    def partition(self) -> str:
        """The PartitionKey."""
        return partition_of(self.day)

    @property
    def key(self) -> str:
        """The RowKey."""
        return _DIVIDER.join((self.domain, self.reporter, self.hash))

    @property
    def entity(self) -> dict[str, Any]:
        """The row as it is stored; `mode` is for people."""
        cells: dict[str, Any] = {
            "PartitionKey": self.partition,
            "RowKey": self.key,
            "start": self.start,
            "end": self.end,
            "organization": self.organization,
            "contact": self.contact,
            "report_id": self.report_id,
            "type": self.type,
            "mode": _mode(self.text),
            "text": self.text,
            "ok": self.ok,
            "failed": self.failed,
            "details": json.dumps(
                [[each.type, each.mx_host, each.reason, each.sessions] for each in self.failures], ensure_ascii=False
            ),
            "more": self.more,
            "via": self.via,
            "agent": self.agent,
            "client": self.client,
            "received": self.received,
            "whole": self.whole,
        }
        return {**cells, "raw": self.raw} if self.raw else cells

    @classmethod
    def read(cls, entity: Mapping[str, Any]) -> Self:
        """The row that `entity` holds; a missing text is empty, a missing time the beginning of the day.

        Raises InvalidReport.
        """
        partition, key = str(entity["PartitionKey"]), str(entity["RowKey"])
        try:
            domain, reporter, content = key.split(_DIVIDER)
            texts = {
                name: _of(str, entity.get(name, ""))
                for name in ("organization", "contact", "report_id", "type", "text", "agent", "client", "whole")
            }
            via = str(entity.get("via"))
            if via not in get_args(Via.__value__):
                raise ValueError(f"via is {quoted(via)}")
            midnight = datetime(int(partition[:4]), int(partition[4:6]), int(partition[6:]), tzinfo=UTC)
            return cls(
                domain=domain,
                day=midnight.date(),
                reporter=reporter,
                hash=content,
                start=_of(datetime, entity.get("start", midnight)),
                end=_of(datetime, entity.get("end", midnight)),
                ok=_of(int, entity["ok"]),
                failed=_of(int, entity["failed"]),
                failures=tuple(
                    Failure(_of(str, type_), _of(str, host), _of(str, reason), _of(int, sessions))
                    for type_, host, reason, sessions in json.loads(entity["details"])
                ),
                more=_of(int, entity["more"]),
                via="https" if via == "https" else "imported",
                received=_of(datetime, entity.get("received", midnight)),
                raw=_of(bytes, entity.get("raw", b"")),
                **texts,
            )
        except (KeyError, ValueError, TypeError) as error:
            raise InvalidReport(f"the row {quoted(key)} of the day {quoted(partition)}: {error}") from error


def _mode(text: str) -> str:
    fields = (line.partition(":") for line in text.split("\n"))
    return next((value.strip()[:20] for name, _, value in fields if name == "mode"), "")


def partition_of(day: date) -> str:
    """The PartitionKey of a day: `20261125`."""
    return day.isoformat().replace("-", "")


def table_is_missing(error: Exception) -> bool:
    """Whether a call failed because the store has no table `tlsreports` (yet)."""
    missing = TableErrorCode.TABLE_NOT_FOUND
    return isinstance(error, ResourceNotFoundError) and (
        getattr(error, "error_code", None) == missing or missing.value in str(error)
    )


class ReportTable:
    """Adds to and reads the table `tlsreports`.

    Every method may raise an `azure.core.exceptions.AzureError` of the storage call. May be shared between threads.
    """

    def __init__(self, client: TableClient) -> None:
        self._client = client
        self._exists = False
        self._warned = False

    def add(self, row: ReportRow) -> bool:
        """Add the row; False where it is there already. What a person imports vouches for what anybody had posted."""
        try:
            self._client.create_entity(row.entity)
        except ResourceExistsError as error:
            if not entity_exists(error):
                raise
            if row.via == "imported":
                vouched = {"PartitionKey": row.partition, "RowKey": row.key, "via": row.via}
                self._client.update_entity(vouched, mode=UpdateMode.MERGE)
            return False
        return True

    def exists(self) -> bool:
        """Whether the store has the table; without it nobody receives reports. One request, until it has.

        Where only the other tables may be read it cannot be told: then it is as if there were none, and a warning says
        so once.
        """
        if self._exists:
            return True
        try:
            next(iter(self._client.query_entities("PartitionKey eq ''", results_per_page=1)), None)
        except HttpResponseError as error:
            if error.status_code == _FORBIDDEN and not self._warned:
                self._warned = True
                _log.warning(
                    "this store does not let you look at a table %s (403), so TLS reports are not considered: if the "
                    "app receives reports, ask for the role Storage Table Data Contributor on that table",
                    TABLE,
                )
            if error.status_code != _FORBIDDEN and not table_is_missing(error):
                raise
            return False
        self._exists = True
        return True

    def make_if_missing(self) -> None:
        """Make the table where it is missing, which takes more than the right to write rows. Raises CannotMake."""
        if self.exists():
            return
        try:
            self._client.create_table()
        except ResourceExistsError:
            pass
        except HttpResponseError as error:
            if error.status_code != _FORBIDDEN:
                raise
            raise CannotMake from error

    def of_domain(self, domain: str, first: date, last: date, *, raw: bool = False) -> list[ReportRow]:
        """The rows of one domain for the days from `first` to `last`, the oldest first; with `raw` their sources too.

        One request for each day, several at once.
        """

        def of_day(day: date) -> list[ReportRow]:
            return list(_read(self._query(day, (*_COLUMNS, "raw") if raw else _COLUMNS, domain)))

        return [row for rows in ordered(of_day, _days(first, last)) for row in rows]

    def all(self, first: date, last: date, *, after: str = "") -> Iterator[ReportRow]:
        """The rows of all domains greater than `after` for the days from `first` to `last`, domain by domain in the
        order of their names; pages of the days are merged as they come, so that memory stays flat. They lack times,
        contact, id and agent.
        """
        days = [_read(self._query(day, _BRIEF, after=after, page=_PAGE)) for day in _days(first, last)]
        return merge(*days, key=lambda row: row.domain)

    def delete_before(self, day: date, *, dry_run: bool = False) -> int:
        """Delete the rows of all days before `day` and return how many there are."""
        found = self._client.query_entities(
            "PartitionKey lt @day", parameters={"day": partition_of(day)}, select=["PartitionKey", "RowKey"]
        )
        count = 0
        batch: list[tuple[str, Mapping[str, Any]]] = []
        for entity in found:
            if batch and (len(batch) == _AT_ONCE or batch[0][1]["PartitionKey"] != entity["PartitionKey"]):
                self._client.submit_transaction(batch)
                batch = []
            count += 1
            if not dry_run:
                batch.append(("delete", entity))
        if batch:
            self._client.submit_transaction(batch)
        return count

    def _query(
        self, day: date, columns: Sequence[str], domain: str = "", *, after: str = "", page: int | None = None
    ) -> Iterable[Mapping[str, Any]]:
        wanted, parameters = "PartitionKey eq @day", {"day": partition_of(day)}
        if domain:
            wanted += " and RowKey ge @first and RowKey lt @last"
            parameters |= {"first": domain + _DIVIDER, "last": domain + _AFTER_DIVIDER}
        elif after:
            wanted += " and RowKey ge @first"
            parameters |= {"first": after + _AFTER_DIVIDER}
        return self._client.query_entities(wanted, parameters=parameters, select=list(columns), results_per_page=page)


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _read(entities: Iterable[Mapping[str, Any]]) -> Iterator[ReportRow]:
    for entity in entities:
        try:
            yield ReportRow.read(entity)
        except InvalidReport as invalid:
            _log.error("%s: it is left out", invalid)


def _of[T](kind: type[T], value: object) -> T:
    """The value, where it is of that kind. Raises TypeError."""
    if not isinstance(value, kind):
        raise TypeError(f"{quoted(str(value))} is not a {kind.__name__}")
    return value
