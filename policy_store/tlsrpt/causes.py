"""Why sessions fail: the causes as data, and which of them a failure in a report is."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from policy_store.policy import Policy
from policy_store.tables.report_row import Failure, ReportRow
from policy_store.tlsrpt.texts import policy_in

type Weight = Literal["blocks", "text", "fetch", "dane"]

_MX_HOSTS_MISMATCH = "MX_HOSTS_MISMATCH"  # Microsoft's reason for an MX host that is not in the policy


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause. `code` stays the same between versions; `weight` says what it does to mail under enforce."""

    code: str
    weight: Weight
    what: str
    remedy: str
    source: str


def _read(table: Path) -> tuple[dict[str, str], dict[str, Cause]]:
    read = tomllib.loads(table.read_text(encoding="utf-8"))
    return read["headings"], {code: Cause(code, **columns) for code, columns in read["causes"].items()}


HEADINGS, CAUSES = _read(Path(__file__).with_name("causes.toml"))


def cause_of(failure: Failure, policy: Policy | None) -> Cause:
    """The cause of a failure under `policy`, the one that the report names (None where it has no text).

    An MX host that no pattern matches has no result type of its own (RFC 8460 section 4.3): it is found here.
    """
    if failure.type not in CAUSES:
        return CAUSES["unknown"]
    if failure.type in ("validation-failure", "certificate-host-mismatch"):
        covered = policy is None or not failure.mx_host or policy.matches(failure.mx_host)
        if not covered or failure.reason.upper() == _MX_HOSTS_MISMATCH:
            return CAUSES["mx-not-covered"]
        if failure.type == "validation-failure" and not failure.reason:
            return CAUSES["validation-failure-without-reason"]
    return CAUSES[failure.type]


def failures_of(row: ReportRow, policy: Policy | None = None) -> Iterator[tuple[Failure, Cause]]:
    """The failures of a row with their causes under the policy that it shows, else under `policy`; one that stands for
    all where the sender gives no details.
    """
    if row.failures:
        policy = policy_in(row.text) or policy
        for failure in row.failures:
            yield failure, cause_of(failure, policy)
    elif row.failed:
        yield Failure("", "", "", row.failed), CAUSES["no-details"]


def is_blocking(result_type: str) -> bool:
    """Whether failures of this result type stop mail under enforce; one that is not known counts as such."""
    return result_type not in CAUSES or CAUSES[result_type].weight == "blocks"
