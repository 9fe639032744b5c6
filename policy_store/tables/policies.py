"""The table `policies`: one row per policy domain. Reads are point reads or pages, writes conditional on the ETag."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableClient, TableEntity, TableErrorCode, UpdateMode

from policy_store.names import host_name
from policy_store.policy import Policy
from policy_store.tables.row import ROW_KEY, InvalidRow, Row

TABLE = "policies"


class RowExists(Exception):
    """The domain has a row already: edit that one."""


class RowChanged(Exception):
    """Somebody changed or removed the row since it was read, or right after it was written: read it again."""


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

    def add(self, domain: str, policy: Policy, note: str = "") -> Row:
        """Write the first row of `domain`. Raises InvalidName, RowExists, RowChanged."""
        try:
            written = self._client.create_entity(_entity(domain, policy, note))
        except ResourceExistsError as error:
            if not entity_exists(error):
                raise
            raise RowExists(f"{domain} has a row already: edit that one") from error
        return self._written(domain, str(written["etag"]))

    def replace(
        self, domain: str, etag: str, policy: Policy, note: str = "", others: Mapping[str, Any] | None = None
    ) -> Row:
        """Write the row anew, with the cells of `others`, if its version is still `etag`. Raises RowChanged."""
        try:
            written = self._client.update_entity(
                {**(others or {}), **_entity(domain, policy, note)},
                mode=UpdateMode.REPLACE,
                etag=etag,
                match_condition=MatchConditions.IfNotModified,
            )
        except (ResourceModifiedError, ResourceNotFoundError) as error:
            raise _changed(domain, error) from error
        return self._written(domain, str(written["etag"]))

    def delete(self, domain: str, etag: str) -> None:
        """Delete the row of `domain` if its version is still `etag`; one that is gone is fine. Raises RowChanged."""
        try:
            self._client.delete_entity(
                {"PartitionKey": domain, "RowKey": ROW_KEY}, etag=etag, match_condition=MatchConditions.IfNotModified
            )
        except ResourceModifiedError as error:  # the SDK keeps "not found" to itself
            raise _changed(domain) from error

    def _written(self, domain: str, etag: str) -> Row:
        """The row just written, read back for its Timestamp, which no answer to a write holds."""
        row = self.get(domain)
        if row is None or row.etag != etag:
            raise _changed(domain)
        return row


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


def _entity(domain: str, policy: Policy, note: str) -> dict[str, Any]:
    entity: dict[str, Any] = {
        "PartitionKey": host_name(domain),
        "RowKey": ROW_KEY,
        "mode": policy.mode,
        "mx": " ".join(policy.mx),
        "max_age": policy.max_age,
    }
    return {**entity, "note": note} if note else entity


def _changed(domain: str, error: Exception | None = None) -> Exception:
    if error is not None and getattr(error, "error_code", None) == TableErrorCode.TABLE_NOT_FOUND:
        return error
    return RowChanged(f"the row of {domain} was changed by somebody else: look at it and repeat the edit")
