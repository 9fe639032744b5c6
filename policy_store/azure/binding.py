"""What binds a policy host to the app: what Azure and DNS say of it, what would fail, and the steps that are left.

The commands are those of azure-cli 2.91; what App Service asks of a host name and of a free certificate is from
https://learn.microsoft.com/azure/app-service/configure-ssl-certificate and app-service-web-tutorial-custom-domain.
"""

import asyncio
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from policy_store.dns_records import DnsRecord, records_to_bind
from policy_store.names import InvalidName, host_name, policy_host, quoted
from policy_store.sender.dns import LookupFailed, Resolver
from policy_store.txt_records import sts_records

type Plan = Literal["dedicated", "flex"]

_MOST_HOSTS = 500  # custom host names of one app
_LONGEST_HOST = 64  # characters of a host name that a free certificate is issued for
_ISSUER = "digicert.com"  # of the free certificates
_PLAIN = re.compile(r"[A-Za-z0-9_./:=-]+")
_THUMBPRINT = "<thumbprint>"

VERIFICATION_ID = "^[A-Za-z0-9]+$"
"""What proves a host name to App Service: it is printed into a script, so nothing else is allowed."""


class _Answer(BaseModel):
    """An object that the Azure CLI prints. For some plans the fields are one level deeper, as in the REST API."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, answer: object) -> object:
        if isinstance(answer, dict) and isinstance(answer.get("properties"), dict):
            return {**answer, **answer["properties"]}
        return answer


class _HostState(_Answer):
    name: str
    thumbprint: str | None = None


class _Site(_Answer):
    host: str = Field(alias="defaultHostName")
    verification_id: str = Field(alias="customDomainVerificationId", pattern=VERIFICATION_ID)
    sku: str | None = None
    states: list[_HostState] | None = Field(alias="hostNameSslStates", default=None)


class _Certificate(_Answer):
    name: str
    canonical_name: str | None = Field(alias="canonicalName", default=None)
    host_names: list[str] | None = Field(alias="hostNames", default=None)
    thumbprint: str | None = None


@dataclass(frozen=True, slots=True)
class App:
    """The app as Azure has it: its default host name, what proves a host name to it, its plan, the custom host names
    that are bound, each with the thumbprint of its certificate or None, and the certificates that may be bound.
    """

    name: str
    group: str
    host: str
    verification_id: str
    plan: Plan
    bound: Mapping[str, str | None] = field(default_factory=dict)
    certificates: tuple[_Certificate, ...] = ()

    @classmethod
    def read(cls, name: str, group: str, answer: object) -> Self:
        """The app from the answer of `az functionapp show`, without certificates. Raises ValueError for another
        answer.
        """
        found = _read(_Site, answer)
        host = host_name(found.host)
        own = f".{host.partition('.')[2]}"  # ends the default name, and that of the deployment site beside it
        states = {state.name.lower(): state.thumbprint or None for state in found.states or ()}
        bound = {name: thumbprint for name, thumbprint in states.items() if not name.endswith(own)}
        plan: Plan = "flex" if (found.sku or "").lower() == "flexconsumption" else "dedicated"
        return cls(name, group, host, found.verification_id, plan, bound)

    def with_certificates(self, answer: object) -> Self:
        """The app with the answer of `az functionapp config ssl list`. Raises ValueError for another answer."""
        listed = tuple(_read(_Certificate, one) for one in answer) if isinstance(answer, list) else ()
        return replace(self, certificates=listed)

    @property
    def room(self) -> int:
        """How many more host names it can take."""
        return _MOST_HOSTS - len(self.bound)

    def free_certificate(self, host: str) -> str | None:
        """The thumbprint of the free certificate that was issued for `host`, and for no other."""
        named = (one for one in self.certificates if host in (one.name.lower(), (one.canonical_name or "").lower()))
        alone = (one for one in named if all(name.lower() == host for name in one.host_names or ()))
        return next((one.thumbprint for one in alone if one.thumbprint), None)

    def command(self, group: str, verb: str, *words: str) -> tuple[str, ...]:
        """The words of a command `az functionapp config` that names the app."""
        return ("functionapp", "config", group, verb, "-g", self.group, "-n", self.name, *words)

    def certificate_command(self, verb: str, *words: str) -> tuple[str, ...]:
        """The same for `ssl list`, `show` and `delete`, which name the app on Flex Consumption only."""
        app = ("-n", self.name) if self.plan == "flex" else ()
        return ("functionapp", "config", "ssl", verb, "-g", self.group, *app, *words)


def _read[T: BaseModel](model: type[T], answer: object) -> T:
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        places = sorted({".".join(map(str, problem["loc"])) for problem in error.errors()} - {""})
        raise ValueError(f"what az answers lacks {', '.join(places) or 'everything'}") from error


@dataclass(frozen=True, slots=True)
class HostDns:
    """What DNS says about a policy host. `error` says why it cannot be looked up, `no_issuers` why the CAA records
    cannot; those matter for a free certificate only.
    """

    cname: str | None = None
    addresses: tuple[str, ...] = ()
    proofs: tuple[str, ...] = ()
    issuers: tuple[str, ...] | None = None
    announced: bool = False
    error: str = ""
    no_issuers: str = ""


async def look_up(resolver: Resolver, domain: str) -> HostDns:
    """What DNS says about the policy host of `domain` now."""
    host = policy_host(domain)
    try:
        cname, addresses, proofs, texts = await asyncio.gather(
            resolver.cname(host),
            resolver.addresses(host),
            resolver.txt(f"asuid.{host}"),
            resolver.txt(f"_mta-sts.{domain}"),
        )
    except LookupFailed as error:
        return HostDns(error=str(error))
    found = HostDns(cname, addresses, proofs, announced=bool(sts_records(texts)))
    try:
        return replace(found, issuers=await resolver.issuers(host))
    except LookupFailed as error:
        return replace(found, no_issuers=str(error))


@dataclass(frozen=True, slots=True)
class Step:
    """A command of the Azure CLI in words, and the records that must be in DNS before it. If it needs a certificate
    that is not issued yet, the words have `_THUMBPRINT` in its place, and `certificate` is the command that prints it.
    """

    words: tuple[str, ...]
    certificate: tuple[str, ...] = ()
    before: tuple[DnsRecord, ...] = ()

    def text(self) -> str:
        """The command for a shell: bash and PowerShell both insert what `$(...)` prints."""
        if not self.certificate:
            return _text(self.words)
        printed = f'"$({_text((*self.certificate, "-o", "tsv"))})"'
        return " ".join((_text(self.words[:-1]), printed))

    def with_thumbprint(self, thumbprint: str) -> tuple[str, ...]:
        """The words, with the certificate that was issued meanwhile."""
        return tuple(thumbprint if word == _THUMBPRINT else word for word in self.words)


def _text(words: Sequence[str]) -> str:
    return " ".join(("az", *(word if _PLAIN.fullmatch(word) else shlex.quote(word) for word in words)))


def azure_dns(record: DnsRecord, group: str) -> Step:
    """The command that makes a record in Azure DNS, in that resource group."""
    return Step(tuple(shlex.split(record.az_command(shlex.quote(group)))[1:]))


@dataclass(frozen=True, slots=True)
class Todo:
    """What is left to do for one domain: commands, records to publish last and records to remove last; or, in
    `problems`, what would fail.
    """

    domain: str
    steps: tuple[Step, ...] = ()
    after: tuple[DnsRecord, ...] = ()
    obsolete: tuple[DnsRecord, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def before(self) -> tuple[DnsRecord, ...]:
        """The records that must be in DNS first."""
        return tuple(record for step in self.steps for record in step.before)


def binding(domain: str, app: App, dns: HostDns, *, thumbprint: str = "", zone: str = "", room: int) -> Todo:
    """What binds the policy host of `domain` to the app: with the certificate of `thumbprint`, otherwise with the one
    that it has, otherwise with a free one.

    A free certificate needs the CNAME first. If another host still serves the name, the CNAME moves only after the app
    has the host name. With any other certificate the CNAME comes last. The app can take `room` more host names.
    """
    host = policy_host(domain)
    try:
        proof, cname = records_to_bind(domain, app_host=app.host, verification_id=app.verification_id, zone=zone)
    except InvalidName as error:
        return Todo(domain, problems=(str(error),))
    proofs = () if app.verification_id in dns.proofs else (proof,)
    last = () if dns.cname == app.host else (cname,)
    certificate = thumbprint or app.bound.get(host) or app.free_certificate(host)
    first = () if certificate else last
    steps = []
    if host not in app.bound:
        elsewhere = dns.cname or dns.addresses  # without a CNAME or an address Azure takes no host name
        steps.append(
            Step(app.command("hostname", "add", "--hostname", host), before=proofs + (() if elsewhere else first))
        )
        first = first if elsewhere else ()
    bind = app.command("ssl", "bind", "--hostname", host, "--ssl-type", "SNI", "--certificate-thumbprint")
    if not certificate:
        steps.append(Step(app.command("ssl", "create", "--hostname", host), before=first))
        show = app.certificate_command("show", "--certificate-name", host, "--query", "thumbprint")
        steps.append(Step((*bind, _THUMBPRINT), show))
    elif app.bound.get(host) != certificate:
        steps.append(Step((*bind, certificate)))
    problems = tuple(_problems(host, app, dns, thumbprint=thumbprint, room=room)) if steps or dns.error else ()
    return Todo(domain, tuple(steps), last if certificate else (), problems=problems)


def _problems(host: str, app: App, dns: HostDns, *, thumbprint: str, room: int) -> Iterable[str]:
    """Why Azure would refuse the host name or the certificate."""
    if dns.error:
        yield f"DNS cannot be asked: {dns.error}"
    if host not in app.bound and room <= 0:
        yield f"{app.name} has {_MOST_HOSTS} host names, as many as an app takes: bind it to another app"
    if thumbprint:
        own = next((one for one in app.certificates if one.thumbprint == thumbprint), None)
        if own and own.host_names and not any(_covers(name.lower(), host) for name in own.host_names):
            yield f"the certificate {thumbprint} is for {', '.join(own.host_names)}: take one that is for {host}"
        return
    if len(host) > _LONGEST_HOST:
        yield (
            f"{host} has {len(host)} characters, and free certificates are for {_LONGEST_HOST} at most: give a "
            "certificate of your own with --thumbprint"
        )
    if not dns.cname and dns.addresses:
        yield f"{host} has addresses in DNS ({', '.join(map(quoted, dns.addresses))}): remove them, a CNAME is needed"
    if dns.no_issuers:
        yield f"the CAA records for {host} cannot be asked: {dns.no_issuers}"
    elif dns.issuers is not None and _ISSUER not in dns.issuers:
        allowed = ", ".join(map(quoted, dns.issuers)) or "nobody"
        yield (
            f"the CAA records allow certificates for {host} from {allowed} only: add one with '0 issue \"{_ISSUER}\"', "
            "or give a certificate of your own with --thumbprint"
        )


def _covers(name: str, host: str) -> bool:
    """Whether a name of a certificate, which may begin with `*.`, is that of `host` (RFC 6125 section 6.4.3)."""
    return name == host or (name.startswith("*.") and name[2:] == host.partition(".")[2])


def unbinding(domain: str, app: App, dns: HostDns, *, force: bool) -> Todo:
    """What takes the policy host of `domain` from the app, with its free certificate; another may serve more hosts."""
    host = policy_host(domain)
    if host not in app.bound:
        return Todo(domain)
    steps = []
    if bound := app.bound[host]:
        words = ("--hostname", host, "--certificate-thumbprint", bound)
        steps.append(Step(app.command("ssl", "unbind", *words)))
    steps.append(Step(app.command("hostname", "delete", "--hostname", host)))
    if issued := app.free_certificate(host):  # last, since Azure keeps one that another app still has bound
        steps.append(Step(app.certificate_command("delete", "--certificate-thumbprint", issued)))
    proof, cname = records_to_bind(domain, app_host=app.host, verification_id=app.verification_id)
    there = {proof: app.verification_id in dns.proofs, cname: dns.cname == app.host}
    obsolete = tuple(record for record, is_there in there.items() if is_there)
    problems = () if force else tuple(_reasons_to_stay(domain, app, dns))
    return Todo(domain, steps=tuple(steps), obsolete=obsolete, problems=problems)


def _reasons_to_stay(domain: str, app: App, dns: HostDns) -> Iterable[str]:
    """Why a sender may still come to the host, or somebody else could take the name over."""
    host = policy_host(domain)
    if dns.error:
        yield f"DNS cannot be asked: {dns.error}"
    elif dns.cname == app.host:
        yield f"{host} still leads to {app.host}: remove that CNAME first, or let it lead to the new place (or --force)"
    elif dns.announced and not dns.cname and not dns.addresses:
        yield (
            f"_mta-sts.{domain} announces a policy that nobody would serve: 'mta-sts retire {domain}' takes it back "
            "(or --force)"
        )
