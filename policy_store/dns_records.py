"""The records that DNS holds for MTA-STS and for TLS reports: reading and writing them, as lines of a zone file and as
`az` commands too.

`_mta-sts.<domain>` TXT has the id of the text in force (RFC 8461 section 3.1), `mta-sts.<domain>` CNAME leads to the
app, and `_smtp._tls.<domain>` TXT says where reports go (RFC 8460 section 3).
"""

import json
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self
from urllib.parse import urlsplit

from policy_store.names import InvalidName, host_name, policy_host, quoted

type RecordType = Literal["TXT", "CNAME"]

REPORTS_NAME = "_smtp._tls"  # RFC 8460 section 3; in a zone that customers delegate to, of the record that they share
TTL = 300  # seconds: a new id is to be seen soon
REPORT_PATH = "/v1/tlsrpt"  # where the app takes TLS reports, at its own host name

_LONGEST_NAME = 253
_VERIFICATION = "asuid."  # https://learn.microsoft.com/azure/app-service/app-service-web-tutorial-custom-domain
_LONGEST_STRING = 255  # bytes of one string of a TXT record: RFC 1035 section 3.3
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_FIELD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_FIELD_VALUE = re.compile(r"[\x21-\x3a\x3c\x3e-\x7e]+")  # no '=', no ';', no white space
_WHITE_SPACE = " \t"
_URI = re.compile(r"[\x21-\x7e]+")
_EXCHANGE_ONLINE = re.compile(
    r"[^.]+(\.mail\.protection\.(outlook\.com|office365\.us|partner\.outlook\.cn|outlook\.de)|\.[a-z]-v1\.mx\.microsoft)"
)
_PLAIN_IN_ANY_SHELL = re.compile(r"[A-Za-z0-9 =;:,.@/_+-]+")


class RecordSyntaxError(ValueError):
    """A TXT record is not what its RFC asks for; the message says why."""


@dataclass(frozen=True, slots=True)
class StsRecord:
    """The TXT record `_mta-sts.<domain>` with the id of the text in force (RFC 8461 section 3.1).

    Raises RecordSyntaxError for an id that is none.
    """

    id: str

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise RecordSyntaxError(f"the id is {quoted(self.id)}: it must be 1 to 32 letters and digits")

    @property
    def text(self) -> str:
        """The record in the form that every known sender reads."""
        return f"v=STSv1; id={self.id};"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The record that `text` holds. Unknown fields are ignored; an id given twice is refused, as senders differ.

        Raises RecordSyntaxError.
        """
        ids = [value for name, value in _fields(text, "STSv1") if name == "id"]
        if len(ids) != 1:
            raise RecordSyntaxError("the id is given twice" if ids else "there is no id")
        return cls(ids[0])


@dataclass(frozen=True, slots=True)
class TlsrptRecord:
    """The TXT record `_smtp._tls.<domain>` with the addresses for reports on TLS (RFC 8460 section 3), each `mailto:`
    or `https:`. Raises RecordSyntaxError for what is none.
    """

    rua: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.rua:
            raise RecordSyntaxError("there is no address for reports: give one such as mailto:tls-reports@example.com")
        for uri in self.rua:
            _check_report_address(uri)

    @property
    def text(self) -> str:
        """The record as it is published."""
        return f"v=TLSRPTv1; rua={','.join(self.rua)};"

    @property
    def posted_here(self) -> bool:
        """Whether reports are posted to an app such as this: to the path where it takes them."""
        return any(uri.startswith("https:") and urlsplit(uri).path.rstrip("/") == REPORT_PATH for uri in self.rua)

    @property
    def leads_here(self) -> bool:
        """Whether reports can come to an app such as this: posted, or mailed and imported."""
        return self.posted_here or any(uri.startswith("mailto:") for uri in self.rua)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The record that `text` holds; unknown fields are ignored. Raises RecordSyntaxError."""
        values = [value for name, value in _fields(text, "TLSRPTv1") if name == "rua"]
        if len(values) > 1:
            raise RecordSyntaxError("rua is given twice: write one, with commas between the addresses")
        return cls(tuple(uri.strip(_WHITE_SPACE) for uri in values[0].split(",")) if values else ())


def sts_records(texts: Iterable[str]) -> list[str]:
    """The records for MTA-STS among the TXT records of a name; a domain has a policy if it is exactly one (RFC 8461
    section 3.1, whose prose lets no white space stand before the first semicolon: erratum 6285).
    """
    return [text for text in texts if text.startswith("v=STSv1;")]


def tlsrpt_records(texts: Iterable[str]) -> list[str]:
    """The records for TLS reports among the TXT records of a name; it must be exactly one (RFC 8460 section 3)."""
    return [text for text in texts if text.startswith("v=TLSRPTv1;")]


def report_record(texts: Iterable[str] | None) -> TlsrptRecord | None:
    """The record for TLS reports among the TXT records of a name; None where senders find none that they can use."""
    records = tlsrpt_records(texts or ())
    try:
        return TlsrptRecord.parse(records[0]) if len(records) == 1 else None
    except RecordSyntaxError:
        return None


def strings_of(text: str) -> list[str]:
    """The strings of at most 255 bytes that a TXT record holds `text` in (RFC 1035 section 3.3)."""
    return [text[at : at + _LONGEST_STRING] for at in range(0, len(text), _LONGEST_STRING)]


def _fields(text: str, version: str) -> list[tuple[str, str]]:
    """The fields after the version. Raises RecordSyntaxError."""
    first, *rest = text.split(";")
    if first != f"v={version}":
        raise RecordSyntaxError(f"it must begin with 'v={version};'")
    if rest and not rest[-1].strip(_WHITE_SPACE):
        rest.pop()  # one semicolon may stand at the end
    fields = []
    for part in rest:
        name, equals, value = part.strip(_WHITE_SPACE).partition("=")
        allowed = _URI if version == "TLSRPTv1" and name == "rua" else _FIELD_VALUE
        value_to_check = re.sub(r"[ \t]*,[ \t]*", ",", value) if allowed is _URI else value
        if not _FIELD_NAME.fullmatch(name) or not equals:
            raise RecordSyntaxError(f"{quoted(part.strip(_WHITE_SPACE))} is not name=value")
        if name != "id" and not allowed.fullmatch(value_to_check):
            raise RecordSyntaxError(f"the value of {name} is {quoted(value)}: it is empty or has a forbidden character")
        fields.append((name, value))
    return fields


def _check_report_address(uri: str) -> None:
    """Raise RecordSyntaxError where reports cannot be sent to `uri`."""
    if not _URI.fullmatch(uri) or any(mark in uri for mark in ",!;"):
        raise RecordSyntaxError(
            f"the report address {quoted(uri)} has a forbidden character: write %2C for a comma, %21 for an "
            "exclamation mark, %3B for a semicolon, and no white space"
        )
    try:
        parts = urlsplit(uri)
    except ValueError:
        parts = urlsplit("")
    mailbox, at, domain = parts.path.partition("@")
    if not ((parts.scheme == "mailto" and mailbox and at and domain) or (parts.scheme == "https" and parts.netloc)):
        raise RecordSyntaxError(
            f"the report address {quoted(uri)} is neither mailto: and a mail address nor an https address"
        )


def propose_patterns(mx_hosts: Iterable[str]) -> tuple[str, ...]:
    """The patterns for the MX hosts of a domain, each once: Exchange Online's `*.mail.protection.outlook.com` and those
    of its other clouds, `*.<letter>-v1.mx.microsoft` for its names with DNSSEC, and host names for the rest.

    Raises InvalidName.
    """
    return tuple(dict.fromkeys(map(_propose, mx_hosts)))


def _propose(mx_host: str) -> str:
    host = host_name(mx_host.removesuffix("."))
    exchange_online = _EXCHANGE_ONLINE.fullmatch(host)
    return f"*{exchange_online[1]}" if exchange_online else host


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
