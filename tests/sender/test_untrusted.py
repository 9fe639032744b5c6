"""Whatever strangers answer, in any octets: the checker reads it, and says so in plain text."""

import asyncio
import ssl
import typing
from contextlib import suppress
from dataclasses import replace
from datetime import UTC
from typing import Any

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from postfix_mta_sts_resolver.utils import parse_mta_sts_policy

from policy_store.policy import MODES
from policy_store.sender.dns import MxHost, MxRecords
from policy_store.sender.facts import EVERYBODY, Facts, Fetched, MxFacts, PolicyHost
from policy_store.sender.https import fetch
from policy_store.sender.published import TxtState
from policy_store.sender.reading import PostfixReading, postfix_reading
from policy_store.sender.report import report
from policy_store.sender.rules import RULES
from policy_store.sender.smtp import SmtpOutcome, SmtpResult, probe
from policy_store.sender.tls import TlsCode, TlsFailure, TlsSession, strict_context

_SECONDS = 20.0  # a generous limit, which no answer that ends comes near
_HOSTILE = "\x1b[2J\x1b]0;title\x07\x9b31m\r\x00\x7f\u202e"
_CA = trustme.CA()
_CONTEXT = strict_context()
_CA.configure_trust(_CONTEXT)
_STS = "v=STSv1; id=20261124000000Z;"

_values = st.sampled_from(
    ["STSv1", *MODES, "604800", "-1", "1_0", " 60", "\u0663", "31557601", "mx.a.example", "*", ""]
)
_names = st.sampled_from(["version", "mode", "mx", "max_age", "Mode", " mx", "mx ", "x"])
_lines = st.builds("{}:{}{}".format, _names, st.sampled_from(["", " ", "\t", "\x0b"]), _values | st.text(max_size=9))
_whole = st.just(["version: STSv1", "mode: enforce", "mx: mx.a.example", "max_age: 604800"])
_texts = st.builds(
    lambda start, more, end: end.join([*start, *more]),
    st.just([]) | _whole,
    st.lists(_lines | st.text(max_size=20), max_size=6),
    st.sampled_from(["\n", "\r\n", "\r", "\x0b", "\x85", "\u2028"]),
)


def _as_postfix_resolver_reads(text: str) -> PostfixReading | None:
    """What `STSResolver.resolve` makes of a text: its own parser, and then its checks, which it has no function for."""
    found = parse_mta_sts_policy(text)
    try:
        max_age = int(found.get("max_age", "-1"))
    except ValueError:
        return None
    mode = found.get("mode")
    if found.get("version") != "STSv1" or not 0 <= max_age <= 31557600 or mode not in MODES:
        return None
    return PostfixReading(mode, tuple(found["mx"])) if found["mx"] or mode == "none" else None


class TestTexts:
    @settings(max_examples=250)
    @given(_texts)
    def test_postfix_reading_is_that_of_the_real_resolver(self, text: str) -> None:
        assert postfix_reading(text.encode()) == _as_postfix_resolver_reads(text)

    @given(st.binary(max_size=200))
    def test_no_octets_are_too_strange(self, text: bytes) -> None:
        try:
            expected = _as_postfix_resolver_reads(text.decode())
        except UnicodeDecodeError:
            expected = None
        assert postfix_reading(text) == expected

    @given(_texts, st.text(max_size=20))
    def test_any_reading_can_be_asked_of_any_name(self, text: str, host: str) -> None:
        reading = postfix_reading(text.encode())
        assert reading is None or reading.matches(host) in (True, False)


_replies = st.lists(
    st.sampled_from([b"220 mx\r\n", b"250-mx\r\n", b"250 STARTTLS\r\n", b"250-STARTTLS\n", b"250\r\n", b"220\r\n"])
    | st.builds(b"%d%b%b\r\n".__mod__, st.tuples(st.integers(0, 9999), st.sampled_from([b" ", b"-", b""]), st.binary()))
    | st.binary(max_size=50),
    max_size=8,
)


class TestSmtp:
    @given(_replies)
    def test_any_octets_have_an_outcome(self, replies: list[bytes]) -> None:
        result = asyncio.run(_probe(b"".join(replies), b""))
        assert result.outcome in (
            "no_smtp",
            "no_starttls",
            "tls_failed",
            "starttls_refused",
            "no_ehlo",
            "refused",
            "busy",
        )
        assert _is_told(result)

    @given(st.binary(max_size=300))
    def test_any_octets_in_place_of_a_handshake_have_an_outcome(self, octets: bytes) -> None:
        result = asyncio.run(_probe(b"220 mx\r\n250-mx\r\n250 STARTTLS\r\n220 go ahead\r\n", octets))
        assert result.outcome == "tls_failed"
        assert _is_told(result)

    @pytest.mark.parametrize("host", ["\\000" * 63 + ".example", ".example", "a..b", "x" * 300, "\u202e.example"])
    def test_a_name_that_tls_cannot_ask_for_fails_as_a_certificate_for_another(self, host: str) -> None:
        result = asyncio.run(_probe(b"220 mx\r\n250-mx\r\n250 STARTTLS\r\n220 go ahead\r\n", b"", host))
        assert result.failure
        assert result.failure.result_type == "certificate-host-mismatch"
        assert _is_told(result)


def _is_told(result: SmtpResult) -> bool:
    return result.detail.isprintable() and (result.failure is None or result.failure.reason.isprintable())


async def _probe(plain: bytes, in_handshake: bytes, host: str = "mx.example") -> SmtpResult:
    """Probe a server that says `plain` at once, `in_handshake` after STARTTLS, and no more."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError):
            writer.write(plain)
            if in_handshake:
                await reader.readuntil(b"STARTTLS\r\n")
                writer.write(in_handshake)
            writer.write_eof()
            await reader.read()  # until the client goes
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        return await probe(host, "127.0.0.1", context=_CONTEXT, port=port, step_seconds=_SECONDS, helo="here.example")


_heads = st.builds(
    b"%b\r\n%b\r\n".__mod__,
    st.tuples(
        st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.0 200", b"HTTP/1.1 301 \x1b[2J", b"HTTP/1.1", b"\x00 200 OK"]),
        st.lists(
            st.sampled_from(
                [
                    b"Content-Type: text/plain\r\n",
                    b"Content-Type: text/plain; charset=\xff\x00\r\n",
                    b"Content-Type: \x1b[2J\r\n",
                    b"Content-Length: 10\r\n",
                    b"Content-Length: 99999999999999999999\r\n",
                    b"Content-Length: -0\r\n",
                    b"Transfer-Encoding: chunked\r\n",
                    b" folded\r\n",
                    b"no colon\r\n",
                    b": no name\r\n",
                ]
            )
            | st.binary(max_size=20),
            max_size=5,
        ).map(b"".join),
    ),
)
_bodies = st.lists(st.sampled_from([b"5\r\n", b"\r\n", b"0\r\n\r\n", b"-1\r\n"]) | st.binary(max_size=20)).map(b"".join)


_SERVER_SIDE = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
_CA.issue_cert("mta-sts.a.example").configure_cert(_SERVER_SIDE)


class TestHttps:
    @given(st.builds(bytes.__add__, _heads, _bodies) | st.binary(max_size=200))
    def test_any_octets_have_an_outcome(self, octets: bytes) -> None:
        fetched = asyncio.run(_fetch(octets))
        assert fetched.problem is None or (fetched.problem in RULES and fetched.detail.isprintable())
        assert fetched.problem not in ("https_unreachable", "https_timeout")


async def _fetch(octets: bytes) -> Fetched:
    """Fetch from a host that answers any request with `octets`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(octets)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=_SERVER_SIDE) as server:
        port = server.sockets[0].getsockname()[1]
        return await fetch("mta-sts.a.example", "127.0.0.1", _CONTEXT, port=port, seconds=_SECONDS)


# The edges themselves say what went wrong, in plain words; all the rest is as strangers wrote it.
_plain = st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=20)
_optional = st.none() | _plain
_times = st.datetimes(timezones=st.just(UTC))
_sessions = st.builds(TlsSession, st.sampled_from(["TLSv1.2", "TLSv1.3"]), _times, st.none() | _times, st.booleans())
_codes = [
    code
    for code in RULES
    if code.startswith("https_") and not code.startswith(("https_over", "https_certificate_ends"))
]
_fetch_codes: st.SearchStrategy[Any] = st.none() | st.sampled_from(_codes)
_fetched = st.builds(
    Fetched,
    _texts.map(str.encode) | st.binary(max_size=100),
    st.floats(0, 100),
    st.none() | _sessions,
    _fetch_codes,
    _plain,
    st.sets(st.sampled_from(sorted(EVERYBODY))).map(frozenset),
    st.sampled_from(["utf-8", "ascii", "utf-16"]),
)
_addresses = st.ip_addresses().map(str)
_hosts = st.sampled_from(["mx.a.example", "a.example", "mx.a.example.", ""]) | st.text(max_size=20)
_results = st.builds(
    SmtpResult,
    _addresses,
    st.sampled_from(typing.get_args(SmtpOutcome.__value__)),
    _plain,
    st.none() | _sessions,
    st.none()
    | st.builds(
        TlsFailure,
        st.sampled_from(
            ["certificate-host-mismatch", "certificate-expired", "certificate-not-trusted", "validation-failure"]
        ),
        _plain,
        st.sampled_from(typing.get_args(TlsCode.__value__)),
    ),
    st.booleans(),
)
_records = st.lists(
    st.sampled_from([_STS, "v=STSv1; id=;", "v=stsv1", "v=TLSRPTv1; rua=mailto:a@a.example"]) | st.text(max_size=30),
    max_size=3,
).map(tuple)
_facts = st.builds(
    Facts,
    st.just("a.example"),
    _times,
    st.builds(TxtState, _records, _optional),
    st.none() | st.text(max_size=20),
    st.builds(
        PolicyHost,
        st.lists(st.tuples(_addresses, _fetched), max_size=3).map(tuple),
        st.lists(_addresses, max_size=2).map(tuple),
        st.none() | st.text(max_size=20),
        _optional,
        st.booleans(),
    ),
    st.none()
    | st.builds(MxRecords, st.lists(st.builds(MxHost, st.integers(0, 9), _hosts)).map(tuple), null=st.booleans()),
    _plain,
    st.booleans(),
    st.booleans(),
    st.lists(
        st.builds(
            MxFacts,
            _hosts,
            st.integers(0, 9),
            st.lists(_results, max_size=3).map(tuple),
            st.lists(_addresses, max_size=2).map(tuple),
            st.booleans(),
            _optional,
            st.booleans(),
            st.none() | st.text(max_size=20),
            st.booleans(),
        ),
        max_size=3,
    ).map(tuple),
    st.none() | _records,
)


class TestReport:
    @settings(max_examples=150)
    @given(_facts)
    def test_any_facts_have_a_verdict_and_plain_findings(self, facts: Facts) -> None:
        check = report(facts)
        assert all(finding.message.isprintable() for finding in check.findings)
        own = "…"  # what the checker writes itself, and nobody else
        assert all(finding.message.replace(own, "").isascii() for finding in check.findings)

    @settings(max_examples=75)
    @given(_facts)
    def test_enforcing_is_never_taken_for_less_than_it_is(self, facts: Facts) -> None:
        """A policy that is enforced as published does the same if it is enforced."""
        check = report(facts)
        assert check.verdict not in ("verified", "deferred") or check.if_enforced == check.verdict

    @settings(max_examples=75)
    @given(_facts)
    def test_the_order_of_the_mx_hosts_changes_nothing(self, facts: Facts) -> None:
        other = report(replace(facts, mx=facts.mx[::-1]))
        check = report(facts)
        assert (other.verdict, other.if_enforced, other.mx[::-1]) == (check.verdict, check.if_enforced, check.mx)
