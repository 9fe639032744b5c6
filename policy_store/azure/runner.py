"""Binding carried out: what is left to do for each domain, one command of the Azure CLI after the other."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from policy_store.azure.az import Az, AzFailed
from policy_store.azure.binding import HostDns, Todo, azure_dns, look_up
from policy_store.changes.records import DnsItem
from policy_store.dns_records import DnsRecord
from policy_store.names import policy_host
from policy_store.pool import concurrently
from policy_store.sender.dns import LookupFailed, Resolver

PAUSE = 10  # seconds between two looks at what takes a while

_AT_ONCE = 50  # domains, each with a few questions to DNS
_DNS_SECONDS = 300
_CERTIFICATE_SECONDS = 600

type Status = Literal["done", "to do", "refused", "waits for DNS", "failed"]


@dataclass(frozen=True, slots=True)
class BindOutcome:
    """The result for one domain, or what it would be."""

    todo: Todo
    status: Status
    problems: tuple[str, ...] = ()


def planned(todo: Todo) -> BindOutcome:
    """What would be done."""
    if todo.problems:
        return BindOutcome(todo, "refused", todo.problems)
    return BindOutcome(todo, "to do" if todo.before or todo.steps or todo.after else "done")


@dataclass(frozen=True, slots=True)
class Runner:
    """Does what is left to do for a domain, one step after the other. The next run continues what stopped early."""

    az: Az
    resolver: Resolver
    dns_group: str = ""

    def run(self, todo: Todo) -> BindOutcome:
        """Do it, or as much of it as can be done now."""
        if todo.problems:
            return BindOutcome(todo, "refused", todo.problems)
        if todo.before and not self.dns_group:
            return BindOutcome(todo, "waits for DNS")
        try:
            for step in todo.steps:
                self._publish(step.before)
                self.az.ask(*step.with_thumbprint(self._thumbprint(step.certificate)))
            if todo.steps:  # otherwise DNS may lead elsewhere on purpose, for example to a proxy
                self._publish(todo.after)
        except AzFailed as error:
            return BindOutcome(todo, "failed", (str(error),))
        published = self.dns_group and todo.steps
        return BindOutcome(replace(todo, steps=(), after=() if published else todo.after), "done")

    def _publish(self, records: Sequence[DnsRecord]) -> None:
        """Make the records where the zones are in Azure DNS, and wait until they are seen. Raises AzFailed."""
        if not self.dns_group:
            return
        for record in records:
            self.az.ask(*azure_dns(record, self.dns_group).words)
        for record in records:
            if not _wait(partial(self._shows, record), _DNS_SECONDS):
                raise AzFailed(f"DNS does not show {record.name} yet: run this again in some minutes")

    def _shows(self, record: DnsRecord) -> bool:
        try:
            if record.type == "CNAME":
                return asyncio.run(self.resolver.cname(record.name)) == record.value
            return record.value in asyncio.run(self.resolver.txt(record.name))
        except LookupFailed:
            return False

    def _thumbprint(self, show: Sequence[str]) -> str:
        """The thumbprint of a certificate that is being issued, which takes minutes. Raises AzFailed."""
        if not show:
            return ""
        if thumbprint := _wait(partial(self._issued, show), _CERTIFICATE_SECONDS):
            return thumbprint
        raise AzFailed("the certificate is not issued yet: run this again in some minutes")

    def _issued(self, show: Sequence[str]) -> str:
        try:
            return str(self.az.ask(*show) or "")
        except AzFailed as error:
            if "notfound" in str(error).lower().replace(" ", ""):  # it is not issued yet
                return ""
            raise


class Binding(BaseModel):
    """A domain as `bind` and `unbind` print it."""

    model_config = ConfigDict(frozen=True)

    domain: str = Field(description="the policy domain")
    host: str = Field(description="the policy host, `mta-sts.` and the domain")
    status: Status = Field(
        description="`done`, now or before; `to do`; `refused`; `waits for DNS`, for the records to publish first; "
        "`failed`, at one of the commands"
    )
    records_first: list[DnsItem] = Field(description="the records that must be in DNS before the commands")
    commands: list[str] = Field(description="the commands of the Azure CLI, for a shell; empty if all is done")
    records_last: list[DnsItem] = Field(description="the records to publish after the commands")
    records_to_remove: list[DnsItem] = Field(description="the records that nothing needs after the commands")
    problems: list[str] = Field(description="why it was refused or failed")

    @classmethod
    def of(cls, outcome: BindOutcome) -> Self:
        """The model for this outcome."""
        todo = outcome.todo
        return cls(
            domain=todo.domain,
            host=policy_host(todo.domain),
            status=outcome.status,
            records_first=list(map(DnsItem.of, todo.before)),
            commands=[step.text() for step in todo.steps],
            records_last=list(map(DnsItem.of, todo.after)),
            records_to_remove=list(map(DnsItem.of, todo.obsolete)),
            problems=list(outcome.problems),
        )


def outcomes(todos: Sequence[Todo], runner: Runner | None) -> Iterator[BindOutcome]:
    """The result for each domain, one after the other, because Azure accepts one change of an app at a time."""
    if runner is None:
        yield from map(planned, todos)
    else:
        yield from map(runner.run, todos)


def _wait[T](look: Callable[[], T], seconds: float) -> T:
    """What `look` finds, as soon as it finds something, or what it finds after so many seconds."""
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        time.sleep(PAUSE)
    return found


def look_up_all(resolver: Resolver, names: Sequence[str]) -> Iterator[HostDns]:
    """What DNS says about each policy host, in their order. It looks at all of them at once, because the commands after
    it take minutes.
    """
    return concurrently(lambda name: look_up(resolver, name), names, _AT_ONCE, in_order=True)
