"""The records that DNS holds for MTA-STS and for TLS reports, as lines of a zone file and as `az` commands too.

`_mta-sts.<domain>` TXT has the id of the text in force (RFC 8461 section 3.1), `mta-sts.<domain>` CNAME leads to the
app, and `_smtp._tls.<domain>` TXT says where reports go (RFC 8460 section 3).
"""

import json
import re
import shlex
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from policy_store.names import InvalidName, policy_host, quoted
from policy_store.txt_records import StsRecord, TlsrptRecord, strings_of

type RecordType = Literal["TXT", "CNAME"]

REPORTS_NAME = "_smtp._tls"  # RFC 8460 section 3; in a zone that customers delegate to, of the record that they share
TTL = 300  # seconds: a new id is to be seen soon

_LONGEST_NAME = 253
_VERIFICATION = "asuid."  # https://learn.microsoft.com/azure/app-service/app-service-web-tutorial-custom-domain
_PLAIN_IN_ANY_SHELL = re.compile(r"[A-Za-z0-9 =;:,.@/_+-]+")


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """One record to publish for the policy domain `domain` in `zone`.

    `not_before` (UTC) is from when it may be published, None for at once. Names have no final dot.
    """

    domain: str
    zone: str
    name: str
    type: RecordType
    value: str
    not_before: datetime | None = None

    @property
    def strings(self) -> list[str]:
        """The value as a TXT record holds it: strings of at most 255 bytes."""
        return strings_of(self.value) if self.type == "TXT" else [self.value]

    @property
    def zone_line(self) -> str:
        """The record as a line of a zone file (RFC 1035 section 5.1), with the full name."""
        if self.type == "TXT":
            data = " ".join(f'"{string.replace("\\", "\\\\").replace('"', '\\"')}"' for string in self.strings)
        else:
            data = f"{self.value}."
        return f"{self.name}. {TTL} IN {self.type} {data}"

    def az_command(self, resource_group: str) -> str:
        """The command of the Azure CLI that publishes the record in Azure DNS in place of what is there, for a POSIX
        shell.

        `resource_group` is not quoted, so it may be a variable of the shell. An `asuid` record is added beside those of
        other apps. Any other record set is replaced by one request. So there are never two records and never none, even
        if the request fails or is repeated (RFC 8461 section 3.1: senders would see no policy). The Azure CLI's own
        commands for TXT records need two requests.
        """
        name = self.name.removesuffix(self.zone).removesuffix(".") or "@"
        where = f"-g {resource_group} -z {self.zone} -n {name}"
        if self.type == "CNAME":
            return f"az network dns record-set cname set-record {where} --ttl {TTL} -c {self.value}"
        if self.name.startswith(_VERIFICATION):
            return f"az network dns record-set txt add-record {where} -v {_in_shell(self.value)}"
        record_set = {"properties": {"TTL": TTL, "TXTRecords": [{"value": self.strings}]}}
        url = (
            f"'/subscriptions/{{subscriptionId}}/resourceGroups/'{resource_group}"
            f"'/providers/Microsoft.Network/dnsZones/{self.zone}/TXT/{name}?api-version=2018-05-01'"
        )
        return f"az rest --method put --url {url} --body {shlex.quote(json.dumps(record_set))}"


def _in_shell(text: str) -> str:
    """`text` as one word for any shell, as far as it is as plain as these records are; else for a POSIX shell."""
    return f'"{text}"' if _PLAIN_IN_ANY_SHELL.fullmatch(text) else shlex.quote(text)


def records_to_publish(
    domain: str,
    *,
    policy_id: str | None,
    not_before: datetime | None,
    zone: str = "",
    app_host: str = "",
    rua: tuple[str, ...] = (),
    delegate: str = "",
) -> list[DnsRecord]:
    """The records of one policy domain: the CNAME for `app_host`, the TXT record with `policy_id`, and the one for
    reports to `rua`, each where it is given.

    With `delegate`, a zone of the provider's, the TXT record stands there, and the domain has a CNAME to it that never
    changes (RFC 8461 section 8.2). `zone` holds the other records, the domain itself unless given. Raises InvalidName
    for a name that is too long.
    """
    zone = zone or domain
    if zone != domain and not domain.endswith(f".{zone}"):
        raise InvalidName(f"{domain} does not lie in the zone {zone}: leave out --zone, or name the zone that holds it")
    sts_name = f"_mta-sts.{domain}"
    records = []
    if app_host:
        records.append(DnsRecord(domain, zone, policy_host(domain), "CNAME", app_host))
    if delegate:
        target = f"{sts_name}.{delegate}"
        records.append(DnsRecord(domain, zone, sts_name, "CNAME", target))
    else:
        target = sts_name
    if policy_id is not None:
        records.append(DnsRecord(domain, delegate or zone, target, "TXT", StsRecord(policy_id).text, not_before))
    if rua:
        records.append(DnsRecord(domain, zone, f"{REPORTS_NAME}.{domain}", "TXT", TlsrptRecord(rua).text))
    for name in (name for record in records for name in (record.name, record.value if record.type == "CNAME" else "")):
        _check_length(name)
    return records


def records_to_bind(domain: str, *, app_host: str, verification_id: str, zone: str = "") -> tuple[DnsRecord, DnsRecord]:
    """The TXT record that proves the policy host of `domain` to App Service, and the CNAME that leads it to the app.

    Raises InvalidName, as `records_to_publish` does.
    """
    [cname] = records_to_publish(domain, policy_id=None, not_before=None, zone=zone, app_host=app_host)
    proof = DnsRecord(domain, cname.zone, f"{_VERIFICATION}{cname.name}", "TXT", verification_id)
    _check_length(proof.name)
    return proof, cname


def records_to_delegate(
    domain: str,
    *,
    delegate: str,
    app_host: str = "",
    verification_id: str = "",
    zone: str = "",
    reports: bool = True,
) -> list[DnsRecord]:
    """All that a customer's DNS gets once, so that the provider's zone `delegate` has the id and the record for reports
    from then on: the proof for App Service, the CNAME to the app, each where it is given, and two CNAMEs to the zone
    (RFC 8461 section 8.2). The last one is for `reports`: a customer with a record of its own keeps that.

    Raises InvalidName, as `records_to_publish` does.
    """
    records: list[DnsRecord] = []
    if app_host and verification_id:
        records += records_to_bind(domain, app_host=app_host, verification_id=verification_id, zone=zone)
        app_host = ""
    records += records_to_publish(
        domain, policy_id=None, not_before=None, zone=zone, app_host=app_host, delegate=delegate
    )
    if reports:
        shared = f"{REPORTS_NAME}.{delegate}"
        records.append(DnsRecord(domain, zone or domain, f"{REPORTS_NAME}.{domain}", "CNAME", shared))
        _check_length(records[-1].name)
    return records


def _check_length(name: str) -> None:
    """Raise InvalidName where DNS cannot hold it."""
    if len(name) > _LONGEST_NAME:
        raise InvalidName(f"{quoted(name)} has {len(name)} bytes: a name has at most {_LONGEST_NAME}")
