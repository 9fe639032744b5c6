"""The table `policies`: one row per policy domain, made for editing by hand.

A row's PartitionKey is the domain, its RowKey always `policy`. Reading forgives whatever has one meaning only and calls
everything else an InvalidRow; writing is conditional on the row's ETag.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import EntityProperty, TableClient, TableEntity, TableErrorCode, UpdateMode

from policy_store._transport import transport
from policy_store.names import InvalidName, host_name, quoted, read_name
from policy_store.policy import LONGEST_MAX_AGE, MODES, Policy, pattern
from policy_store.settings import Settings, SettingsError

TABLE = "policies"
ROW_KEY = "policy"

# What one storage call of the app may cost, whatever the defaults of the SDK (up to 20 minutes): one retry, no sleep
# before it, and no obedience to a Retry-After.
_BOUNDS = {
    "connection_timeout": 0.5,
    "read_timeout": 1,
    "retry_total": 1,
    "retry_connect": 1,
    "retry_read": 1,
    "retry_status": 0,
    "retry_backoff_factor": 0.05,
}
_IDENTITY_BOUNDS = {"connection_timeout": 0.5, "read_timeout": 0.5, "retry_total": 0}
_COLUMNS = {"mode": "mode", "mx": "mx", "maxage": "max_age", "note": "note"}
_SEPARATORS = re.compile(r"[\s,;]+")
_NUMBER = re.compile(r"[0-9]{1,10}")


class RowExists(Exception):
    """The domain has a row already: edit that one."""


class RowChanged(Exception):
    """Somebody changed or removed the row since it was read, or right after it was written: read it again."""


@dataclass(frozen=True, slots=True)
class ColumnProblem:
    """What is wrong with one cell: the column as the row spells it, its value in quotes, a sentence with the remedy."""

    column: str
    value: str
    message: str

    def __str__(self) -> str:
        return f"{self.column} is {self.value}: {self.message}"


class InvalidRow(ValueError):
    """A row that holds no policy; `problems` has every cell that is wrong.

    `domain` and `row_key` are the row's keys as stored, `etag` and `modified` (UTC) tell the version of the row.
    """

    def __init__(
        self, domain: str, row_key: str, etag: str, modified: datetime, problems: tuple[ColumnProblem, ...]
    ) -> None:
        self.domain, self.row_key, self.etag, self.modified, self.problems = domain, row_key, etag, modified, problems
        super().__init__("; ".join(map(str, problems)))

    @property
    def reachable(self) -> bool:
        """Whether a point read finds the row: its PartitionKey is a domain as requests ask for it, its RowKey right."""
        return all(problem.column not in ("PartitionKey", "RowKey") for problem in self.problems)


@dataclass(frozen=True, slots=True)
class Row:
    """A valid row: the policy of `domain`, the note for people, and the version (`etag`, `modified` in UTC)."""

    domain: str
    policy: Policy
    note: str
    etag: str
    modified: datetime
    unknown_columns: tuple[str, ...] = ()

    @classmethod
    def read(cls, entity: TableEntity) -> Self:
        """The row that `entity` holds. Raises InvalidRow."""
        cells, unknown, problems = _cells(entity)
        problems += _key_problems(entity)
        mode = _read_mode(cells.get("mode"), problems)
        mx = _read_mx(cells.get("mx"), mode, problems)
        max_age = _read_max_age(cells.get("max_age"), problems)
        domain, row_key = str(entity["PartitionKey"]), str(entity["RowKey"])
        etag, modified = str(entity.metadata["etag"]), _utc(entity.metadata["timestamp"])
        if problems:
            raise InvalidRow(domain, row_key, etag, modified, tuple(problems))
        policy = Policy.model_validate({"mode": mode, "mx": mx, "max_age": max_age})
        note = cells.get("note", ("note", ""))[1]
        return cls(domain, policy, "" if note is None else str(note), etag, modified, tuple(unknown))


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
            return Row.read(self._client.get_entity(domain, ROW_KEY))
        except ResourceNotFoundError as error:
            if getattr(error, "error_code", None) != TableErrorCode.RESOURCE_NOT_FOUND:
                raise
            return None

    def rows(self) -> Iterator[Row | InvalidRow]:
        """All rows in the order of their keys, fetched page by page, with those that hold no policy as InvalidRow."""
        for entity in self._client.list_entities():
            try:
                yield Row.read(entity)
            except InvalidRow as invalid:
                yield invalid

    def add(self, domain: str, policy: Policy, note: str = "") -> Row:
        """Write the first row of `domain`. Raises InvalidName, RowExists, RowChanged."""
        try:
            written = self._client.create_entity(_entity(domain, policy, note))
        except ResourceExistsError as error:
            if getattr(error, "error_code", None) != TableErrorCode.ENTITY_ALREADY_EXISTS:
                raise
            raise RowExists(f"{domain} has a row already: edit that one") from error
        return self._written(domain, str(written["etag"]))

    def replace(self, domain: str, etag: str, policy: Policy, note: str = "") -> Row:
        """Write the row of `domain` anew if its version is still `etag`; unknown columns go. Raises RowChanged."""
        try:
            written = self._client.update_entity(
                _entity(domain, policy, note),
                mode=UpdateMode.REPLACE,
                etag=etag,
                match_condition=MatchConditions.IfNotModified,
            )
        except (ResourceModifiedError, ResourceNotFoundError) as error:
            raise _changed(domain, error) from error
        return self._written(domain, str(written["etag"]))

    def delete(self, domain: str, etag: str) -> None:
        """Delete the row of `domain` if its version is still `etag`. Raises RowChanged."""
        try:
            self._client.delete_entity(
                {"PartitionKey": domain, "RowKey": ROW_KEY}, etag=etag, match_condition=MatchConditions.IfNotModified
            )
        except (ResourceModifiedError, ResourceNotFoundError) as error:
            raise _changed(domain, error) from error

    def _written(self, domain: str, etag: str) -> Row:
        """The row just written, read back for its Timestamp, which no answer to a write holds."""
        row = self.get(domain)
        if row is None or row.etag != etag:
            raise _changed(domain)
        return row


def open_table(settings: Settings, name: str = TABLE, *, connections: int = 10) -> TableClient:
    """A client for the table `name` with the app's bounds: every call ends within about 3 seconds.

    It makes no request. azure-identity is imported only where the settings choose a managed identity. Raises
    SettingsError for a connection string that is none.
    """
    bounds: dict[str, Any] = {**_BOUNDS, "transport": transport(connections=connections)}
    if settings.table_service_uri:
        from azure.identity import ManagedIdentityCredential

        identity_bounds: dict[str, Any] = {**_IDENTITY_BOUNDS, "transport": transport(connections=connections)}
        credential = ManagedIdentityCredential(client_id=settings.client_id, **identity_bounds)
        return TableClient(settings.table_service_uri, name, credential=credential, **bounds)
    try:
        return TableClient.from_connection_string(settings.connection_string or "", name, **bounds)
    except ValueError as error:
        raise SettingsError(
            "POLICY_STORE is not a connection string: copy it from the storage account's access keys, "
            "or write UseDevelopmentStorage=true for Azurite"
        ) from error


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


def _utc(timestamp: datetime | None) -> datetime:
    return datetime.fromtimestamp(0, UTC) if timestamp is None else timestamp.astimezone(UTC)


type _Cells = dict[str, tuple[str, Any]]  # canonical column -> (the column as spelt, the value)


def _cells(entity: Mapping[str, Any]) -> tuple[_Cells, list[str], list[ColumnProblem]]:
    """The known columns by their canonical names, the unknown ones, and columns spelt twice with two values."""
    cells: _Cells = {}
    unknown: list[str] = []
    problems: list[ColumnProblem] = []
    for name, cell in entity.items():
        if name in ("PartitionKey", "RowKey"):
            continue
        column = _COLUMNS.get(name.lower().replace("_", ""))
        value = cell.value if isinstance(cell, EntityProperty) else cell  # an Int64 comes wrapped
        if column is None:
            unknown.append(name)
        elif column in cells and cells[column][1] != value:
            problems.append(
                ColumnProblem(name, quoted(str(value)), f"{cells[column][0]} is the same column: delete one of them")
            )
        else:
            cells[column] = (name, value)
    return cells, unknown, problems


def _key_problems(entity: Mapping[str, Any]) -> list[ColumnProblem]:
    problems = []
    domain, row_key = str(entity["PartitionKey"]), str(entity["RowKey"])
    try:
        found = host_name(domain)
        reason = f"it must be the domain in lower case, {found}"
    except InvalidName as error:
        found, reason = "", f"it must be the domain as lower-case A-labels; {error}"
    if found != domain:
        problems.append(ColumnProblem("PartitionKey", quoted(domain), reason))
    if row_key != ROW_KEY:
        problems.append(ColumnProblem("RowKey", quoted(row_key), "it must be 'policy', or no request finds the row"))
    return problems


def _read_mode(cell: tuple[str, Any] | None, problems: list[ColumnProblem]) -> str | None:
    column, value = cell or ("mode", None)
    mode = value.strip().lower() if isinstance(value, str) else None
    if mode in MODES:
        return mode
    problems.append(ColumnProblem(column, _shown(value), "it must be testing, enforce or none"))
    return None


def _read_mx(cell: tuple[str, Any] | None, mode: str | None, problems: list[ColumnProblem]) -> tuple[str, ...]:
    column, value = cell or ("mx", None)
    if value is not None and not isinstance(value, str):
        problems.append(ColumnProblem(column, _shown(value), "it must be a string of host names"))
        return ()
    texts = [text for text in _SEPARATORS.split(value or "") if text]
    if not texts and mode != "none":
        problems.append(ColumnProblem(column, _shown(value), "at least one host name is needed unless mode is none"))
    patterns = []
    for text in texts:
        try:
            patterns.append(_read_pattern(text))
        except InvalidName as error:
            problems.append(ColumnProblem(column, _shown(value), str(error)))
    return tuple(patterns)


def _read_pattern(text: str) -> str:
    """The pattern that a person meant: the host name in it is read as names.read_name does."""
    name = text.removeprefix("*.")
    return pattern(text) if "*" in name else text[: len(text) - len(name)] + read_name(name)


def _read_max_age(cell: tuple[str, Any] | None, problems: list[ColumnProblem]) -> int | None:
    column, value = cell or ("max_age", None)
    text = value.strip() if isinstance(value, str) else str(value)
    if isinstance(value, (int, str)) and _NUMBER.fullmatch(text) and int(text) <= LONGEST_MAX_AGE:
        return int(text)
    problems.append(
        ColumnProblem(column, _shown(value), f"it must be a whole number of seconds from 0 to {LONGEST_MAX_AGE}")
    )
    return None


def _shown(value: object) -> str:
    return "missing" if value is None else quoted(str(value))
