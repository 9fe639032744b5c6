"""Why senders get no text from a policy host, with the step that is missing; and what a check did not see."""

from datetime import UTC, datetime

import pytest

from policy_store.policy import Policy
from policy_store.sender.dns import MxHost, MxRecords
from policy_store.sender.facts import Facts, Fetched, MxFacts, PolicyHost
from policy_store.sender.policy_host import next_step, why_no_text
from policy_store.sender.published import TxtState
from policy_store.sender.report import not_checked
from policy_store.sender.smtp import SmtpResult

_TESTING = Policy(mode="testing", mx=("mx.contoso.com",), max_age=604800)
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


def said_of(found: Facts) -> str:
    """Why no sender gets the text, and what to do; empty where it does."""
    reason = why_no_text(found.domain, found.policy_host)
    return f"{reason}: {next_step(found.domain, found.policy_host)}" if reason else ""


def test_one_text_at_every_address_is_what_senders_get() -> None:
    assert said_of(facts(("192.0.2.1", serving(_TESTING)))) == ""
    assert said_of(facts(("192.0.2.1", serving(_TESTING)), ("192.0.2.2", serving(_TESTING)))) == ""


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (facts(), "mta-sts.contoso.com has no address: publish its CNAME to the app, which 'mta-sts dns show' prints"),
        (facts(cname="gone.example"), "leads to gone.example, which has no address: correct its CNAME"),
        (facts(lookup_error="A of x: no answer in time"), "no answer in time: try again"),
        (
            facts(("192.0.2.1", Fetched(problem="https_certificate_name", detail="fails in TLS: x"))),
            "mta-sts.contoso.com fails in TLS: x: finish 'mta-sts bind contoso.com'",
        ),
        (facts(("192.0.2.1", Fetched(problem="https_status", detail="answers 404"))), "answers 404: finish"),
        (facts(("192.0.2.1", Fetched(problem="https_timeout", detail="was slow"))), "'mta-sts check contoso.com' says"),
        (
            facts(("192.0.2.1", serving(_TESTING)), ("192.0.2.2", serving(_OTHER))),
            "serves different texts at 192.0.2.1 and 192.0.2.2",
        ),
    ],
)
def test_the_step_that_is_missing_is_named(found: Facts, said: str) -> None:
    assert said in said_of(found)


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
