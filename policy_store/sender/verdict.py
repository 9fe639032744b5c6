"""What would become of a message to a domain: verified, unprotected, deferred, or not to be told from here.

Pure: from the facts to the four words, the RFC 8460 result types and Exchange Online's codes. Senders differ in how
they read some records, answers and texts, and a host may answer differently at each of its addresses; where they do,
the worse word counts.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from policy_store.sender import reading
from policy_store.sender.facts import Facts, Fetched, MxFacts, Sender
from policy_store.sender.reading import Reading
from policy_store.sender.smtp import SmtpResult

type Word = Literal["verified", "unprotected", "deferred", "unknown"]

WORST_FIRST: tuple[Word, ...] = ("deferred", "unprotected", "unknown", "verified")

_WEBPKI = (
    "https_certificate_name",
    "https_certificate_expired",
    "https_chain_expired",
    "https_certificate_untrusted",
    "https_no_certificate",
    "https_tls",
)


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
class Delivery:
    """What TLS with an MX host comes to: `passes` and `reachable` (whether a message without a policy gets there) are
    None where nothing can be told. `final` tells that some senders give up at this host and try no other.
    """

    host: str
    preference: int
    passes: bool | None
    reachable: bool | None
    final: bool = False
    exchange_code: str | None = None
    result_type: str | None = None


@dataclass(frozen=True, slots=True)
class SenderReading:
    """The policy, None for no policy, that senders of a kind find at one address of the policy host."""

    sender: Sender
    address: str
    policy: Reading | None

    @property
    def decides(self) -> bool:
        """Whether what such senders find is all there is to them: the most forgiving ones only count for the mail that
        they hold back, since that they refuse something does not make others do without the policy.
        """
        return self.sender != "lax"


def judge(facts: Facts) -> Verdict:
    """The verdict on `facts` (RFC 8461 sections 3 to 5)."""
    deliveries = [delivery_of(mx) for mx in facts.mx]
    if cannot_tell(facts):
        stopped = _no_mail(facts, deliveries)
        word: Word = "deferred" if stopped else "unknown"
        each = (MxVerdict(d.host, word, word, d.exchange_code, d.result_type) for d in deliveries)
        return Verdict(word, word, None, tuple(each))
    readings = readings_of(facts)
    mx = tuple(_judge_mx(facts, delivery, readings) for delivery in deliveries)
    as_published = _worst(_words(facts, readings, deliveries, enforced=False))
    if_enforced = _worst(_words(facts, readings, deliveries, enforced=True))
    return Verdict(as_published, if_enforced, _result_type(facts), mx)


def cannot_tell(facts: Facts) -> bool:
    """Whether it cannot be found out from here what policy senders find."""
    if facts.txt.error is not None:
        return True
    asks = reading.has_policy_id(facts.txt.records) or reading.postfix_takes(facts.txt.records)
    return asks and facts.policy_host.unseen


def readings_of(facts: Facts) -> list[SenderReading]:
    """How each kind of sender understands what each address of the policy host serves, once each."""
    takes: dict[Sender, bool] = {
        "rfc": reading.has_policy_id(facts.txt.records),
        "postfix": reading.postfix_takes(facts.txt.records),
        "lax": reading.lax_takes(facts.txt.records),
    }
    found: dict[tuple[Sender, Reading | None], SenderReading] = {}
    for address, fetched in facts.policy_host.counting or (("", Fetched(problem="https_unreachable")),):
        for sender, asks in takes.items():
            policy = _policy(sender, fetched) if asks else None
            found.setdefault((sender, policy), SenderReading(sender, address, policy))
    return list(found.values())


def _policy(sender: Sender, fetched: Fetched) -> Reading | None:
    if sender not in fetched.takers:
        return None
    if sender == "postfix":
        return reading.postfix_reading(fetched.text, fetched.charset)
    if sender == "rfc":
        return reading.strict_reading(fetched.text) if fetched.problem is None else None
    text = fetched.text
    if fetched.problem == "https_size":  # senders without a limit read on: what was read is whole lines of it
        text = text.rpartition(b"\n")[0]
    return reading.lax_reading(text)


def _result_type(facts: Facts) -> str | None:
    if not reading.has_policy_id(facts.txt.records):
        return None
    answers = [fetched for _, fetched in facts.policy_host.counting] or [Fetched(problem="https_unreachable")]
    for fetched in answers:
        if fetched.problem in _WEBPKI:
            return "sts-webpki-invalid"
        if fetched.problem is not None:
            return "sts-policy-fetch-error"
        if reading.strict_reading(fetched.text) is None:
            return "sts-policy-invalid"
    return None


def delivery_of(mx: MxFacts) -> Delivery:
    """What the host's addresses come to: a sender goes from one to the next until one takes the message."""
    if not mx.results:
        told = not mx.skipped and not mx.private and (mx.lookup_error is None or mx.lookup_answered)
        nothing = False if told else None
        return Delivery(mx.host, mx.preference, nothing, nothing)
    passes = _best(passes_tls(result) for result in mx.results)
    reachable = _best(_reachable(result) for result in mx.results)
    final = any(result.permanent for result in mx.results)
    result_type: str | None = None
    code: str | None = None
    if passes is False:
        failures = [result.failure for result in mx.results if result.failure is not None]
        if failures:
            result_type = failures[0].result_type
            code = "5.7.5" if result_type.startswith("certificate-") else None
        elif any(result.outcome in ("no_starttls", "starttls_refused", "no_ehlo") for result in mx.results):
            result_type = "starttls-not-supported"
    return Delivery(mx.host, mx.preference, passes, reachable, final, code, result_type)


def passes_tls(result: SmtpResult) -> bool | None:
    """Whether an address of an MX host has TLS and a certificate that passes; None where nothing can be told."""
    if result.outcome in ("busy", "timeout", "unreachable"):
        return None
    return result.outcome == "tls"


def _reachable(result: SmtpResult) -> bool | None:
    if result.outcome in ("busy", "timeout", "unreachable"):
        return None
    return result.outcome not in ("refused", "no_smtp")


def _best(answers: Iterable[bool | None]) -> bool | None:
    """True where one is, None where one may be, else False."""
    known = list(answers)
    return True if True in known else None if None in known else False


def _judge_mx(facts: Facts, delivery: Delivery, readings: Sequence[SenderReading]) -> MxVerdict:
    pair = [delivery]
    exchange_code, result_type = delivery.exchange_code, delivery.result_type
    policies = [each.policy for each in readings if each.policy is not None and each.decides]
    if any(not policy.matches(delivery.host) for policy in policies):
        exchange_code, result_type = "5.4.8", "validation-failure"
    return MxVerdict(
        delivery.host,
        _worst(_words(facts, readings, pair, enforced=False)),
        _worst(_words(facts, readings, pair, enforced=True)),
        exchange_code,
        result_type,
    )


def _words(
    facts: Facts, readings: Sequence[SenderReading], deliveries: Sequence[Delivery], *, enforced: bool
) -> Iterator[Word]:
    """What each kind of sender does with a message for these hosts, as far as it counts."""
    if _no_mail(facts, deliveries):
        yield "deferred"
    for each in readings:
        word = _word(each.policy, deliveries, enforced=enforced)
        if each.decides or word == "deferred":
            yield word


def _no_mail(facts: Facts, deliveries: Sequence[Delivery]) -> bool:
    """Whether no message gets to the domain, whatever its policy."""
    if facts.mx_records is None:
        return facts.mx_answered and bool(facts.mx_error) and facts.looked_up
    if facts.mx_records.null or not deliveries:
        return True
    first = min(delivery.preference for delivery in deliveries)
    refused = any(each.final and each.reachable is False and each.preference == first for each in deliveries)
    return refused or all(delivery.reachable is False for delivery in deliveries)


def _word(policy: Reading | None, deliveries: Sequence[Delivery], *, enforced: bool) -> Word:
    """What a sender with this reading does with a message for these hosts: it takes the first that passes."""
    if policy is None or not (enforced or policy.mode == "enforce"):
        return "unprotected" if any(delivery.reachable for delivery in deliveries) else "unknown"
    passes = [each.passes if policy.matches(each.host) else False for each in deliveries]
    best = [each.preference for each, passed in zip(deliveries, passes, strict=True) if passed]
    if best and not any(each.final and each.preference <= min(best) for each in deliveries):
        return "verified"
    return "unknown" if not passes or (None in passes and not best) else "deferred"


def _worst(words: Iterable[Word]) -> Word:
    return min(words, key=WORST_FIRST.index)
