"""A row of the table `tlsreports`: what one report says of one policy of one domain."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal, Self, get_args

from policy_store.names import quoted

type Via = Literal["https", "imported"]

LARGEST_RAW = 48 * 1024  # bytes; a larger report is kept without its source
DIVIDER = "!"  # of a RowKey: it sorts before all that a domain is made of, and no domain has it


class InvalidReport(ValueError):
    """A row that no receiver wrote; the message says what is wrong with it."""


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
        return DIVIDER.join((self.domain, self.reporter, self.hash))

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
            domain, reporter, content = key.split(DIVIDER)
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


def _of[T](kind: type[T], value: object) -> T:
    """The value, where it is of that kind. Raises TypeError."""
    if not isinstance(value, kind):
        raise TypeError(f"{quoted(str(value))} is not a {kind.__name__}")
    return value
