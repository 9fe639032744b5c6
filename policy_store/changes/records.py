"""The DNS records of a domain, from its entry in the store: what to publish, and from when."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from policy_store.dns_records import DnsRecord, RecordType, records_to_bind, records_to_delegate, records_to_publish
from policy_store.life import served_everywhere
from policy_store.tables.entry import Entry


class DnsItem(BaseModel):
    """A record as `dns show` prints it."""

    model_config = ConfigDict(frozen=True)

    domain: str = Field(description="the policy domain")
    zone: str = Field(description="the zone that the record belongs in")
    name: str = Field(description="the full name of the record, without a final dot")
    type: RecordType = Field(description="`TXT` or `CNAME`")
    value: str = Field(description="the text of a TXT record, or the name that a CNAME leads to")
    strings: list[str] = Field(description="the value in the strings of at most 255 bytes that a TXT record has")
    not_before: datetime | None = Field(description="from when the record may be published; null for at once")

    @classmethod
    def of(cls, record: DnsRecord) -> Self:
        """The model for `record`."""
        return cls.model_validate({name: getattr(record, name) for name in cls.model_fields})


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records to make: for the app's host name, for reports, and with the id in a zone of the provider's, each if
    it is given; and the proof for App Service, if it is known. `zone` is the DNS zone of the domains, if not each
    domain is a zone.
    """

    zone: str = ""
    app_host: str = ""
    rua: tuple[str, ...] = ()
    delegate: str = ""
    verification_id: str = ""


def records_of(entry: Entry, wanted: Wanted, fresh_seconds: float) -> list[DnsRecord]:
    """The records of the domain. Raises InvalidName for a name that DNS does not allow."""
    newest = entry.newest
    records: list[DnsRecord] = []
    if wanted.delegate:
        records += records_to_delegate(
            entry.domain,
            delegate=wanted.delegate,
            app_host=wanted.app_host,
            verification_id=wanted.verification_id,
            zone=wanted.zone,
            reports=not wanted.rua,
        )
    elif wanted.app_host and wanted.verification_id:
        proof, _ = records_to_bind(
            entry.domain, app_host=wanted.app_host, verification_id=wanted.verification_id, zone=wanted.zone
        )
        records.append(proof)
    records += records_to_publish(
        entry.domain,
        policy_id=newest.id if newest else None,
        not_before=served_everywhere(newest, fresh_seconds) if newest else None,
        zone=wanted.zone,
        app_host=wanted.app_host,
        rua=wanted.rua,
        delegate=wanted.delegate,
    )
    return list(dict.fromkeys(records))
