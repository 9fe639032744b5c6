"""The table `policies`: one row per policy domain. Reads are point reads or pages, writes conditional on the ETag."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableClient, TableEntity, TableErrorCode, UpdateMode

from policy_store.names import domain_name
from policy_store.policy import Policy
from policy_store.tables.intent import Intent
from policy_store.tables.row import ROW_KEY, InvalidRow, Row

TABLE = "policies"


class RowExists(Exception):
    """The domain has a row already: edit that one."""


class RowChanged(Exception):
    """Somebody changed or removed the row since it was read, and nothing was overwritten: read it again."""

    def __init__(self, domain: str) -> None:
        super().__init__(f"the row of {domain} was changed by somebody else: look at it and repeat the edit")


class Overtaken(Exception):
    """The row was written, and somebody replaced its text right after; `row` is the version that was written."""

    def __init__(self, row: Row) -> None:
        super().__init__(f"the row of {row.domain} was written, but somebody else changed it right after")
        self.row = row


class OtherEntity(AzureError):
    """The service answered with an entity that has other keys than those asked for: nothing in it can be trusted."""


class Page(NamedTuple):
    """One answer to a query for rows, maybe an empty one that others follow: the service's time when it was made (UTC;
    None where it says none), and the entities, for `read_row`.
    """

    date: datetime | None
    entities: Sequence[TableEntity]


class PolicyTable:
    """Point reads, conditional writes and listing of the table `policies`.

    Every method may raise an `azure.core.exceptions.AzureError` of the storage call. May be shared between threads.
    """

    def __init__(self, client: TableClient) -> None:
        self._client = client

    def get(self, domain: str) -> Row | None:
        """The row of `domain` (lower-case A-labels), None where there is none; one request. Raises InvalidRow.

        A missing table is not a missing row: it raises ResourceNotFoundError.
        """
        try:
            entity = self._client.get_entity(domain, ROW_KEY)
        except ResourceNotFoundError as error:
            if getattr(error, "error_code", None) != TableErrorCode.RESOURCE_NOT_FOUND:
                raise
            return None
        refuse_other_keys(entity, domain, ROW_KEY)
        return Row.read(entity)

    def rows(self, *, after: str = "") -> Iterator[Row | InvalidRow]:
        """The rows of the domains greater than `after` in the order of their keys, fetched page by page; those without
        a policy as InvalidRow.
        """
        return map(read_row, entities_after(self._client, after))

    def pages(self, *, since: datetime | None = None) -> Iterator[Page]:
        """All rows, or those whose Timestamp is `since` or later, in the order of their keys, request by request."""
        dates: list[str | None] = []

        def note_date(response: Any) -> None:
            dates.append(response.http_response.headers.get("Date"))

        if since is None:
            items = self._client.list_entities(raw_response_hook=note_date)
        else:
            items = self._client.query_entities(
                "Timestamp ge @since", parameters={"since": since}, raw_response_hook=note_date
            )
        for entities in items.by_page():
            yield Page(_date(dates[-1] if dates else None), list(entities))

    def add(
        self, domain: str, policy: Policy, note: str = "", *, customer: str = "", intent: Intent | None = None
    ) -> Row:
        """Write the first row of `domain`. Raises InvalidName, RowExists, Overtaken."""
        cells = _entity(domain, policy, note, customer, intent)
        try:
            written = self._client.create_entity(cells)
        except ResourceExistsError as error:
            if not entity_exists(error):
                raise
            if (own := self._own(domain, policy, intent)) is not None:
                return own
            raise RowExists(f"{domain} has a row already: edit that one") from error
        return self._written(domain, policy, note, customer, intent, written)

    def replace(
        self,
        domain: str,
        etag: str,
        policy: Policy,
        note: str = "",
        others: Mapping[str, Any] | None = None,
        *,
        customer: str = "",
        intent: Intent | None = None,
    ) -> Row:
        """Write the row again, with the cells of `others`, if its version is still `etag`.

        Raises RowChanged, Overtaken.
        """
        try:
            written = self._client.update_entity(
                {**(others or {}), **_entity(domain, policy, note, customer, intent)},
                mode=UpdateMode.REPLACE,
                etag=etag,
                match_condition=MatchConditions.IfNotModified,
            )
        except (ResourceModifiedError, ResourceNotFoundError) as error:
            if (own := self._own(domain, policy, intent)) is not None:
                return own
            raise _changed(domain, error) from error
        return self._written(domain, policy, note, customer, intent, written)

    def delete(self, domain: str, etag: str) -> None:
        """Delete the row of `domain` if its version is still `etag`; one that is gone is fine. Raises RowChanged."""
        try:
            self._client.delete_entity(
                {"PartitionKey": domain, "RowKey": ROW_KEY}, etag=etag, match_condition=MatchConditions.IfNotModified
            )
        except ResourceModifiedError as error:  # the SDK keeps "not found" to itself
            raise _changed(domain) from error

    def _own(self, domain: str, policy: Policy, intent: Intent | None) -> Row | None:
        """The row, where a request wrote it whose answer was lost, so that its repetition was refused."""
        row = self._found(domain) if intent else None
        return row if row is not None and (row.policy, row.intent) == (policy, intent) else None

    def _found(self, domain: str) -> Row | None:
        try:
            return self.get(domain)
        except InvalidRow:
            return None

    def _written(
        self,
        domain: str,
        policy: Policy,
        note: str,
        customer: str,
        intent: Intent | None,
        answer: Mapping[str, Any],
    ) -> Row:
        """The row just written, read back for its Timestamp, which no answer to a write holds. Raises Overtaken."""
        row = self._found(domain)
        if row is not None and row.policy == policy:
            return row
        etag, time = str(answer["etag"]), answer["date"].astimezone(UTC)
        raise Overtaken(Row(domain, policy, note, etag, time, customer=customer, intent=intent))


def read_row(entity: TableEntity) -> Row | InvalidRow:
    """The row that `entity` holds, as InvalidRow where that is no policy."""
    try:
        return Row.read(entity)
    except InvalidRow as invalid:
        return invalid


def refuse_other_keys(entity: Mapping[str, Any], partition_key: str, row_key: str | None = None) -> None:
    """Raise OtherEntity unless `entity` has the keys that were asked for."""
    if entity.get("PartitionKey") != partition_key or row_key not in (None, entity.get("RowKey")):
        raise OtherEntity("the table service answered with another entity than the one asked for")


def entity_exists(error: ResourceExistsError) -> bool:
    """Whether an insert failed because the keys are taken, and not because the table is being deleted.

    The SDK decodes the error code of every call but this one.
    """
    return TableErrorCode.ENTITY_ALREADY_EXISTS.value in str(error)


def entities_after(
    client: TableClient, partition_key: str, columns: Sequence[str] | None = None
) -> Iterator[TableEntity]:
    """The entities of a table whose PartitionKey is greater than `partition_key`, in the order of their keys; all of
    them for the empty one. With `columns` they have only those.
    """
    select = None if columns is None else list(columns)
    if not partition_key:
        return iter(client.list_entities(select=select))
    return iter(client.query_entities("PartitionKey gt @key", parameters={"key": partition_key}, select=select))


def _date(header: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(header) if header else None
    except ValueError:
        return None


def _entity(domain: str, policy: Policy, note: str, customer: str, intent: Intent | None) -> dict[str, Any]:
    entity: dict[str, Any] = {
        "PartitionKey": domain_name(domain),
        "RowKey": ROW_KEY,
        "mode": policy.mode,
        "mx": " ".join(policy.mx),
        "max_age": policy.max_age,
    }
    for_people = {"customer": customer, "note": note, "change": intent.cell if intent else ""}
    return entity | {column: text for column, text in for_people.items() if text}


def _changed(domain: str, error: Exception | None = None) -> Exception:
    if error is not None and getattr(error, "error_code", None) == TableErrorCode.TABLE_NOT_FOUND:
        return error
    return RowChanged(domain)
