"""The table `policyhistory`: one row per revision of a policy's text, added once and never changed.

PartitionKey is the domain, RowKey the time of the row version that the revision records. Every recorder computes the
same key from the same row, so recording is idempotent however many do it at once. The RowKey is also the id for DNS,
unless an import took over the id that DNS showed for the same text.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from azure.core.exceptions import ResourceExistsError
from azure.data.tables import TableClient, TableErrorCode

from policy_store.names import quoted
from policy_store.policy import Policy
from policy_store.table import PolicyTable, Row

TABLE = "policyhistory"

_log = logging.getLogger(__name__)
_KEY = re.compile(r"[0-9]{14}Z")
_KEY_FORMAT = "%Y%m%d%H%M%SZ"
_ID = re.compile(r"[A-Za-z0-9]{1,32}")  # RFC 8461 section 3.1


class InvalidRevision(ValueError):
    """A row of the history that somebody else than a recorder wrote; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One text that was in force: its RowKey `key`, its `id` for DNS, the policy, who recorded it and why."""

    domain: str
    key: str
    id: str
    policy: Policy
    by: str = ""
    note: str = ""

    @property
    def text(self) -> str:
        """The text as served."""
        return self.policy.text

    @property
    def since(self) -> datetime:
        """When the row version that the revision records was written, in UTC."""
        return _time_of(self.key)

    @classmethod
    def read(cls, entity: Mapping[str, Any]) -> Self:
        """The revision that `entity` holds; its `text` counts, `mode`, `mx` and `max_age` are for people. Raises
        InvalidRevision.
        """
        domain, key = str(entity["PartitionKey"]), str(entity["RowKey"])
        id_ = entity.get("id")
        try:
            if not _KEY.fullmatch(key) or key_of(_time_of(key)) != key:
                raise ValueError("the RowKey is not YYYYMMDDhhmmssZ")
            if not isinstance(id_, str) or not _ID.fullmatch(id_):
                raise ValueError(f"the id {quoted(str(id_))} is not 1 to 32 letters and digits")
            policy = Policy.parse(str(entity.get("text", "")))
        except ValueError as error:
            raise InvalidRevision(f"revision {quoted(key)} of {quoted(domain)}: {error}") from error
        return cls(domain, key, id_, policy, str(entity.get("by", "")), str(entity.get("note", "")))


def key_of(time: datetime) -> str:
    """The RowKey of a row version written at `time`: UTC seconds, `YYYYMMDDhhmmssZ`."""
    return time.astimezone(UTC).strftime(_KEY_FORMAT)


def _time_of(key: str) -> datetime:
    return datetime.strptime(key, _KEY_FORMAT).replace(tzinfo=UTC)


class History:
    """Reads and adds to the table `policyhistory`, and never changes what is there.

    Every method may raise an `azure.core.exceptions.AzureError` of the storage call. May be shared between threads.
    """

    def __init__(self, client: TableClient) -> None:
        self._client = client

    def revisions(self, domain: str) -> list[Revision]:
        """The revisions of `domain`, the oldest first."""
        return list(_read(self._client.query_entities("PartitionKey eq @domain", parameters={"domain": domain})))

    def newest(self, domain: str) -> Revision | None:
        """The revision with the greatest RowKey, None where there is none."""
        revisions = self.revisions(domain)
        return revisions[-1] if revisions else None

    def all_revisions(self) -> Iterator[Revision]:
        """Every revision of every domain in the order of their keys, fetched page by page."""
        return _read(self._client.list_entities())

    def record(
        self, row: Row, policies: PolicyTable, *, by: str, note: str = "", policy_id: str | None = None
    ) -> Revision:
        """The revision that stands for `row`, added if it was not there.

        A text equal to the newest revision's is no new revision. Where another text holds the row's second already, the
        second after the newest revision is taken, but only while `policies` still holds this version of the row: one
        that was changed within the same second leaves no revision, and the newest is returned. `policy_id` is
        for an import that keeps the id which DNS shows (1 to 32 letters and digits).
        """
        key = key_of(row.modified)
        while True:
            revisions = self.revisions(row.domain)
            if revisions and revisions[-1].policy == row.policy:
                return revisions[-1]
            until = [revision for revision in revisions if revision.key <= key]
            free = key
            if until and until[-1].key == key:
                if not _in_force(row, policies):
                    return until[-1] if until[-1].policy == row.policy else revisions[-1]
                free = key_of(revisions[-1].since + timedelta(seconds=1))
            elif until and until[-1].policy == row.policy:
                return until[-1]  # an old version of the row, recorded late
            revision = Revision(row.domain, free, policy_id or free, row.policy, by, note)
            if self._add(revision):
                return revision

    def _add(self, revision: Revision) -> bool:
        """Add the revision; False where its key is taken."""
        entity = {
            "PartitionKey": revision.domain,
            "RowKey": revision.key,
            "id": revision.id,
            "text": revision.text,
            "mode": revision.policy.mode,
            "mx": " ".join(revision.policy.mx),
            "max_age": revision.policy.max_age,
            "by": revision.by,
            "note": revision.note,
        }
        try:
            self._client.create_entity(entity)
        except ResourceExistsError as error:
            if getattr(error, "error_code", None) != TableErrorCode.ENTITY_ALREADY_EXISTS:
                raise
            return False
        return True


def _read(entities: Iterable[Mapping[str, Any]]) -> Iterator[Revision]:
    for entity in entities:
        try:
            yield Revision.read(entity)
        except InvalidRevision as invalid:
            _log.error("%s: it is left out, since only recorders write the history", invalid)


def _in_force(row: Row, policies: PolicyTable) -> bool:
    try:
        current = policies.get(row.domain)
    except ValueError:  # an InvalidRow: somebody broke the row meanwhile
        return False
    return current is not None and current.etag == row.etag
