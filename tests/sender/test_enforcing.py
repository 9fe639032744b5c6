"""What speaks against enforcing a policy, by what the world shows."""

from datetime import UTC, datetime

import pytest

from policy_store.policy import Policy
from policy_store.sender.dns import MxHost, MxRecords
from policy_store.sender.enforcing import not_checked, not_served
from policy_store.sender.facts import Facts, Fetched, MxFacts, PolicyHost
from policy_store.sender.published import TxtState
from policy_store.sender.smtp import SmtpResult

_TESTING = Policy(mode="testing", mx=("mx.contoso.com",), max_age=604800)
_ENFORCED = Policy(mode="enforce", mx=("mx.contoso.com",), max_age=604800)
_OTHER = Policy(mode="testing", mx=("old.contoso.com",), max_age=604800)


def facts(*answers: tuple[str, Fetched], mx: MxFacts | None = None, **host: str) -> Facts:
    """What a check finds where the policy host answers so."""
    return Facts(
        "contoso.com",
        datetime(2026, 11, 26, tzinfo=UTC),
        TxtState(("v=STSv1; id=1;",)),
        policy_host=PolicyHost(tuple(answers), cname=host.get("cname"), lookup_error=host.get("lookup_error")),
        mx_records=MxRecords((MxHost(10, "mx.contoso.com"),)),
        mx=(mx,) if mx else (),
    )


def serving(policy: Policy) -> Fetched:
    """An answer with the policy."""
    return Fetched(policy.text.encode())


def test_the_same_patterns_and_life_are_served_whatever_the_mode() -> None:
    assert not_served(facts(("192.0.2.1", serving(_TESTING))), _ENFORCED) == ""
    assert not_served(facts(("192.0.2.1", serving(_TESTING)), ("192.0.2.2", serving(_TESTING))), _ENFORCED) == ""


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (facts(), "mta-sts.contoso.com has no address: publish its CNAME to the app, which 'mta-sts dns' prints"),
        (facts(cname="gone.example"), "leads to gone.example, which has no address: correct its CNAME"),
        (facts(lookup_error="A of x: no answer in time"), "no answer in time: try again"),
        (
            facts(("192.0.2.1", Fetched(problem="https_certificate_name", detail="fails in TLS: x"))),
            "mta-sts.contoso.com fails in TLS: x: finish 'mta-sts bind contoso.com'",
        ),
        (facts(("192.0.2.1", Fetched(problem="https_status", detail="answers 404"))), "answers 404: finish"),
        (facts(("192.0.2.1", Fetched(problem="https_timeout", detail="was slow"))), "'mta-sts check contoso.com' says"),
        (facts(("192.0.2.1", Fetched(b"<html>"))), "serves is not a policy: "),
        (facts(("192.0.2.1", serving(_OTHER))), "serves another policy than the one to enforce"),
        (
            facts(("192.0.2.1", serving(_TESTING)), ("192.0.2.2", serving(_OTHER))),
            "serves different texts at 192.0.2.1 and 192.0.2.2",
        ),
    ],
)
def test_the_step_that_is_missing_is_named(found: Facts, said: str) -> None:
    assert said in not_served(found, _ENFORCED)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (SmtpResult("192.0.2.1", "tls"), ()),
        (SmtpResult("192.0.2.1", "no_starttls"), ()),
        (
            SmtpResult("192.0.2.1", "timeout", "greeting: no answer within 30 s"),
            ("mx.contoso.com was not checked: greeting: no answer within 30 s: give it more time with --smtp-seconds",),
        ),
        (
            SmtpResult("192.0.2.1", "unreachable", "connect: no answer within 10 s"),
            ("mx.contoso.com was not checked: connect: no answer within 10 s, as where port 25 is blocked",),
        ),
    ],
)
def test_what_was_not_checked_is_named_with_the_way_out(result: SmtpResult, said: tuple[str, ...]) -> None:
    assert not_checked(facts(mx=MxFacts("mx.contoso.com", 10, (result,)))) == said
