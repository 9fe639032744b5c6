"""How senders read a policy text: strictly, and as Postfix does."""

import pytest

from policy_store.sender.reading import postfix_reading, strict_reading

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
        pytest.param(text("mx: *"), None, False, id="asterisk beside the host"),
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
