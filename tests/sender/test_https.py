"""The fetch of a policy, against policy hosts that behave and others that do not."""

import asyncio
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from policy_store.policy import LARGEST_TEXT
from policy_store.sender.dns import Resolver
from policy_store.sender.network import Network
from policy_store.sender.policy_host import FetchFailed, fetch_policy
from policy_store.sender.tls import strict_context
from tests.dns_server import DnsServer
from tests.loopback import LoopbackServer, silent
from tests.policy_host import http_answer, policy_hosts

_TEXT = b"version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n"
_RECORDS: dict[str, dict[str, Any]] = {
    "mta-sts.contoso.com": {"A": ["127.0.0.1"]},
    "mta-sts.fabrikam.com": {"A": ["127.0.0.1"]},
    "mta-sts.second.example": {"A": ["127.0.0.9", "127.0.0.1"]},
    "mta-sts.fails.example": {"SERVFAIL": []},
}
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"


@pytest.fixture(scope="module")
def resolver() -> Iterator[Resolver]:
    with DnsServer(_RECORDS) as server:
        yield Resolver("127.0.0.1", server.port)


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def context(ca: trustme.CA) -> ssl.SSLContext:
    context = strict_context()
    ca.configure_trust(context)
    return context


def network(resolver: Resolver, context: ssl.SSLContext, port: int, seconds: float = 10) -> Network:
    """How to ask the hosts of these tests."""
    return Network(resolver, context, "here.example", https_port=port, https_seconds=seconds, allow_private=True)


class Fetch:
    """Fetches the policy of contoso.com from a host that answers with the octets given."""

    def __init__(self, ca: trustme.CA, resolver: Resolver, context: ssl.SSLContext) -> None:
        self._ca, self._resolver, self._context = ca, resolver, context

    def __call__(self, octets: bytes, domain: str = "contoso.com") -> bytes:
        host = f"mta-sts.{domain}"
        behaviour = policy_hosts({host: octets}, self._ca, ["mta-sts.contoso.com", "mta-sts.second.example"])
        with LoopbackServer(behaviour) as server:
            return asyncio.run(fetch_policy(domain, network(self._resolver, self._context, server.port)))


@pytest.fixture
def fetch(ca: trustme.CA, resolver: Resolver, context: ssl.SSLContext) -> Fetch:
    return Fetch(ca, resolver, context)


@pytest.mark.parametrize(
    "octets",
    [
        http_answer(_TEXT),
        _HEAD + b"\r\n" + _TEXT,
        _HEAD
        + b"Transfer-Encoding: chunked\r\n\r\n9\r\nversion: \r\n%x;x=y\r\n%s\r\n0\r\n\r\n"
        % (len(_TEXT) - 9, _TEXT[9:]),
        b"HTTP/1.0 200 Fine\r\ncontent-type: TEXT/plain\r\nCONTENT-LENGTH: %d\r\n\r\n%s" % (len(_TEXT), _TEXT),
        http_answer(_TEXT) + b"more",
    ],
    ids=["length", "until it closes", "chunks", "HTTP/1.0", "octets after the body"],
)
def test_the_body_of_a_200_is_the_text(fetch: Fetch, octets: bytes) -> None:
    assert fetch(octets) == _TEXT


def test_the_largest_text_is_taken(fetch: Fetch) -> None:
    assert len(fetch(http_answer(b"x" * LARGEST_TEXT))) == LARGEST_TEXT


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (http_answer(b"", "301 Moved Permanently", "Location: https://contoso.com/"), r"redirects \(301\)"),
        (http_answer(_TEXT, "201 Created"), "answers 201"),
        (http_answer(_TEXT, "404 Not Found"), "answers 404"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + _TEXT, "content type"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + _TEXT,
            "'text/html' in place of the content type text/plain",
        ),
        (http_answer(b"x" * (LARGEST_TEXT + 1)), "serves more than the 65536 bytes"),
        (_HEAD + b"\r\n" + b"x" * (LARGEST_TEXT + 1), "serves more than the 65536 bytes"),
        (_HEAD + b"Transfer-Encoding: chunked\r\n\r\n10001\r\n" + b"x" * 65537, "serves more than the 65536 bytes"),
        (_HEAD + b"Content-Length: 9\r\n\r\n", "ends its answer too early"),
        (_HEAD + b"Content-Length: nine\r\n\r\n", "does not speak HTTP"),
        (_HEAD + b"Content-Length: -1\r\n\r\n", "does not speak HTTP"),
        (_HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n", "does not speak HTTP"),
        (_HEAD + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", "does not speak HTTP"),
        (_HEAD, "ends its answer too early"),
        (b"\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 \x1b[2J\r\n\r\n", r"answers \\x1b\[2J in place"),
        (b"x" * 100_000, "sends a head of more than 32768 bytes"),
        (_HEAD + b"A: b\r\n" * 200 + b"\r\n", "does not speak HTTP"),
    ],
)
def test_anything_else_is_no_text(fetch: Fetch, octets: bytes, reason: str) -> None:
    with pytest.raises(FetchFailed, match=reason) as caught:
        fetch(octets)
    assert str(caught.value).isprintable()


def test_the_next_address_is_tried_where_one_takes_no_connection(fetch: Fetch) -> None:
    assert fetch(http_answer(_TEXT), "second.example") == _TEXT


def test_a_certificate_for_another_name_is_refused(fetch: Fetch) -> None:
    with pytest.raises(
        FetchFailed, match=r"^mta-sts\.fabrikam\.com fails in TLS: the certificate is for mta-sts.contoso.com, "
    ):
        fetch(http_answer(_TEXT), "fabrikam.com")


def test_a_certificate_of_an_unknown_authority_is_refused(ca: trustme.CA, resolver: Resolver) -> None:
    fetch = Fetch(ca, resolver, strict_context())
    with pytest.raises(FetchFailed, match="fails in TLS: "):
        fetch(http_answer(_TEXT))


def test_a_host_that_cannot_be_found_or_reached_is_named(resolver: Resolver, context: ssl.SSLContext) -> None:
    with LoopbackServer(silent) as server:
        port = server.port
    for domain, reason in [
        ("gone.example", r"^mta-sts\.gone\.example has no address$"),
        ("fails.example", "the server answers SERVFAIL"),
        ("contoso.com", "cannot be reached: "),
    ]:
        with pytest.raises(FetchFailed, match=reason):
            asyncio.run(fetch_policy(domain, network(resolver, context, port)))


@pytest.mark.parametrize("octets", [None, _HEAD + b"Content-Length: 100000\r\n"], ids=["before TLS", "after it"])
def test_a_host_that_says_nothing_costs_the_time_limit(
    ca: trustme.CA, resolver: Resolver, context: ssl.SSLContext, octets: bytes | None
) -> None:
    behaviour = silent if octets is None else policy_hosts({}, ca, ["mta-sts.contoso.com"])
    with (
        LoopbackServer(behaviour) as server,
        pytest.raises(FetchFailed, match=r"gave no answer within 0\.3 s"),
    ):
        asyncio.run(fetch_policy("contoso.com", network(resolver, context, server.port, seconds=0.3)))
