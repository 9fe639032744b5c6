"""Who fetched what and what went wrong: counts of the answers that the app logged."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

from pydantic import BaseModel, ConfigDict, Field

from policy_store.log_lines import Answer, ReportPost

LIMIT = 50_000  # lines of one table: strangers choose the host names and the User-Agents

_SLOW = 1000  # milliseconds: the quickest senders give up after 2 seconds, DNS and TLS included


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True)


class FetchCount(_Row):
    """How often a sender fetched the policy of a domain."""

    domain: str = Field(description="the policy domain; `-` if the settings were wrong and nothing was served")
    sender: str = Field(description="the product that the User-Agent begins with; `-` if there is none")
    fetches: int = Field(description="answers with a policy")
    unavailable: int = Field(description="answers without one, status 503")


class UnknownHost(_Row):
    """A host that was asked for and has no policy here."""

    host: str = Field(description="the host as logged: what is not printable ASCII is escaped")
    answers: int = Field(description="answers with status 404")
    last: datetime | None = Field(description="the time of the last; null if the lines have none")


class LastGood(_Row):
    """A domain whose row was invalid while it was asked for."""

    domain: str = Field(description="the policy domain")
    answers: int = Field(description="answers with the last good copy or revision")
    last: datetime | None = Field(description="the time of the last; null if the lines have none")


class SlowAnswers(_Row):
    """The answers for a domain that took more than a second."""

    domain: str = Field(description="the policy domain; `-` for a host that is not one of ours")
    outcome: str = Field(description="where the answer came from, as logged")
    answers: int = Field(description="answers that took more than a second")
    slowest: int = Field(description="milliseconds that the slowest took")


class OldVersion(_Row):
    """A version of a domain's policy that was served although a newer one had been written."""

    domain: str = Field(description="the policy domain")
    version: str = Field(description="the time of the version that was served")
    newer: str = Field(description="the time of the next version that was served")
    fetches: int = Field(description="all answers with the old version")
    last: datetime | None = Field(description="the time of the last; null if the lines have none")
    late: int | None = Field(description="seconds from the newer version to that time; null if the lines have none")


class PostedReports(_Row):
    """The TLS reports about a domain that one sender posted."""

    domain: str = Field(description="the policy domain; `-` if the report is not about one of ours, or is not a report")
    reporter: str = Field(description="who wrote them; `-` if that could not be found out")
    status: int = Field(description="the status that they got: 201 new, 200 known, anything else not taken")
    posts: int = Field(description="how many there were")
    last: datetime | None = Field(description="the time of the last; null if the lines have none")


class Stats(_Row):
    """What `stats` says of the lines it read."""

    lines: int = Field(description="lines or CSV rows read")
    answers: int = Field(description="answers of the app among them")
    first: datetime | None = Field(description="the time of the earliest answer; null if the lines have none")
    last: datetime | None = Field(description="the time of the latest answer; null if the lines have none")
    not_counted: int = Field(description="answers missing from a table, since it was full; 0 is usual")
    fetches: list[FetchCount] = Field(description="by domain and sender, the most first")
    unknown_hosts: list[UnknownHost] = Field(description="by host, the most first")
    last_good: list[LastGood] = Field(description="by domain, the most first")
    slow: list[SlowAnswers] = Field(description="by domain and outcome, the slowest first")
    reports: list[PostedReports] = Field(description="by domain, sender and status, the most first")
    old_versions: list[OldVersion] = Field(description="by domain and version, the latest first")


class _Group:
    """What is known of the answers under one key."""

    __slots__ = ("answers", "last", "slowest", "unavailable")

    def __init__(self) -> None:
        self.answers = self.unavailable = self.slowest = 0
        self.last: datetime | None = None


class Tally:
    """The tables as the answers come; each takes a limited number of keys. `lines` is for whoever reads them."""

    def __init__(self) -> None:
        self.lines = self.answers = self.not_counted = 0
        self.first: datetime | None = None
        self.last: datetime | None = None
        self._fetches: dict[tuple[str, ...], _Group] = {}
        self._hosts: dict[tuple[str, ...], _Group] = {}
        self._last_good: dict[tuple[str, ...], _Group] = {}
        self._slow: dict[tuple[str, ...], _Group] = {}
        self._versions: dict[tuple[str, ...], _Group] = {}
        self._reports: dict[tuple[str, ...], _Group] = {}

    def take_report(self, report: ReportPost) -> None:
        """Count a posted report."""
        key = (report.domain, report.reporter, str(report.status))
        group = self._reports.get(key)
        if group is None:
            if len(self._reports) >= LIMIT:
                self.not_counted += 1
                return
            group = self._reports[key] = _Group()
        group.answers += 1
        if report.time is not None:
            group.last = max(group.last or report.time, report.time)

    def take(self, answer: Answer) -> None:
        """Count one answer."""
        self.answers += 1
        if answer.time is not None:
            self.first = min(self.first or answer.time, answer.time)
            self.last = max(self.last or answer.time, answer.time)
        places: list[tuple[dict[tuple[str, ...], _Group], tuple[str, ...]]] = []
        if answer.outcome == "unknown":
            places.append((self._hosts, (answer.host,)))
        else:
            places.append((self._fetches, (answer.domain, answer.sender)))
        if answer.outcome == "last-good":
            places.append((self._last_good, (answer.domain,)))
        if answer.ms > _SLOW:
            places.append((self._slow, (answer.domain, answer.outcome)))
        if answer.version != "-":
            places.append((self._versions, (answer.domain, answer.version)))
        if sum(_count(table, key, answer) for table, key in places) < len(places):
            self.not_counted += 1

    def stats(self) -> Stats:
        """What was counted so far."""
        fetches = [
            FetchCount(
                domain=domain, sender=sender, fetches=group.answers - group.unavailable, unavailable=group.unavailable
            )
            for (domain, sender), group in self._fetches.items()
        ]
        hosts = [
            UnknownHost(host=host, answers=group.answers, last=group.last) for (host,), group in self._hosts.items()
        ]
        last_good = [
            LastGood(domain=domain, answers=group.answers, last=group.last)
            for (domain,), group in self._last_good.items()
        ]
        slow = [
            SlowAnswers(domain=domain, outcome=outcome, answers=group.answers, slowest=group.slowest)
            for (domain, outcome), group in self._slow.items()
        ]
        return Stats(
            lines=self.lines,
            answers=self.answers,
            first=self.first,
            last=self.last,
            not_counted=self.not_counted,
            fetches=sorted(fetches, key=lambda row: (-row.fetches - row.unavailable, row.domain, row.sender)),
            unknown_hosts=sorted(hosts, key=lambda row: (-row.answers, row.host)),
            last_good=sorted(last_good, key=lambda row: (-row.answers, row.domain)),
            reports=sorted(
                (
                    PostedReports(
                        domain=domain, reporter=reporter, status=int(status), posts=group.answers, last=group.last
                    )
                    for (domain, reporter, status), group in self._reports.items()
                ),
                key=lambda row: (-row.posts, row.domain, row.reporter, row.status),
            ),
            slow=sorted(slow, key=lambda row: (-row.slowest, row.domain, row.outcome)),
            old_versions=sorted(self._old_versions(), key=lambda row: (-(row.late or 0), row.domain, row.version)),
        )

    def _old_versions(self) -> Iterator[OldVersion]:
        """The versions last served after the next one had been written, and those of which that cannot be told."""
        versions = sorted(self._versions)
        for (domain, version), (next_domain, newer) in pairwise(versions):
            if domain != next_domain:
                continue
            group = self._versions[domain, version]
            written = _time_of(newer)
            late = None if group.last is None or written is None else int((group.last - written).total_seconds())
            if late is None or late > 0:
                yield OldVersion(
                    domain=domain, version=version, newer=newer, fetches=group.answers, last=group.last, late=late
                )


def _count(table: dict[tuple[str, ...], _Group], key: tuple[str, ...], answer: Answer) -> bool:
    """Count the answer under the key; whether there was room for it."""
    group = table.get(key)
    if group is None:
        if len(table) >= LIMIT:
            return False
        group = table[key] = _Group()
    group.answers += 1
    group.unavailable += answer.outcome == "unavailable"
    group.slowest = max(group.slowest, answer.ms)
    if answer.time is not None:
        group.last = max(group.last or answer.time, answer.time)
    return True


def _time_of(version: str) -> datetime | None:
    try:
        return datetime.strptime(version, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
