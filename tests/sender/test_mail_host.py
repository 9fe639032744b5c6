"""One MX host is asked once in a run, however many domains name it, and again where it is busy."""

import asyncio
from collections.abc import Iterator

import pytest

from policy_store.sender.dns import MxHost, Resolver
from policy_store.sender.facts import MxFacts
from policy_store.sender.mail_host import ask_mail_host
from policy_store.sender.network import Network
from policy_store.sender.tls import strict_context
from tests.lab.situation import Situation, load
from tests.lab.world import World

_SITUATIONS = {each.name: each for each in load() if each.name in ("mx-masked-starttls", "mx-busy", "mx-busy-once")}


@pytest.fixture
def world() -> Iterator[World]:
    """The MX hosts with their addresses in DNS."""
    with World(_SITUATIONS.values()) as running:
        yield running


def ask(world: World, situation: Situation, times: int = 1) -> list[MxFacts]:
    """What domains find that all name the MX host of the situation, each with a preference of its own."""

    async def all_of_them() -> list[MxFacts]:
        network = Network(
            Resolver("127.0.0.1", world.dns_port),
            strict_context(str(world.ca_file)),
            "client.example",
            smtp_port=world.smtp_port,
            allow_private=True,
            retry_seconds=(0.1, 0.1),
        )
        host = situation.host_name("mx")
        return await asyncio.gather(*(ask_mail_host(MxHost(number, host), network) for number in range(times)))

    return asyncio.run(all_of_them())


def test_thirty_domains_with_one_host_are_one_connection(world: World) -> None:
    found = ask(world, _SITUATIONS["mx-masked-starttls"], 30)
    assert world.mx_hosts.asked["masked"] == 1
    assert {facts.results[0].outcome for facts in found} == {"no_starttls"}
    assert [facts.preference for facts in found] == list(range(30))


def test_a_busy_host_is_asked_again_and_not_for_ever(world: World) -> None:
    [busy] = ask(world, _SITUATIONS["mx-busy"])
    assert busy.results[0].outcome == "busy"
    assert world.mx_hosts.asked["busy"] == 3
    [once] = ask(world, _SITUATIONS["mx-busy-once"])
    assert once.results[0].outcome == "tls"
