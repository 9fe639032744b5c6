"""The probe of one MX host, on every kind of host that the lab has."""

import asyncio

import pytest

from policy_store.sender.smtp import SmtpOutcome, SmtpResult, helo_name, probe
from policy_store.sender.tls import strict_context
from tests.lab.mx_hosts import KINDS
from tests.lab.world import World

_HOST = "mx.contoso.com"
_STEP_SECONDS = 3.0
_LONGEST = 6 * _STEP_SECONDS

_OUTCOMES: dict[str, tuple[SmtpOutcome, str]] = {
    "good": ("tls", ""),
    "slow": ("tls", ""),
    "ends_soon": ("tls", ""),
    "six_days": ("tls", ""),
    "six_days_ending": ("tls", ""),
    "lax_authority": ("tls", ""),
    "wildcard": ("tls", ""),
    "starttls_in_lines": ("tls", ""),
    "says_more_before_tls": ("tls", ""),
    "old_cipher": ("tls", ""),
    "ends_over_tls": ("tls_failed", "validation-failure"),
    "wants_a_certificate": ("tls_failed", "validation-failure"),
    "refuses_over_tls": ("refused", "over TLS it answers EHLO with '554 5.7.1 go away'"),
    "silent_over_tls": ("timeout", "EHLO over TLS"),
    "starttls_354": ("starttls_refused", "it answers STARTTLS with '354 go ahead'"),
    "starttls_rubbish": ("no_smtp", "STARTTLS"),
    "starttls_4540": ("no_smtp", "STARTTLS"),
    "ehlo_421": ("busy", "EHLO"),
    "ehlo_554": ("no_ehlo", "it answers EHLO with '554 5.7.1 not for you'"),
    "greets_300": ("refused", "greeting"),
    "other_name": ("tls_failed", "certificate-host-mismatch"),
    "partial_wildcard": ("tls_failed", "certificate-host-mismatch"),
    "common_name_only": ("tls_failed", "certificate-host-mismatch"),
    "expired": ("tls_failed", "certificate-expired"),
    "intermediate_expired": ("tls_failed", "certificate-expired"),
    "not_yet_valid": ("tls_failed", "certificate-expired"),
    "self_signed": ("tls_failed", "certificate-not-trusted"),
    "unknown_authority": ("tls_failed", "certificate-not-trusted"),
    "tls_1_1": ("tls_failed", "validation-failure"),
    "no_certificate": ("tls_failed", "validation-failure"),
    "no_tls_in_handshake": ("tls_failed", "validation-failure"),
    "cut_in_handshake": ("tls_failed", "validation-failure"),
    "reset_in_handshake": ("tls_failed", "validation-failure"),
    "no_starttls": ("no_starttls", "does not offer STARTTLS"),
    "masked": ("no_starttls", "does not offer STARTTLS"),
    "offered_in_greeting_alone": ("no_starttls", "does not offer STARTTLS"),
    "greets_late": ("no_starttls", "does not offer STARTTLS"),
    "starttls_454": ("starttls_refused", "it answers STARTTLS with '454 4.7.0 TLS not available due to local problem'"),
    "starttls_502": ("starttls_refused", "it answers STARTTLS with '502 5.5.1 Command not implemented'"),
    "starttls_530": ("starttls_refused", "it answers STARTTLS with '530 5.7.0 not for you'"),
    "ehlo_500": ("no_ehlo", "it answers EHLO with '500 5.5.2 unrecognized command'"),
    "ehlo_550": ("refused", "it answers EHLO with '550 5.7.1 go away' and HELO with '550 5.7.1 go away'"),
    "ehlo_450": ("refused", "it answers EHLO with '450 4.7.1 not now' and HELO with '450 4.7.1 not now'"),
    "refusing": ("refused", "greeting"),
    "greets_450": ("refused", "greeting"),
    "starttls_421": ("busy", "STARTTLS"),
    "busy": ("busy", "greeting"),
    "busy_once": ("busy", "greeting"),
    "nobody": ("unreachable", "connect"),
    "no_connection": ("unreachable", "connect"),
    "silent": ("timeout", "greeting"),
    "silent_at_ehlo": ("timeout", "EHLO"),
    "silent_in_handshake": ("timeout", "TLS handshake"),
    "greets_too_late": ("timeout", "greeting"),
    "ends_at_once": ("no_smtp", "greeting"),
    "rubbish": ("no_smtp", "greeting"),
    "endless": ("no_smtp", "greeting"),
    "cut": ("no_smtp", "EHLO"),
}
"""Kind -> the outcome, and the result type of the failure or the step that was the last one."""


@pytest.fixture(scope="module")
def results() -> dict[str, SmtpResult]:
    """Kind -> what the probe makes of such a host; all are asked at once."""
    with World([]) as world:
        return asyncio.run(_ask_all(world))


async def _ask_all(world: World) -> dict[str, SmtpResult]:
    """The results, each of which must come soon."""
    context = strict_context(str(world.ca_file))

    async def ask(address: str) -> SmtpResult:
        return await probe(
            _HOST, address, context=context, port=world.smtp_port, step_seconds=_STEP_SECONDS, helo="client.example"
        )

    addresses = [world.mx_hosts.addresses[kind] for kind in KINDS]
    async with asyncio.timeout(_LONGEST):
        return dict(zip(KINDS, await asyncio.gather(*map(ask, addresses)), strict=True))


def test_every_kind_of_host_has_its_outcome() -> None:
    assert set(_OUTCOMES) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_an_outcome_says_how_far_a_sender_gets(results: dict[str, SmtpResult], kind: str) -> None:
    result = results[kind]
    outcome, more = _OUTCOMES[kind]
    assert result.outcome == outcome
    assert (result.failure.result_type if result.failure else result.detail.partition(":")[0]) == more


def test_a_session_says_what_was_agreed_on(results: dict[str, SmtpResult]) -> None:
    good, ends_soon = results["good"].session, results["ends_soon"].session
    assert good is not None
    assert ends_soon is not None
    assert good.version == "TLSv1.3"
    assert good.not_after > ends_soon.not_after


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("BÜRO-PC", "xn--bro-pc-3ya"),
        ("mail.contoso.com", "mail.contoso.com"),
        ("Kunden_Müller", "mta-sts.invalid"),
        ("", "mta-sts.invalid"),
        ("x" * 300, "mta-sts.invalid"),
    ],
)
def test_the_name_of_this_machine_is_no_fault_of_the_host(name: str, said: str) -> None:
    assert helo_name(name) == said


@pytest.mark.parametrize(
    ("kind", "code"), [("expired", "certificate_expired"), ("intermediate_expired", "chain_expired")]
)
def test_which_certificate_of_the_chain_is_out_of_date_is_said(
    results: dict[str, SmtpResult], kind: str, code: str
) -> None:
    failure = results[kind].failure
    assert failure is not None
    assert failure.code == code
    assert "ended on " in failure.reason


def test_what_a_host_says_is_shown_without_its_control_characters(
    results: dict[str, SmtpResult],
) -> None:
    assert results["rubbish"].detail.isprintable()
