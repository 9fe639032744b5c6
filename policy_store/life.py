"""When a change of a policy is safe: testing to enforce, moving MX hosts, retiring a domain.

Pure rules over a policy, its revisions (the oldest first) and a clock. A sending server may keep a text for its max_age
after it fetched it, and it may have fetched it as long as any worker still served it. Senders look for a new id when
they like, and some never do. So the dates here depend on what was served, not on the TTL of the TXT record.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from policy_store.policy import Policy
from policy_store.tables.history import Revision, readable

TESTING = timedelta(days=14)  # Google Workspace's guide: "testing mode for 2 weeks"
RETIRED_MAX_AGE = 86400  # seconds: RFC 8461 section 8.3

_READ_TIME = timedelta(seconds=5)  # a worker's read that began before the row was written, and the key's whole seconds
_SHORTEST_HOLD = {"enforce": timedelta(days=7), "testing": timedelta(days=1)}  # Mimecast's library raises max_age so


def served_everywhere(revision: Revision, fresh_seconds: float) -> datetime:
    """From when every worker serves the revision, so that DNS may show its id (RFC 8461 section 8.1).

    A worker serves what it read for `fresh_seconds` (longer only if storage fails or is slow).
    """
    return revision.since + timedelta(seconds=fresh_seconds) + _READ_TIME


def cached_until(revisions: Sequence[Revision], fresh_seconds: float) -> datetime | None:
    """Until when some sender may keep a text older than the newest revision; None if there is no older one.

    A text may be fetched until its successor is served everywhere, and then kept for its own max_age (RFC 8461 sections
    3.2 and 8.3). Every revision counts, because any old text may have had the greatest max_age.
    """
    ends = (served_until + _hold(old) for old, served_until in _superseded(revisions, fresh_seconds))
    return max(ends, default=None)


def in_testing_since(revisions: Sequence[Revision]) -> datetime | None:
    """Since when the mode has been testing without a break; None if it is not testing now.

    Testing is the time to read reports before senders refuse anything (RFC 8461 section 5). Changing patterns does not
    restart it, because promote compares the patterns with DNS anyway.
    """
    since = None
    for revision, policy in reversed(readable(revisions)):
        if policy.mode != "testing":
            break
        since = revision.since
    return since


def new_patterns(revisions: Sequence[Revision], fresh_seconds: float) -> dict[str, datetime]:
    """The patterns of the newest revision that some sender may not know yet, each with the time from which all senders
    know it.

    A sender that keeps an older text does not know a host that only a newer one allows: it refuses the host under
    enforce, and reports it under testing (RFC 8461 section 5). Some senders look at no id and keep a text for 7 days
    whatever its max_age. So each older text counts for its max_age, and for 7 days at least.
    """
    known = readable(revisions)
    if not known:
        return {}
    newest = known[-1][1]
    usable: dict[str, datetime] = {}
    for old, served_until in _superseded(revisions, fresh_seconds):
        if old.mode == "none":
            continue
        until = served_until + max(_hold(old), _SHORTEST_HOLD["enforce"])
        for pattern in newest.mx:
            if not _allows(old, pattern):
                usable[pattern] = max(until, usable.get(pattern, until))
    return usable


def mx_usable_from(revisions: Sequence[Revision], fresh_seconds: float) -> datetime:
    """From when mail may be sent to every host that the newest revision allows: all senders know all its patterns.

    `revisions` has at least one. For the rule see `new_patterns`; nothing is usable before the newest revision is
    served everywhere (RFC 8461 section 8.1).
    """
    served = served_everywhere(revisions[-1], fresh_seconds)
    return max([served, *new_patterns(revisions, fresh_seconds).values()])


def retired(policy: Policy) -> Policy:
    """The policy that withdraws `policy`: mode none, a day as max_age, and the patterns kept, because two senders
    refuse a policy of mode none without patterns (RFC 8461 section 8.3).
    """
    return Policy(mode="none", mx=policy.mx, max_age=RETIRED_MAX_AGE)


def removal_date(revisions: Sequence[Revision], fresh_seconds: float) -> datetime | None:
    """From when the TXT record and the row of a retired domain may be deleted; None if the mode of its newest revision
    is not none.

    Every text that was served before must have expired (RFC 8461 section 8.3).
    """
    known = readable(revisions)
    if not known or known[-1][1].mode != "none":
        return None
    served = served_everywhere(known[-1][0], fresh_seconds)
    return max(served, cached_until(revisions, fresh_seconds) or served)


def _superseded(revisions: Sequence[Revision], fresh_seconds: float) -> Iterator[tuple[Policy, datetime]]:
    """Every policy but the newest, with the time until which some worker may have served it."""
    for (_, old), (successor, _) in pairwise(readable(revisions)):
        yield old, served_everywhere(successor, fresh_seconds)


def _hold(policy: Policy) -> timedelta:
    """How long a sender may keep the policy after it fetched it: max_age (RFC 8461 section 3.2), which Mimecast's
    library raises to a week in enforce and to a day in testing.
    """
    return max(timedelta(seconds=policy.max_age), _SHORTEST_HOLD.get(policy.mode, timedelta(0)))


def _allows(policy: Policy, pattern: str) -> bool:
    """Whether the policy allows every host that `pattern` allows."""
    return pattern in policy.mx or policy.matches(pattern)
