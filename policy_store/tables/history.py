"""The table `policyhistory`: one row per revision of a policy's text, added once and never changed.

PartitionKey is the domain, RowKey the time of the row version that the revision records. Every recorder computes the
same revision from the same row, so recording is idempotent, even if many do it at once. The RowKey is also the id for
DNS, unless an import kept the id that DNS showed for the same text.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Self

from azure.core.exceptions import ResourceExistsError
from azure.data.tables import TableClient

from policy_store.names import quoted
from policy_store.policy import Policy, PolicySyntaxError
from policy_store.tables.intent import Intent
from policy_store.tables.policies import PolicyTable, entities_after, entity_exists, refuse_other_keys
from policy_store.tables.row import InvalidRow, Row

TABLE = "policyhistory"
REPORTED_LIMIT = 1000  # rows that are left out, of which the log hears once

_log = logging.getLogger(__name__)
_KEY = re.compile(r"[0-9]{14}Z")
_COLUMNS = ("PartitionKey", "RowKey", "id", "text", "by", "note")  # the others repeat the text
_ID = re.compile(r"[A-Za-z0-9]{1,32}")  # RFC 8461 section 3.1
_AHEAD = timedelta(days=1)  # how far clocks may differ


class InvalidRevision(ValueError):
    """A row of the history that no recorder wrote; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One text that was in force: its RowKey `key`, its `id` for DNS, the text as served, who recorded it and why."""

    domain: str
    key: str
    id: str
    text: str
    by: str = ""
    note: str = ""

    @property
    def policy(self) -> Policy:
        """The policy of the text. Raises PolicySyntaxError, because a table cell may contain anything."""
        return _policy_of(self.text)

    @property
    def since(self) -> datetime:
        """When the row version that the revision records was written, in UTC seconds."""
        return _time_of(self.key)

    @classmethod
    def read(cls, entity: Mapping[str, Any], now: datetime) -> Self:
        """The revision of `entity`; its columns mode, mx and max_age are for people. Raises InvalidRevision.

        No row was written at a RowKey more than a day after `now`.
        """
        domain, key = str(entity["PartitionKey"]), str(entity["RowKey"])
        id_, text = entity.get("id"), entity.get("text")
        try:
            since = _time_of(key)
        except ValueError as error:
            raise InvalidRevision(f"revision {quoted(key)} of {quoted(domain)}: the RowKey is no time") from error
        if since - now > _AHEAD:
            raise InvalidRevision(f"revision {key} of {quoted(domain)}: the RowKey is a time in the future")
        if not isinstance(id_, str) or not _ID.fullmatch(id_):
            raise InvalidRevision(f"revision {key} of {quoted(domain)}: the id is not 1 to 32 letters and digits")
        if not isinstance(text, str):
            raise InvalidRevision(f"revision {key} of {quoted(domain)}: the text is missing")
        return cls(domain, key, id_, text, str(entity.get("by", "")), str(entity.get("note", "")))


def newest_readable(revisions: Sequence[Revision]) -> tuple[Revision, Policy] | None:
    """The newest of the revisions (the oldest first) whose text is a policy, with that policy; None if there is none.

    It is in force while the row is invalid.
    """
    return next(_readable(reversed(revisions)), None)


def readable(revisions: Iterable[Revision]) -> list[tuple[Revision, Policy]]:
    """The revisions with their policies, without those whose text is not a policy: no worker served them."""
    return list(_readable(revisions))


def _readable(revisions: Iterable[Revision]) -> Iterator[tuple[Revision, Policy]]:
    for revision in revisions:
        with suppress(PolicySyntaxError):
            yield revision, revision.policy


@lru_cache(maxsize=1024)
def _policy_of(text: str) -> Policy:
    return Policy.parse(text)


def key_of(time: datetime) -> str:
    """The RowKey of a row version written at `time`: UTC seconds, `YYYYMMDDhhmmssZ`."""
    return time.astimezone(UTC).strftime("%Y%m%d%H%M%SZ")


def _next(key: str) -> str:
    return key_of(_time_of(key) + timedelta(seconds=1))


def _time_of(key: str) -> datetime:
    if not _KEY.fullmatch(key):
        raise ValueError("a RowKey of the history is YYYYMMDDhhmmssZ")
    month, day, hour, minute, second = (int(key[at : at + 2]) for at in range(4, 14, 2))
    return datetime(int(key[:4]), month, day, hour, minute, second, tzinfo=UTC)


class History:
    """Reads and adds to the table `policyhistory`, and never changes what is there.

    Every method may raise an `azure.core.exceptions.AzureError` of the storage call. May be shared between threads.
    """

    def __init__(self, client: TableClient) -> None:
        self._client = client
        self._reported: set[str] = set()  # the messages of rows that are left out

    def revisions(self, domain: str) -> list[Revision]:
        """The revisions of `domain`, the oldest first."""
        entities = self._client.query_entities("PartitionKey eq @domain", parameters={"domain": domain})
        return list(self._read(entities, domain))

    def all_revisions(self, *, after: str = "") -> Iterator[Revision]:
        """Every revision of the domains greater than `after` in the order of their keys, fetched page by page."""
        return self._read(entities_after(self._client, after, _COLUMNS))

    def record(
        self, row: Row, policies: PolicyTable, *, by: str, note: str = "", policy_id: str | None = None
    ) -> Revision:
        """The revision that records `row`; it is added if it is missing.

        The revision is the same, whoever records the row: who, why and the id to keep come from the row's own `change`
        cell if that belongs to this text, otherwise from `by`, `note` and `policy_id` (1 to 32 letters and digits). An
        id of another revision of the domain is never used again. A text equal to that of the newest revision makes no
        new revision.

        If another text is recorded for that second or a later one, the revision gets the first free second after the
        newest. If the row has changed again meanwhile, it is an old version: it is recorded at its own second. If that
        second is taken, nothing is recorded and the newest revision is returned.
        """
        key, text = key_of(row.modified), row.policy.text
        while True:
            revisions = self.revisions(row.domain)
            newest = revisions[-1] if revisions else None
            if newest and newest.text == text:
                return newest
            free = key
            if newest and newest.key >= key:
                if _in_force(row, policies):
                    free = _next(newest.key)
                else:
                    until = [revision for revision in revisions if revision.key <= key]
                    if until and until[-1].text == text:
                        return until[-1]
                    if until and until[-1].key == key:
                        return newest
            ids = {revision.id for revision in revisions}
            while free in ids:
                free = _next(free)
            intent = row.intent
            if intent is None or not intent.belongs_to(text, newest.key if newest else ""):
                intent = Intent(by, note, policy_id)
            id_ = intent.id if intent.id and _ID.fullmatch(intent.id) and intent.id not in ids else free
            revision = Revision(row.domain, free, id_, text, intent.by, intent.why)
            if self._add(revision, row.policy):
                return revision
            if all(other.key != free for other in self.revisions(row.domain)):
                key = _next(free)  # the key belongs to a row that is not a revision

    def _read(self, entities: Iterable[Mapping[str, Any]], domain: str | None = None) -> Iterator[Revision]:
        now = datetime.now(UTC)
        for entity in entities:
            if domain is not None:
                refuse_other_keys(entity, domain)
            try:
                yield Revision.read(entity, now)
            except InvalidRevision as invalid:
                self._report(str(invalid))

    def _report(self, problem: str) -> None:
        if problem not in self._reported and len(self._reported) < REPORTED_LIMIT:
            self._reported.add(problem)
            _log.error("%s: it is left out, since only recorders write the history", problem)

    def _add(self, revision: Revision, policy: Policy) -> bool:
        """Add the revision; False if its key is taken."""
        entity = {
            "PartitionKey": revision.domain,
            "RowKey": revision.key,
            "id": revision.id,
            "text": revision.text,
            "mode": policy.mode,
            "mx": " ".join(policy.mx),
            "max_age": policy.max_age,
            "by": revision.by,
            "note": revision.note,
        }
        try:
            self._client.create_entity(entity)
        except ResourceExistsError as error:
            if not entity_exists(error):
                raise
            return False
        return True


def _in_force(row: Row, policies: PolicyTable) -> bool:
    try:
        current = policies.get(row.domain)
    except InvalidRow:
        return False
    return current is not None and current.etag == row.etag
