"""TXT record sets of a zone in Azure DNS, by azure-mgmt-dns: read page by page, written only over what was read.

A record set is replaced whole in one request, on condition that it still has the ETag that was seen, so that at no time
there are two records or none (RFC 8461 section 3.1). A call ends within the seconds that its caller gives it, and is
not repeated here: whoever calls knows how much time is left.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from requests.utils import get_environ_proxies

from policy_store.dns_records import TTL
from policy_store.settings import Settings
from policy_store.tables.connection import app_identity, operator_identity
from policy_store.tables.transport import transport
from policy_store.txt_records import strings_of
from policy_store.zone_id import ZoneId

if TYPE_CHECKING:
    from azure.mgmt.dns import DnsManagementClient
    from azure.mgmt.dns.models import RecordSet

_MANAGEMENT = "https://management.azure.com"
_CONNECT_SECONDS = 5.0
_CALL_SECONDS = 10.0  # the most that one call may take
_NO_ROLE = "Whoever asks needs a role that may read and write the TXT records of this zone"
_DEFAULT_PAUSE = 60.0  # where a refusal for too many requests does not say how long


class ZoneError(Exception):
    """Azure DNS did not do what it was asked; the message says why, in one line, and what to do."""


class ZoneThrottled(ZoneError):
    """Too many requests (429): nothing more is to be asked for `seconds`."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class ZoneForbidden(ZoneError):
    """Whoever asks has no role that allows it: no other record of the zone would fare better."""


class RecordRefused(ZoneError):
    """The record cannot be written as it is, such as where a CNAME has the name; others may."""


class RecordMissing(ZoneError):
    """There is no such record set."""


class RecordChanged(Exception):
    """The record set is not what was read before: read it again, and decide again."""


@dataclass(frozen=True, slots=True)
class TxtRecordSet:
    """The TXT records of one name, relative to the zone and in lower case, each with its strings put together."""

    name: str
    texts: tuple[str, ...]
    ttl: int
    etag: str

    def holds(self, text: str) -> bool:
        """Whether it is exactly this one record, with the lifetime that it has to have."""
        return self.texts == (text,) and self.ttl == TTL


class Zone:
    """The TXT record sets of one zone. May be shared between threads.

    Every method takes the seconds that it may take, and raises ZoneError.
    """

    def __init__(self, client: "DnsManagementClient", zone: ZoneId) -> None:
        self.id = zone
        self._records = client.record_sets
        self._where = zone.group, zone.name

    def page(self, token: str = "", *, seconds: float = _CALL_SECONDS) -> tuple[list[TxtRecordSet], str]:
        """A page of the record sets, the first or that of `token`, and the token of the next page, empty at the end."""
        with self._errors("read the TXT records"):
            listed = self._records.list_by_type(*self._where, "TXT", **_bounds(seconds))
            pages = listed.by_page(continuation_token=token or None)
            found = [_read(record_set) for record_set in next(pages)]
            return found, str(getattr(pages, "continuation_token", None) or "")

    def get(self, name: str, *, seconds: float = _CALL_SECONDS) -> TxtRecordSet | None:
        """The record set of `name`; None where there is none."""
        try:
            with self._errors(f"read {name}"):
                return _read(self._records.get(*self._where, name, "TXT", **_bounds(seconds)))
        except RecordMissing:
            return None

    def put(self, name: str, text: str, etag: str | None, *, seconds: float = _CALL_SECONDS) -> TxtRecordSet:
        """Have `name` hold exactly `text` if its record set still has `etag`, or with None if there still is none.

        Raises RecordChanged where that is not so.
        """
        from azure.mgmt.dns.models import RecordSet, TxtRecord

        record_set = RecordSet(ttl=TTL, txt_records=[TxtRecord(value=strings_of(text))])
        matching = (etag, None) if etag else (None, "*")
        with self._errors(f"write {name}"):
            return _read(
                self._records.create_or_update(*self._where, name, "TXT", record_set, *matching, **_bounds(seconds))
            )

    def delete(self, name: str, etag: str, *, seconds: float = _CALL_SECONDS) -> None:
        """Delete the record set of `name` if it still has `etag`; one that is gone is fine. Raises RecordChanged."""
        with self._errors(f"delete {name}"):
            self._records.delete(*self._where, name, "TXT", etag, **_bounds(seconds))

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """Raise what the SDK raises as errors of this module."""
        try:
            yield
        except HttpResponseError as error:
            raise _error(error, f"{what} in the zone {self.id.name}") from error
        except AzureError as error:
            raise ZoneError(
                f"Azure DNS cannot be reached to {what} in the zone {self.id.name}: {_line(error)}"
            ) from error


def open_zone(zone: ZoneId, settings: Settings, *, operator: bool = False) -> Zone:
    """The zone as the app's managed identity sees it, or with `operator` whoever is signed in; makes no request."""
    return Zone(_client(zone.subscription, settings, operator=operator), zone)


def zones_of(subscription: str, settings: Settings, group: str = "") -> list[ZoneId]:
    """The zones of a subscription, or of one resource group in it, that the operator may see. Raises ZoneError."""
    zones = _client(subscription, settings, operator=True).zones
    try:
        listed = zones.list_by_resource_group(group) if group else zones.list()
        found = [str(zone.id) for zone in listed]
    except AzureError as error:
        raise ZoneError(f"the DNS zones of the subscription {subscription} cannot be listed: {_line(error)}") from error
    parsed = []
    for text in found:
        with suppress(ValueError):  # a name that no mail domain has, such as one with an underscore
            parsed.append(ZoneId.parse(text))
    return parsed


def _client(subscription: str, settings: Settings, *, operator: bool) -> "DnsManagementClient":
    from azure.mgmt.dns import DnsManagementClient

    bounded = transport(1, _CONNECT_SECONDS, _CALL_SECONDS)
    bounded.session.proxies.update(get_environ_proxies(_MANAGEMENT))
    credential = operator_identity() if operator else app_identity(settings.client_id)
    return DnsManagementClient(credential, subscription, transport=bounded, retry_total=0, retry_status=0)


def _bounds(seconds: float) -> dict[str, Any]:
    """The time-outs of one call that is to end within `seconds`."""
    whole = max(0.1, min(seconds, _CALL_SECONDS))
    connect = min(whole / 3, _CONNECT_SECONDS)
    return {"connection_timeout": connect, "read_timeout": whole - connect}


def _read(record_set: "RecordSet") -> TxtRecordSet:
    texts = tuple("".join(record.value or ()) for record in record_set.txt_records or ())
    return TxtRecordSet(str(record_set.name).lower(), texts, record_set.ttl or 0, str(record_set.etag))


def _error(error: HttpResponseError, what: str) -> Exception:
    """The error of this module for an answer of Azure DNS."""
    said = f"Azure DNS refuses to {what}: {_line(error)}"
    if isinstance(error, ClientAuthenticationError):  # the credential's own errors too, which bear other numbers
        return ZoneForbidden(f"{said}. {_NO_ROLE}")
    match error.status_code:
        case 412:
            return RecordChanged(said)
        case 429:
            return ZoneThrottled(f"Azure DNS takes no more requests for now to {what}", _retry_after(error))
        case 403:
            return ZoneForbidden(f"{said}. {_NO_ROLE}")
        case 404:
            return RecordMissing(said)
        case 400 | 409 | 422:
            return RecordRefused(said)
    return ZoneError(said)


def _retry_after(error: HttpResponseError) -> float:
    headers: Mapping[str, Any] = getattr(error.response, "headers", {})
    try:
        return max(0.0, float(headers.get("Retry-After", _DEFAULT_PAUSE)))
    except ValueError:
        return _DEFAULT_PAUSE


def _line(error: Exception) -> str:
    return " ".join(str(getattr(error, "message", None) or error).split())[:300]
