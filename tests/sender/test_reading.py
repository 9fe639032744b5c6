"""How senders read a policy text: strictly, and as Postfix does."""

import pytest

from policy_store.sender.reading import (
    has_policy_id,
    lax_reading,
    lax_takes,
    postfix_reading,
    postfix_takes,
    strict_reading,
)

_HOST = "mx.contoso.com"


def text(*lines: str, mode: str = "enforce", mx: str = "mx.contoso.com") -> bytes:
    """A policy with `lines` after its own."""
    fields = ["version: STSv1", f"mode: {mode}", f"mx: {mx}", "max_age: 604800", *lines]
    return "".join(f"{line}\r\n" for line in fields).encode()


@pytest.mark.parametrize(
    ("octets", "strict", "postfix"),
    [
        pytest.param(text(), True, True, id="good"),
        pytest.param(text(mx="MX.contoso.com"), True, True, id="upper case"),
        pytest.param(text(mx="*.contoso.com"), True, True, id="wildcard"),
        pytest.param(text(mx="mail.contoso.com"), False, False, id="another host"),
        pytest.param(text(mx="*.com"), False, True, id="wildcard over two labels"),
        pytest.param(text(mx="mx.contoso.com."), None, False, id="trailing dot"),
        pytest.param(text(mx="*"), None, False, id="asterisk"),
        pytest.param(text("mx: *"), None, True, id="asterisk beside the host"),
        pytest.param(text("mx:"), None, True, id="nothing beside the host"),
        pytest.param(text(mx=""), None, False, id="nothing"),
        pytest.param(text(mx="mx.contoso.com:25"), None, True, id="port"),
        pytest.param(text("mx: 192.0.2.1"), None, False, id="IPv4 beside the host"),
        pytest.param(text("mx: *192.0.2.1"), None, False, id="IPv4 after an asterisk"),
        pytest.param(text("mx: 192.0.2.256"), None, True, id="nearly IPv4"),
        pytest.param(text("mx: 2001:db8::1"), None, True, id="IPv6 beside the host"),
        pytest.param(text("mx: a.contoso.com, b.contoso.com"), None, False, id="two names in a line"),
        pytest.param(text("mx: a.contoso.com,b.contoso.com"), None, False, id="comma"),
        pytest.param(text("mx: a.contoso.com # backup"), None, False, id="comment in a line"),
        pytest.param(text("mx: a.contoso.com\tb.contoso.com"), None, False, id="tab"),
        pytest.param(text("mx: mx.bücher.example"), None, True, id="U-label beside the host"),
        pytest.param(text(""), None, True, id="blank line"),
        pytest.param(text("# ours"), None, True, id="comment"),
        pytest.param(b"\xef\xbb\xbf" + text(), None, None, id="byte order mark"),
        pytest.param(text(mode="Enforce"), None, None, id="mode in upper case"),
        pytest.param(text("x: \xff").replace(b"\xc3\xbf", b"\xff"), None, None, id="not UTF-8"),
        pytest.param(text("x: " + "x" * 65536), None, None, id="over 64 KiB"),
        pytest.param(text("max_age: never"), True, None, id="second max_age is none"),
    ],
)
def test_a_text_allows_a_host_forbids_it_or_is_no_policy(
    octets: bytes, strict: bool | None, postfix: bool | None
) -> None:
    readings = strict_reading(octets), postfix_reading(octets)
    assert tuple(reading and reading.matches(_HOST) for reading in readings) == (strict, postfix)


def test_of_two_modes_the_rfc_takes_the_first_and_postfix_the_last() -> None:
    octets = text("mode: none")
    readings = strict_reading(octets), postfix_reading(octets)
    assert [reading and reading.mode for reading in readings] == ["enforce", "none"]


@pytest.mark.parametrize(
    ("records", "rfc", "postfix", "mailauth"),
    [
        (["v=STSv1; id=1;"], True, True, True),
        (["v=STSv1;id=1", "v=spf1 -all"], True, True, True),
        (["v=STSv1; id=2024-12-09;"], False, True, True),
        (["v=STSv1; id=1;;"], False, True, True),
        (["v=STSv1; id=1; id=2;"], False, True, True),
        (["v=STSv1; id=1; note=our mail"], False, True, True),
        (["v=STSv1 ; id=1;"], False, True, True),
        (["v=STSv1; id=;"], False, True, False),
        (["v=STSv1; ID=1;"], False, False, True),
        (["v=stsv1; id=1;"], False, False, True),
        ([" v=STSv1; id=1;"], False, False, True),
        (["v=STSv1; id=\xfc;"], False, False, True),
        (["v=STSv1; id=1;", "v=STSv1; id=1;"], False, False, False),
        (["v=STSv1; id=1;", "v=STSv10; id=2;"], True, False, True),
        (["v=STSv1;"], False, False, False),
        ([], False, False, False),
    ],
)
def test_a_record_is_taken_by_some_and_refused_by_others(
    records: list[str], rfc: bool, postfix: bool, mailauth: bool
) -> None:
    assert (has_policy_id(records), postfix_takes(records), lax_takes(records)) == (rfc, postfix, mailauth)


@pytest.mark.parametrize(
    ("octets", "mode"),
    [
        (text(), "enforce"),
        (text(mode="Enforce"), "enforce"),
        (text().replace(b"mode", b" MODE "), "enforce"),
        (text("mode: none"), "enforce"),
        (b"\xef\xbb\xbf" + text(), "enforce"),
        (text().replace(b"604800", b"6e5"), "enforce"),
        (text().replace(b"604800", b""), "enforce"),
        (text().replace(b"604800", b"-1"), None),
        (text().replace(b"604800", b"1 week"), None),
        (text().replace(b"STSv1", b"stsv1"), None),
        (b"<!doctype html>", None),
    ],
)
def test_mailauth_forgives_much(octets: bytes, mode: str | None) -> None:
    reading = lax_reading(octets)
    assert (reading and reading.mode) == mode


def test_postfix_reads_a_text_by_the_charset_of_its_type() -> None:
    assert postfix_reading(text("x: ü"), "utf-8")
    assert postfix_reading(text("x: ü"), "iso-8859-1")
    assert not postfix_reading(text("x: ü"), "ascii")
    assert not postfix_reading(text(), "utf-16")
