"""What the world sees of a domain's policy, its TXT record and the text served, held against the revisions."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from policy_store.names import quoted
from policy_store.policy import Policy, PolicySyntaxError
from policy_store.tables.history import Revision
from policy_store.txt_records import RecordSyntaxError, StsRecord, sts_records

type DnsWord = Literal[
    "right", "not served", "older revision", "unknown id", "missing", "two records", "wrong syntax", "lookup failed"
]

type ServedWord = Literal["newest text", "older text", "other text", "not fetched"]


@dataclass(frozen=True, slots=True)
class TxtState:
    """The TXT records at `_mta-sts.<domain>`, empty where there is none; in `error` why the lookup failed."""

    records: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class DnsStatus:
    """How a domain's record stands: in a word, the id that DNS shows, the revision with that id, and a sentence that
    says what is wrong and what to do, empty where all is right.
    """

    word: DnsWord
    id: str | None = None
    revision: Revision | None = None
    detail: str = ""


def compare(state: TxtState, revisions: Sequence[Revision]) -> DnsStatus:
    """Compare the TXT records with the revisions of the domain, the oldest first: the id of the newest is to be shown.

    Records by RFC 8461 section 3.1: others than those for MTA-STS do not count, and one must be left.
    """
    if state.error is not None:
        return DnsStatus("lookup failed", detail=f"{state.error}: try again")
    records = sts_records(state.records)
    if not records:
        return _without(state.records)
    if len(records) > 1:
        return DnsStatus(
            "two records", detail=f"{len(records)} records begin with v=STSv1; and senders see no policy: leave one"
        )
    try:
        id_ = StsRecord.parse(records[0]).id
    except RecordSyntaxError as error:
        return DnsStatus("wrong syntax", detail=f"{quoted(records[0])}: {error}")
    found = [place for place, revision in enumerate(revisions) if revision.id == id_]
    if not found:
        return DnsStatus("unknown id", id_, detail=f"no revision has the id {id_}")
    shown, later = revisions[found[-1]], revisions[found[-1] + 1 :]
    if later:
        detail = f"DNS shows {id_}, which was replaced on {later[0].since:%Y-%m-%d %H:%M} UTC"
        return DnsStatus("older revision", id_, shown, detail)
    return DnsStatus("right", id_, shown)


def not_delegated(domain: str, cname: str | None, zone: str) -> str:
    """Why DNS does not show what is published in the zone `zone` of the provider's: the CNAME that a customer sets once
    is missing, or leads elsewhere (RFC 8461 section 8.2). Empty where it is right, and where there is no zone.
    """
    target = f"_mta-sts.{domain}.{zone}"
    if not zone or cname == target:
        return ""
    found = f"leads to {quoted(cname)}" if cname else "is missing"
    return f"the CNAME _mta-sts.{domain} {found}: set it to {target} once, and ids publish themselves"


def served_word(served: bytes, revisions: Sequence[Revision]) -> tuple[ServedWord, str]:
    """Which policy the text is that a policy host serves, in a word and a sentence (empty for the newest one).

    Line ends and the like do not count: another host may serve a policy that has just moved in here.
    """
    try:
        policy = Policy.parse(served)
    except PolicySyntaxError as error:
        return "other text", f"what the policy host serves is no policy: {error.problems[0]}"
    for revision in reversed(revisions):
        with suppress(PolicySyntaxError):
            if revision.policy == policy:
                if revision.text == revisions[-1].text:
                    return "newest text", ""
                return "older text", f"the policy host still serves the text of {revision.id}"
    return "other text", "the policy host serves a policy that is no revision"


def with_served(status: DnsStatus, served: tuple[ServedWord, str]) -> DnsStatus:
    """`status` in the light of what the policy host serves: where DNS shows the newest id over another text, senders
    keep that text under the new id (RFC 8461 section 8.1), and over no text they have no policy. A text that nobody
    tried to fetch, without a sentence, changes nothing.
    """
    word, detail = served
    if status.word != "right" or word == "newest text" or not detail:
        return status
    return replace(status, word="not served", detail=detail)


def meant_for_sts(text: str) -> bool:
    """Whether a TXT record that does not begin as it must is meant for MTA-STS all the same: it names the version, or
    it has an id, and no version of another kind of record, such as SPF's.
    """
    lower = text.lower()
    if "stsv1" in lower:
        return True
    other = re.match(r"\W*v\W*=\W*(?!sts)\w", lower)
    return not other and bool(re.search(r"(^|[;\s\"])(v\s*=\s*sts|id\s*=)", lower))


def _without(texts: Sequence[str]) -> DnsStatus:
    """What to say where no record begins with `v=STSv1;`: one may be meant to."""
    for text in texts:
        if meant_for_sts(text):
            return DnsStatus("wrong syntax", detail=f"{quoted(text)}: it must begin with 'v=STSv1;'")
    return DnsStatus("missing", detail="there is no TXT record for MTA-STS")
