"""What there is to say of the policy: its TXT record, its host, what the host answers, and the text."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Literal

from policy_store.lint.findings import Finding
from policy_store.lint.linter import lint_text
from policy_store.names import policy_host, quoted
from policy_store.sender import reading
from policy_store.sender.facts import Facts, Fetched
from policy_store.sender.published import meant_for_sts
from policy_store.sender.rules import RULES, finding
from policy_store.sender.tls import TlsSession
from policy_store.sender.verdict import cannot_tell, readings_of
from policy_store.txt_records import RecordSyntaxError, StsRecord, sts_records

type Published = Literal["enforced", "testing", "none", "not published", "broken", "unknown"]

_SOON = timedelta(days=14)  # at most: a certificate that lives for days only is renewed in its last third
_SLOW = ((5, "https_over_5_seconds"), (4, "https_over_4_seconds"), (2, "https_over_2_seconds"))


def policy_findings(facts: Facts) -> Iterator[Finding]:
    """Everything about the policy but what lint says of its text, in the order in which a sender meets it."""
    yield from _txt(facts)
    yield from _host(facts)
    yield from _answers(facts)
    for fetched in _different_texts(facts):
        if fetched.problem is None:
            yield from _read_otherwise(facts, fetched)


def text_findings(facts: Facts) -> Iterator[Finding]:
    """Lint on each text that was fetched, already no more than it tells of one code."""
    for fetched in _different_texts(facts):
        yield from lint_text(fetched.text, domain=facts.domain)


def published_word(facts: Facts) -> Published:
    """What is published, as senders find it that keep to the RFC: `enforced`, `testing` or `none` by the mode, `not
    published` without a TXT record, `broken` where they find no policy or not always the same one, and `unknown` where
    that cannot be found out from here.
    """
    if cannot_tell(facts):
        return "unknown"
    if not sts_records(facts.txt.records):
        return "not published"
    modes = {each.policy.mode if each.policy else "" for each in readings_of(facts) if each.sender == "rfc"}
    words: dict[str, Published] = {"enforce": "enforced", "testing": "testing", "none": "none"}
    return words.get(modes.pop(), "broken") if len(modes) == 1 else "broken"


def ends_soon(session: TlsSession, now: datetime) -> str:
    """When the certificate ends, where that is soon: within a third of its life, and within 14 days; else empty."""
    left = session.not_after - now
    life = session.not_after - (session.not_before or now)
    if left >= (_SOON if session.not_before is None else min(_SOON, life / 3)):
        return ""
    rest = f"{left.days} d" if left.days else f"{left.seconds // 3600} h"
    return f"ends on {session.not_after:%Y-%m-%d}, in {rest}"


def _txt(facts: Facts) -> Iterator[Finding]:
    domain, name = facts.domain, f"_mta-sts.{facts.domain}"
    if facts.txt.error is not None:
        yield finding("txt_lookup_failed", domain, f"{name}: {facts.txt.error}")
        return
    texts = facts.txt.records
    if facts.txt_cname is not None:
        code, more = ("txt_cname", "") if texts else ("txt_cname_nowhere", ", which has no TXT record")
        yield finding(code, domain, f"{name} leads to {quoted(facts.txt_cname)}{more}")
    records = sts_records(texts)
    others = [text for text in texts if text not in records]
    if not records:
        yield from _no_record(facts, name, others)
    elif len(records) > 1:
        yield finding("txt_several", domain, f"{name} has {len(records)} records: senders use no policy")
    else:
        try:
            StsRecord.parse(records[0])
        except RecordSyntaxError as error:
            yield finding("txt_syntax", domain, f"{name} has {quoted(records[0])}: {error}{_still_taken(texts)}")
        if others:
            yield finding("txt_neighbours", domain, f"{name} has {quoted(others[0])} beside the record")


def _no_record(facts: Facts, name: str, others: Sequence[str]) -> Iterator[Finding]:
    """What to say where no record begins as it must: what is there instead, and what is elsewhere."""
    domain = facts.domain
    if misspelt := [text for text in others if meant_for_sts(text)]:
        message = f"{name} has {quoted(misspelt[0])}, which does not begin with 'v=STSv1;'{_still_taken(others)}"
        yield finding("txt_syntax", domain, message)
    elif others or facts.txt_cname is None:
        there = f", but {quoted(others[0])}" if others else ""
        yield finding("txt_missing", domain, f"{name} has no record that begins with 'v=STSv1;'{there}")
    if facts.wildcard:
        message = f"any name in {domain} has {quoted(others[0])}: it comes from a wildcard record"
        yield finding("txt_wildcard", domain, message)
    for place, text in facts.elsewhere:
        yield finding("txt_elsewhere", domain, f"{place} has {quoted(text)}: it must stand at {name}")


def _still_taken(records: Sequence[str]) -> str:
    takers = [("Postfix", reading.postfix_takes(records)), ("mailauth", reading.lax_takes(records))]
    names = " and ".join(name for name, takes in takers if takes)
    return f"; {names} use the policy all the same" if names else ""


def _host(facts: Facts) -> Iterator[Finding]:
    host, domain, name = facts.policy_host, facts.domain, policy_host(facts.domain)
    if host.lookup_error is not None:
        yield finding("host_lookup_failed", domain, f"{name}: {host.lookup_error}")
    elif not host.answers and host.private:
        yield finding("host_private", domain, f"{name} is {host.private[0]}: it was not asked")
    elif not host.answers and host.cname is not None:
        yield finding("host_cname_nowhere", domain, f"{name} leads to {quoted(host.cname)}, which has no address")
    elif not host.answers:
        yield finding("host_missing", domain, f"{name} has no address")
    if host.cname is not None and (host.answers or host.private):
        yield finding("host_cname", domain, f"{name} leads to {quoted(host.cname)}")
    reached = [address for address, each in host.answers if each.problem not in _NO_CONNECTION]
    for version in (4, 6):
        refusing = [
            address
            for address, each in host.answers
            if each.problem == "https_unreachable" and ip_address(address).version == version
        ]
        if refusing and reached and not any(ip_address(address).version == version for address in reached):
            yield finding(
                f"host_ipv{version}_unreachable", domain, f"{name} takes no connection at {', '.join(refusing)}"
            )


_NO_CONNECTION = ("https_unreachable", "https_not_from_here")


def _answers(facts: Facts) -> Iterator[Finding]:
    """What the addresses of the host answer, the same of several once."""
    domain, name, host = facts.domain, policy_host(facts.domain), facts.policy_host
    said: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for address, each in host.answers:
        counts = each.problem == "https_not_from_here" or (address, each) in host.counting
        if each.problem is not None and counts:
            said[each.problem, (each.detail or "takes no connection") + _taken_by_some(each)].append(address)
        for note, detail in each.notes:
            said[note, detail].append(address)
        if each.session is not None and each.problem is None and (ends := ends_soon(each.session, facts.time)):
            said["https_certificate_ends_soon", f"has a certificate that {ends}"].append(address)
    for (code, detail), addresses in said.items():
        at = f" at {', '.join(addresses)}" if len(addresses) < len(host.answers) else ""
        yield finding(code, domain, f"{name}{at} {detail}")
    if len({_essence(each) for _, each in host.counting}) > 1:
        what = "; ".join(f"{address}: {each.problem or _shown(each.text)}" for address, each in host.counting)
        yield finding("host_differs", domain, f"the addresses of {name} do not serve the same: {what}")
    slowest = max((each.seconds for _, each in host.counting if each.problem is None), default=0.0)
    for seconds, code in _SLOW:
        if slowest > seconds:
            yield finding(code, domain, f"{name} took {slowest:.1f} s: {RULES[code].source}")
            break


def _taken_by_some(fetched: Fetched) -> str:
    """Who takes a policy from an answer all the same."""
    takers = []
    if "postfix" in fetched.takers and reading.postfix_reading(fetched.text, fetched.charset):
        takers.append("Postfix")
    if "lax" in fetched.takers and fetched.problem != "https_size" and reading.lax_reading(fetched.text):
        takers.append("mailauth")
    return f"; {' and '.join(takers)} use the policy all the same" if takers else ""


def _essence(fetched: Fetched) -> object:
    """What a sender gets of an answer: two line ends for one policy are no difference."""
    return fetched.problem or reading.strict_reading(fetched.text) or fetched.text


def _shown(text: bytes) -> str:
    policy = reading.strict_reading(text)
    return f"mode {policy.mode}, mx {' '.join(policy.mx[:3])}" if policy else "not a policy"


def _different_texts(facts: Facts) -> Iterator[Fetched]:
    """The answers with a text that looks like a policy, each text once."""
    seen: set[bytes] = set()
    for _, each in facts.policy_host.counting:
        looks_like_one = each.problem == "https_type" and b"STSv1" in each.text
        if each.text in seen or not (each.problem is None or looks_like_one):
            continue
        seen.add(each.text)
        yield each


def _read_otherwise(facts: Facts, fetched: Fetched) -> Iterator[Finding]:
    strict = reading.strict_reading(fetched.text)
    postfix = reading.postfix_reading(fetched.text, fetched.charset) if "postfix" in fetched.takers else None
    lax = reading.lax_reading(fetched.text) if "lax" in fetched.takers and strict is None else None
    for mx in facts.mx if lax and lax.mode == "enforce" else ():
        if lax and not lax.matches(mx.host) and (postfix is None or postfix.matches(mx.host)):
            message = f"mailauth takes the text, and holds back mail for {quoted(mx.host)}"
            yield finding("read_otherwise", facts.domain, message)
    if strict is None and postfix is None:
        return
    if strict is None or postfix is None:
        takes, refuses = ("Postfix", "the RFC") if strict is None else ("the RFC", "Postfix")
        effect = "some senders enforce it, others deliver unprotected" if postfix else "Postfix is unprotected"
        yield finding("read_otherwise", facts.domain, f"{refuses} refuses the text, {takes} takes it: {effect}")
    elif strict.mode != postfix.mode:
        message = f"the mode is {strict.mode} by the RFC, where the first counts, and {postfix.mode} for Postfix"
        yield finding("read_otherwise", facts.domain, message)
    else:
        for mx in facts.mx:
            if strict.matches(mx.host) != postfix.matches(mx.host):
                says = "is allowed by the RFC, but not by Postfix" if strict.matches(mx.host) else "only Postfix allows"
                yield finding("read_otherwise", facts.domain, f"{quoted(mx.host)} {says}")
