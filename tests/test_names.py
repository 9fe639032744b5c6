"""Domain names, and the way from a Host header to a policy domain."""

import re
import unicodedata
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policy_store.names import InvalidName, host_name, policy_domain, policy_host, quoted, read_name
from tests.conftest import load_cases
from tests.strategies import host_names

# Characters in PartitionKey and RowKey:
# https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
_FORBIDDEN_IN_KEYS = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f]")

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

    @given(host_names, st.sampled_from(["", ".", ":443", ".:8443"]))
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
            ("a_b.contoso.com", "labels hold letters, digits and inner hyphens"),
            ("-a.contoso.com", "labels hold letters, digits and inner hyphens"),
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

    @pytest.mark.parametrize("text", ["contoso.com..", ".", "", "a b.example", "\u00ad" * 254 + "a", "🦄_.example"])
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


class TestQuoted:
    @given(st.text())
    def test_fits_a_log_line(self, text: str) -> None:
        """The result is printable ASCII without a line end, whatever goes in, and of bounded length."""
        result = quoted(text)
        assert result.isascii()
        assert not any(unicodedata.category(character).startswith("C") for character in result)
        assert len(result) < 900
