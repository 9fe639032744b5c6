"""The probe of one MX host, on every kind of host that the lab has."""

import asyncio
from collections.abc import Iterator

import pytest

from policy_store.sender.smtp import SmtpOutcome, SmtpResult, probe
from policy_store.sender.tls import strict_context
from tests.lab.mx_hosts import KINDS
from tests.lab.world import World

_HOST = "mx.contoso.com"
_STEP_SECONDS = 1.0
_LONGEST = 6 * _STEP_SECONDS

_OUTCOMES: dict[str, tuple[SmtpOutcome, str]] = {
    "good": ("tls", ""),
    "slow": ("tls", ""),
    "ends_soon": ("tls", ""),
    "other_name": ("tls_failed", "certificate-host-mismatch"),
    "common_name_only": ("tls_failed", "certificate-host-mismatch"),
    "expired": ("tls_failed", "certificate-expired"),
    "self_signed": ("tls_failed", "certificate-not-trusted"),
    "unknown_authority": ("tls_failed", "certificate-not-trusted"),
    "tls_1_1": ("tls_failed", "validation-failure"),
    "no_tls_in_handshake": ("tls_failed", "validation-failure"),
    "no_starttls": ("no_starttls", ""),
    "nobody": ("unreachable", "connect"),
    "no_connection": ("unreachable", "connect"),
    "silent": ("timeout", "greeting"),
    "silent_at_ehlo": ("timeout", "EHLO"),
    "silent_in_handshake": ("timeout", "TLS handshake"),
    "refusing": ("no_smtp", "greeting"),
    "rubbish": ("no_smtp", "greeting"),
    "endless": ("no_smtp", "greeting"),
    "cut": ("no_smtp", "EHLO"),
    "cut_in_handshake": ("no_smtp", "TLS handshake"),
}
"""Kind -> the outcome, and the result type of the failure or the step that was the last one."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The MX hosts alone."""
    with World([]) as running:
        yield running


def ask(world: World, kind: str) -> SmtpResult:
    """The result for one kind of host, which must come soon."""

    async def soon() -> SmtpResult:
        async with asyncio.timeout(_LONGEST):
            return await probe(
                _HOST,
                world.mx_hosts.addresses[kind],
                context=strict_context(str(world.ca_file)),
                port=world.smtp_port,
                step_seconds=_STEP_SECONDS,
                helo="client.example",
            )

    return asyncio.run(soon())


def test_every_kind_of_host_has_its_outcome() -> None:
    assert set(_OUTCOMES) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_an_outcome_says_how_far_a_sender_gets(world: World, kind: str) -> None:
    result = ask(world, kind)
    outcome, more = _OUTCOMES[kind]
    assert (result.address, result.outcome) == (world.mx_hosts.addresses[kind], outcome)
    assert (result.failure.result_type if result.failure else result.detail.partition(":")[0]) == more


def test_a_session_says_what_was_agreed_on(world: World) -> None:
    good, ends_soon = ask(world, "good").session, ask(world, "ends_soon").session
    assert good is not None
    assert ends_soon is not None
    assert good.version == "TLSv1.3"
    assert good.not_after > ends_soon.not_after


def test_what_a_host_says_is_shown_without_its_control_characters(world: World) -> None:
    assert ask(world, "rubbish").detail.isprintable()
