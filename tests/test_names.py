"""Domain names, and the way from a Host header to a policy domain."""

import re
import unicodedata
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policy_store.names import (
    InvalidName,
    host_name,
    invisible_in,
    mail_domain,
    policy_domain,
    policy_host,
    quoted,
    read_domain,
    read_name,
    trimmed,
)
from tests.conftest import load_cases
from tests.strategies import domains, host_names

# Characters in PartitionKey and RowKey:
# https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
_FORBIDDEN_IN_KEYS = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f]")

# DerivedCoreProperties.txt of Unicode 16, Default_Ignorable_Code_Point.
_IGNORABLE = (
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
_INVISIBLE = tuple(
    chr(code)
    for code in range(0x80, 0x110000)
    if unicodedata.category(chr(code)) == "Cf" or any(first <= code <= last for first, last in _IGNORABLE)
)

_near_hosts = st.builds(
    lambda prefix, name, port: prefix + name + port,
    st.sampled_from(["mta-sts.", "MTA-STS.", "mta-sts。", ""]),
    st.text(max_size=80) | st.text("aZ0-._*:/\\%@[]\0 ü\u00ad\u212a。", max_size=300) | host_names,
    st.sampled_from(["", ".", ":443", ".:443", "::", " "]),
)


class TestPolicyDomain:
    @pytest.mark.parametrize("case", load_cases("host_headers.json"))
    def test_host_headers(self, case: dict[str, Any]) -> None:
        """Each Host header of the table asks for the domain beside it, or for none."""
        assert policy_domain(case["host"]) == case["domain"]

    @given(st.text() | _near_hosts)
    @example("mta-sts.\u212aontoso.com")
    def test_result_is_a_safe_key(self, host: str) -> None:
        """Whatever the header holds, the result is None or a host name in its one form and a key of Table Storage."""
        domain = policy_domain(host)
        if domain is not None:
            assert host_name(domain) == domain
            assert not _FORBIDDEN_IN_KEYS.search(domain)
            assert len(policy_host(domain)) <= 253

    @given(domains, st.sampled_from(["", ".", ":443", ".:8443"]))
    def test_inverts_policy_host(self, domain: str, suffix: str) -> None:
        """The policy host of a domain asks for that domain, in any letter case, with a port or a trailing dot."""
        assert policy_domain(policy_host(domain).upper() + suffix) == domain


class TestHostName:
    @given(host_names)
    def test_lower_case(self, name: str) -> None:
        """A host name in any letter case comes out in lower case."""
        assert host_name(name.upper()) == name

    @pytest.mark.parametrize(
        ("text", "remedy"),
        [
            ("", "is missing"),
            ("contoso.com.", "leave the dot out"),
            ("contoso..com", "a dot too many"),
            (".contoso.com", "a dot too many"),
            ("münchen.example", "write internationalised names as A-labels"),
            ("\u212aontoso.com", "write internationalised names as A-labels"),
            ("a_b.contoso.com", "labels have letters, digits and inner hyphens"),
            ("-a.contoso.com", "labels have letters, digits and inner hyphens"),
            ("192.0.2.1", "a host name is needed"),
            ("a" * 64 + ".com", "63 are allowed"),
            ("a." * 126 + "com", "at most 253"),
        ],
    )
    def test_names_the_remedy(self, text: str, remedy: str) -> None:
        """A text that is no host name is refused with a sentence that says what is allowed."""
        with pytest.raises(InvalidName, match=re.escape(remedy)):
            host_name(text)


class TestReadName:
    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ("  contoso.com\n", "contoso.com"),
            ("Contoso.COM.", "contoso.com"),
            ("MÜNCHEN.example", "xn--mnchen-3ya.example"),
            ("straße.example", "xn--strae-oqa.example"),
            ("日本語。example", "xn--wgv71a119e.example"),
        ],
    )
    def test_forgives_what_has_one_meaning(self, text: str, name: str) -> None:
        """White space around a name, letter case, one trailing dot and U-labels are forgiven."""
        assert read_name(text) == name

    @pytest.mark.parametrize(
        "text", ["contoso.com..", ".", "", "a b.example", "a" + "\u00ad" * 254 + "a", "🦄_.example"]
    )
    def test_refuses_the_rest(self, text: str) -> None:
        """What is no name, or only a part of one, is refused."""
        with pytest.raises(InvalidName):
            read_name(text)

    @given(st.text())
    def test_raises_nothing_else(self, text: str) -> None:
        """Any text is a name in its one form, or an InvalidName."""
        try:
            name = read_name(text)
        except InvalidName:
            return
        assert read_name(name) == host_name(name) == name


class TestDomains:
    @pytest.mark.parametrize("text", ["contoso", "com", "k12", " localhost. ", "*"])
    def test_a_domain_of_one_label_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidName):
            read_domain(text)

    @pytest.mark.parametrize(
        ("text", "domain"),
        [
            ("mta-sts.contoso.com", "contoso.com"),
            ("MTA-STS.Contoso.com.", "contoso.com"),
            ("contoso.com", "contoso.com"),
            ("mta-sts.com", "mta-sts.com"),
            ("mta-sts-lab.com", "mta-sts-lab.com"),
        ],
    )
    def test_the_policy_host_stands_for_its_domain(self, text: str, domain: str) -> None:
        assert mail_domain(text) == domain


class TestInvisible:
    """Every character that cannot be seen, by Unicode's own property and category."""

    def test_each_is_named(self) -> None:
        for character in _INVISIBLE:
            assert invisible_in(f"mx1{character}mx2") == f"U+{ord(character):04X}"

    def test_each_is_forgiven_at_both_ends_and_refused_inside(self) -> None:
        for character in _INVISIBLE:
            assert read_name(f" {character}\t{character}contoso.com{character} ") == "contoso.com"
            with pytest.raises(InvalidName, match=re.escape(f"U+{ord(character):04X}")):
                read_name(f"mx1.contoso.com{character}mx2.contoso.com")

    def test_none_is_left_where_a_text_is_trimmed(self) -> None:
        ends = "".join(_INVISIBLE)
        assert trimmed(f"{ends} x {ends}") == "x"

    @given(st.text())
    def test_what_can_be_seen_stays(self, text: str) -> None:
        assert trimmed(text) in text
        assert text.strip() == trimmed(text) or invisible_in(text)

    @pytest.mark.parametrize("text", ["contoso.com", "m\u00fcnchen.example", "\u2764.example", "\u2800"])
    def test_what_leaves_a_mark_is_not_one(self, text: str) -> None:
        assert invisible_in(text) is None


class TestQuoted:
    @given(st.text())
    def test_fits_a_log_line(self, text: str) -> None:
        """The result is printable ASCII without a line end, whatever goes in, and of bounded length."""
        result = quoted(text)
        assert result.isascii()
        assert not any(unicodedata.category(character).startswith("C") for character in result)
        assert len(result) < 900
