"""The table `tlsreports`: one row for each policy entry of a TLS report (RFC 8460), added once.

PartitionKey is the UTC day of the report, RowKey `domain!reporter!hash`: a day is one partition with its domains in the
order of the other tables, and one report has one row however often it comes, and by whichever way.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from heapq import merge
from typing import Any

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.data.tables import TableClient, TableErrorCode, UpdateMode

from policy_store.pool import ordered
from policy_store.tables.policies import entity_exists
from policy_store.tables.report_row import DIVIDER, InvalidReport, ReportRow, partition_of

TABLE = "tlsreports"

_log = logging.getLogger(__name__)
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


class CannotMake(ValueError):
    """The table is missing, and this person may not make it."""

    def __init__(self) -> None:
        super().__init__(
            f"the store has no table {TABLE} that you may use, and you may not create it: ask whoever deploys "
            "infra/main.bicep to set tlsReports=true, which creates the table and gives the operators the role Storage "
            "Table Data Contributor on it"
        )


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
            parameters |= {"first": domain + DIVIDER, "last": domain + _AFTER_DIVIDER}
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
