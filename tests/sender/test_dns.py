"""What the resolver makes of the answers of a real DNS server."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from policy_store.sender.dns import LookupFailed, MxHost, MxRecords, Resolver, sts_state
from policy_store.sender.published import TxtState
from tests.dns_server import DnsServer

_RECORDS: dict[str, dict[str, Any]] = {
    "contoso.com": {"MX": ["20 mx2.contoso.com", "10 MX1.Contoso.COM", "10 mx0.contoso.com"], "TXT": ["v=spf1 -all"]},
    "null.example": {"MX": ["0 ."]},
    "_mta-sts.contoso.com": {"TXT": [["v=STSv1; ", "id=1", ";"], "caf\u00e9"]},
    "_mta-sts.fabrikam.com": {"CNAME": ["_mta-sts.provider.example"]},
    "_mta-sts.provider.example": {"TXT": ["v=STSv1; id=2;"]},
    "mta-sts.contoso.com": {"A": ["127.0.0.1", "127.0.0.2"], "AAAA": ["::1"]},
    "fails.example": {"SERVFAIL": []},
    "_mta-sts.fails.example": {"SERVFAIL": []},
}


@pytest.fixture(scope="module")
def resolver() -> Iterator[Resolver]:
    with DnsServer(_RECORDS) as server:
        yield Resolver("127.0.0.1", server.port)


class TestMx:
    def test_hosts_come_most_preferred_first_in_lower_case_without_the_final_dot(self, resolver: Resolver) -> None:
        assert asyncio.run(resolver.mx("contoso.com")) == MxRecords(
            (MxHost(10, "mx0.contoso.com"), MxHost(10, "mx1.contoso.com"), MxHost(20, "mx2.contoso.com"))
        )

    def test_a_null_mx_is_told_from_none(self, resolver: Resolver) -> None:
        assert asyncio.run(resolver.mx("null.example")) == MxRecords(null=True)
        assert asyncio.run(resolver.mx("mta-sts.contoso.com")) == MxRecords()
        assert asyncio.run(resolver.mx("gone.example")) == MxRecords()

    def test_a_server_that_fails_is_no_answer(self, resolver: Resolver) -> None:
        with pytest.raises(LookupFailed, match=r"^MX of fails\.example: the server answers SERVFAIL$"):
            asyncio.run(resolver.mx("fails.example"))


class TestTxt:
    def test_strings_are_joined_and_octets_kept(self, resolver: Resolver) -> None:
        assert asyncio.run(resolver.txt("_mta-sts.contoso.com")) == ("v=STSv1; id=1;", "caf\u00c3\u00a9")

    def test_a_cname_is_followed_and_can_be_seen(self, resolver: Resolver) -> None:
        assert asyncio.run(resolver.txt("_mta-sts.fabrikam.com")) == ("v=STSv1; id=2;",)
        assert asyncio.run(resolver.cname("_mta-sts.fabrikam.com")) == "_mta-sts.provider.example"
        assert asyncio.run(resolver.cname("_mta-sts.contoso.com")) is None

    def test_a_name_longer_than_dns_allows_does_not_exist(self, resolver: Resolver) -> None:
        assert asyncio.run(sts_state(resolver, ".".join(["a" * 61] * 4))) == TxtState()


class TestAddresses:
    def test_ipv4_comes_before_ipv6(self, resolver: Resolver) -> None:
        assert asyncio.run(resolver.addresses("mta-sts.contoso.com")) == ("127.0.0.1", "127.0.0.2", "::1")

    def test_a_name_without_any_has_none(self, resolver: Resolver) -> None:
        assert asyncio.run(resolver.addresses("mta-sts.gone.example")) == ()


class TestStsState:
    def test_a_failed_lookup_is_part_of_the_state(self, resolver: Resolver) -> None:
        state = asyncio.run(sts_state(resolver, "fails.example"))
        assert state == TxtState(error="TXT of _mta-sts.fails.example: the server answers SERVFAIL")

    def test_a_silent_server_costs_the_timeout_and_no_more(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            state = asyncio.run(sts_state(Resolver("127.0.0.1", silent.getsockname()[1], timeout=0.3), "contoso.com"))
        assert state == TxtState(error="TXT of _mta-sts.contoso.com: no answer in time")

    def test_one_resolver_serves_many_event_loops(self, resolver: Resolver) -> None:
        assert {asyncio.run(sts_state(resolver, "fabrikam.com")).records for _ in range(3)} == {("v=STSv1; id=2;",)}
