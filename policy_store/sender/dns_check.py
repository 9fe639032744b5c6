"""What `dns check` asks of the world: the TXT record of each domain and the text that its policy host serves."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from policy_store.life import served_everywhere
from policy_store.pool import concurrently
from policy_store.sender.dns import LookupFailed, sts_state
from policy_store.sender.facts import PolicyHost
from policy_store.sender.network import Network
from policy_store.sender.policy_host import ask_policy_host, next_step, why_no_text
from policy_store.sender.published import DnsWord, ServedWord, compare, not_delegated, served_word, with_served
from policy_store.tables.entry import Entry
from policy_store.tables.history import Revision
from policy_store.times import shown_due
from policy_store.txt_records import StsRecord

_AT_ONCE = 50  # domains, each with a few questions to DNS and one connection


class DnsCheck(BaseModel):
    """What `dns check` says of a domain."""

    model_config = ConfigDict(frozen=True)

    domain: str = Field(description="the policy domain")
    status: DnsWord = Field(description="`right`, or what is wrong")
    id: str | None = Field(description="the id that DNS should show; null before the first revision")
    dns_id: str | None = Field(description="the id that DNS shows; null if it shows none")
    dns_since: datetime | None = Field(description="since when the revision with that id has been in force")
    cname: str | None = Field(description="where a CNAME at `_mta-sts.` and the domain leads")
    served: ServedWord = Field(description="the text that the policy host serves, if it can be fetched")
    detail: str = Field(description="what is wrong and what to do; empty if nothing is")


@dataclass(frozen=True, slots=True)
class DnsChecker:
    """Checks domains, many at once, over the network as it says; `zone` is the one that customers delegate to, where
    there is one.
    """

    network: Network
    fresh_seconds: float
    now: datetime
    zone: str = ""

    def check_all(self, entries: Iterable[Entry]) -> Iterator[DnsCheck]:
        """What is to be said of each domain, in the order of `entries`, which are fetched a little ahead."""
        return concurrently(self.check, entries, _AT_ONCE, in_order=True)

    async def check(self, entry: Entry) -> DnsCheck:
        """What is to be said of one domain."""
        revisions = entry.known
        by_hand = revisions != entry.revisions
        if by_hand:  # it has no id before it is recorded
            revisions = (*entry.revisions, replace(revisions[-1], id=""))
        state, cname, host = await asyncio.gather(
            sts_state(self.network.resolver, entry.domain),
            self._cname(entry.domain),
            ask_policy_host(entry.domain, self.network),
        )
        text = served_by(entry.domain, host, revisions)
        status = with_served(compare(state, revisions), text)
        details = [status.detail] if status.detail else []
        if status.word not in ("right", "not served", "lookup failed") and revisions and not by_hand:
            details.append(self._remedy(entry.domain, cname, revisions[-1]))
        if by_hand:
            details.append("the row was changed by hand and has no id yet: run 'mta-sts audit'")
        if text[0] == "not fetched" and status.word != "not served":
            details.append(text[1])
        return DnsCheck(
            domain=entry.domain,
            status=status.word,
            id=entry.revisions[-1].id if entry.revisions else None,
            dns_id=status.id,
            dns_since=status.revision.since if status.revision else None,
            cname=cname,
            served=text[0],
            detail="; ".join(details),
        )

    def _remedy(self, domain: str, cname: str | None, newest: Revision) -> str:
        """What to do about a TXT record that is not right."""
        due = served_everywhere(newest, self.fresh_seconds)
        when = f" from {shown_due(due)} on" if self.now < due else ""
        if reason := not_delegated(domain, cname, self.zone):
            return reason
        if self.zone:
            return f"the app publishes it by itself{when}; 'mta-sts dns publish {domain} --wait' does it now"
        return f"publish '{StsRecord(newest.id).text}'{when}"

    async def _cname(self, domain: str) -> str | None:
        try:
            return await self.network.resolver.cname(f"_mta-sts.{domain}")
        except LookupFailed:
            return None  # the TXT record is looked up too, and says so


def served_by(domain: str, host: PolicyHost, revisions: Sequence[Revision]) -> tuple[ServedWord, str]:
    """Which text senders get from the policy host, and what is wrong with that: where they get none, the next step."""
    if reason := why_no_text(domain, host):
        return "not fetched", f"no sender gets the policy: {reason}: {next_step(domain, host)}"
    return served_word(host.counting[0][1].text, revisions)
