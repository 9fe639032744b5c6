"""What would become of a message to a domain: verified, unprotected, deferred, or not to be told from here.

Pure: from the facts to the four words, the RFC 8460 result types and Exchange Online's codes. Senders differ in how
they read some texts; where they do, the worse word counts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from policy_store.dns_records import RecordSyntaxError, StsRecord, sts_records
from policy_store.sender.facts import Facts, Fetched, MxFacts
from policy_store.sender.reading import Reading, postfix_reading, strict_reading

type Word = Literal["verified", "unprotected", "deferred", "unknown"]

_WORST_FIRST: tuple[Word, ...] = ("deferred", "unprotected", "unknown", "verified")
_WEBPKI = ("https_certificate_name", "https_certificate_expired", "https_certificate_untrusted", "https_tls")


@dataclass(frozen=True, slots=True)
class MxVerdict:
    """One MX host: what becomes of a message to it as published, and if the policy were enforced; the code that
    Exchange Online would then give the author, and the result type of a report.
    """

    host: str
    verdict: Word
    if_enforced: Word
    exchange_code: str | None
    result_type: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a message to the domain, as published and if the policy were enforced. `result_type` is the
    policy's own (RFC 8460 section 4.3), None where the policy is usable or no TXT record asks for one.
    """

    verdict: Word
    if_enforced: Word
    result_type: str | None
    mx: tuple[MxVerdict, ...]


@dataclass(frozen=True, slots=True)
class _Delivery:
    """What TLS with an MX host comes to: `passes` is None where nothing can be told, `reachable` whether a message
    without a policy gets there.
    """

    passes: bool | None
    reachable: bool
    exchange_code: str | None = None
    result_type: str | None = None


def judge(facts: Facts) -> Verdict:
    """The verdict on `facts` (RFC 8461 sections 3 to 5)."""
    deliveries = [(mx.host, _delivery(mx)) for mx in facts.mx]
    if facts.txt.error is not None:  # whether there is a policy cannot be told from here
        unknown = (MxVerdict(host, "unknown", "unknown", d.exchange_code, d.result_type) for host, d in deliveries)
        return Verdict("unknown", "unknown", None, tuple(unknown))
    readings = readings_of(facts)
    mx = tuple(_judge_mx(host, delivery, readings) for host, delivery in deliveries)
    return Verdict(
        _worst(_word(reading, deliveries, enforced=False) for reading in readings),
        _worst(_word(reading, deliveries, enforced=True) for reading in readings),
        _result_type(facts),
        mx,
    )


def has_policy_id(facts: Facts) -> bool:
    """Whether a sender goes on to fetch a policy: exactly one TXT record, and that in order (RFC 8461 section 3.1)."""
    records = sts_records(facts.txt.records)
    try:
        return len(records) == 1 and bool(StsRecord.parse(records[0]).id)
    except RecordSyntaxError:
        return False


def readings_of(facts: Facts) -> tuple[Reading | None, ...]:
    """How senders understand what was fetched, None standing for no policy: strictly, then as Postfix does."""
    fetched = facts.policy_host.fetched
    if not has_policy_id(facts) or fetched is None:
        return (None,)
    if fetched.problem == "https_size":  # senders without a limit read on
        return (None, strict_reading(fetched.text.rpartition(b"\n")[0]))
    if fetched.problem is not None:
        return (None,)
    return (strict_reading(fetched.text), postfix_reading(fetched.text))


def _result_type(facts: Facts) -> str | None:
    if not has_policy_id(facts):
        return None
    fetched = facts.policy_host.fetched or Fetched(problem="https_unreachable")
    if fetched.problem in _WEBPKI:
        return "sts-webpki-invalid"
    if fetched.problem is not None:
        return "sts-policy-fetch-error"
    return None if strict_reading(fetched.text) is not None else "sts-policy-invalid"


def _delivery(mx: MxFacts) -> _Delivery:
    """What the host's addresses come to: a sender goes from one to the next until one takes the message."""
    reachable = any(result.outcome in ("tls", "tls_failed", "no_starttls") for result in mx.results)
    if any(result.outcome == "tls" for result in mx.results):
        return _Delivery(passes=True, reachable=True)
    for result in mx.results:
        if result.failure is not None:
            type_ = result.failure.result_type
            code = "5.7.5" if type_.startswith("certificate-") else None
            return _Delivery(passes=False, reachable=reachable, exchange_code=code, result_type=type_)
    if reachable:
        return _Delivery(passes=False, reachable=True, result_type="starttls-not-supported")
    return _Delivery(passes=None, reachable=False)


def _judge_mx(host: str, delivery: _Delivery, readings: Sequence[Reading | None]) -> MxVerdict:
    pair = [(host, delivery)]
    exchange_code, result_type = delivery.exchange_code, delivery.result_type
    if any(reading is not None and not reading.matches(host) for reading in readings):
        exchange_code, result_type = "5.4.8", "validation-failure"
    return MxVerdict(
        host,
        _worst(_word(reading, pair, enforced=False) for reading in readings),
        _worst(_word(reading, pair, enforced=True) for reading in readings),
        exchange_code,
        result_type,
    )


def _word(reading: Reading | None, deliveries: Sequence[tuple[str, _Delivery]], *, enforced: bool) -> Word:
    """What a sender with this reading does with a message for these hosts: it takes the first that passes."""
    if reading is None or not (enforced or reading.mode == "enforce"):
        return "unprotected" if any(delivery.reachable for _, delivery in deliveries) else "unknown"
    passes = [delivery.passes if reading.matches(host) else False for host, delivery in deliveries]
    if any(passes):
        return "verified"
    return "deferred" if passes and not any(passed is None for passed in passes) else "unknown"


def _worst(words: Iterable[Word]) -> Word:
    return min(words, key=_WORST_FIRST.index)
