"""What the checker and three real senders make of the lab's policies, side by side: writes docs/agreement.md
(`python -m tests.lab.agreement`).
"""

import asyncio
import json
import os
import re
import ssl
import subprocess
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from policy_store.pool import Turns
from policy_store.sender.dns import Resolver, sts_state
from policy_store.sender.facts import Facts
from policy_store.sender.network import Network
from policy_store.sender.policy_host import ask_policy_host
from policy_store.sender.reading import Reading
from policy_store.sender.tls import strict_context
from policy_store.sender.verdict import readings_of
from tests.end_to_end.senders.asking import RUNNERS
from tests.end_to_end.senders.front import ConnectProxy
from tests.lab import postfix
from tests.lab.situation import PolicyHost, Situation, load
from tests.lab.world import World

PAGE = Path(__file__).parents[2] / "docs" / "agreement.md"
REFUSED = "none found"
POSTFIX = "postfix-mta-sts-resolver"

_WHY = Path(__file__).with_name("agreement.toml")
_TIMEOUT = 300
_WITHOUT_END = ("dripping", "endless", "silent")  # no sender but by its own limit would come back from these
_NAMES = ("_mta-sts", "mta-sts")
_OPENING = """# Agreement with senders and checkers

For developers. What `mta-sts check` says of the domains in the test network of this project, compared with what real
senders do. Each sender was run with its own code against the same servers.

# The policy

Postfix uses postfix-mta-sts-resolver. checkdmarc is a checker. ZoneMTA uses mailauth, here in its strict mode. A cell
shows the mode of the policy that was found. If checkdmarc or mailauth warns of a policy, it counts as not found.

`check` reads every record, answer and policy in two ways: strictly by RFC 8461, and as Postfix does. Its verdict is the
worse of the two. It also counts if a forgiving sender, such as mailauth in its usual mode, would hold back mail. An
asterisk marks a difference: postfix-mta-sts-resolver is compared with the reading for Postfix, the others with the
strict one.

Two kinds of situations are left out: those that differ only in their MX hosts, because these three senders do not look
at them, and hosts that never end their answer.
"""

_MAIL = """
# A message

What Debian's Postfix {version} did with a message to each domain, with the policies that postfix-mta-sts-resolver
returned, and the verdict of `check`. `sent` may be at the second attempt. If Postfix deferred or bounced a message,
`check` says `deferred`, or `unknown` for what it could not see: no connection, silence, a 421, DNS that does not
answer. If Postfix sent a message and `check` says `deferred`, another sender holds it back: one that reads strictly,
mailauth, or one that asks another address of the policy host. The tables above and [the findings](findings.md) say why.

| domain | check | Postfix | its words |
|---|---|---|---|
"""

type Answers = dict[str, dict[str, str]]
"""Column -> domain -> mode, or REFUSED."""


class _Proxy(ConnectProxy):
    """Leads port 443 of each policy host to where the lab has it."""

    def __init__(self, world: World, situations: Iterable[Situation]) -> None:
        super().__init__(("127.0.0.1", world.https_port))
        self._port = world.https_port
        self._addresses = {
            f"mta-sts.{situation.domain}": world.policy_hosts.address(situation.domain)
            for situation in situations
            if _is_found(situation)
        }

    async def _connect(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        head = await reader.readuntil(b"\r\n\r\n")
        match = re.match(rb"CONNECT (\S+):443 ", head)
        try:
            upstream = await asyncio.open_connection(self._address(match[1].decode() if match else ""), self._port)
        except OSError:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return None
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return upstream

    def _address(self, asked: str) -> str:
        """Where a client is led that asks for a host by its name or by its address. Raises OSError."""
        if asked not in self._addresses and asked not in self._addresses.values():
            raise OSError(f"there is no host {asked}")
        return self._addresses.get(asked, asked)


def _is_found(situation: Situation) -> bool:
    """Whether DNS leads to the policy host, which a proxy's clients leave to the proxy."""
    records = situation.dns.get("mta-sts", {"A": ["here"]})
    for name in records.get("CNAME", ()):
        label = str(name).replace("{domain}", situation.domain).removesuffix(f".{situation.domain}")
        records = situation.dns.get(label, {})
    addresses = [value for kind in ("A", "AAAA") for value in records.get(kind, ()) if isinstance(records[kind], list)]
    return any(not str(value).startswith("2001:db8:") for value in addresses)


def compared() -> list[Situation]:
    """The situations on which senders have an opinion without a message to send, each policy once."""
    chosen: dict[Any, Situation] = {}
    for situation in load():
        if situation.run == "allow_private" and situation.policy.body not in _WITHOUT_END:
            if situation.policy.at == "silent":
                continue
            records = {name: situation.dns[name] for name in _NAMES if name in situation.dns}
            if records or situation.policy != PolicyHost() or situation.name == "good":
                key = json.dumps([situation.policy.model_dump(), records]).replace(situation.name, "")
                chosen.setdefault(key, situation)
    return list(chosen.values())


def ask_all() -> Answers:
    """What the checker, by either reading, and each sender make of the domains."""
    situations = compared()
    domains = [situation.domain for situation in situations]
    with World(situations) as world, _Proxy(world, situations) as proxy, ThreadPoolExecutor() as threads:
        asked = {sender: threads.submit(_ask, sender, domains, world, proxy.port) for sender in RUNNERS}
        facts = asyncio.run(_gather(domains, world))
        senders = {sender: answer.result() for sender, answer in asked.items()}
    pairs = {each.domain: _readings(each) for each in facts}
    strict = {domain: pair[0] for domain, pair in pairs.items()}
    postfix = {domain: pair[1] for domain, pair in pairs.items()}
    return {"strict": strict, "as Postfix": postfix, **senders}


async def _gather(domains: Iterable[str], world: World) -> list[Facts]:
    """What there is to find of the policies."""
    context: ssl.SSLContext = strict_context(str(world.ca_file))
    network = Network(
        Resolver("127.0.0.1", world.dns_port, 3),
        context,
        "check.example",
        world.https_port,
        world.smtp_port,
        https_seconds=7,
        allow_private=True,
    )
    turns = Turns(4, patience=0.5)  # more, and the senders beside would meet servers that are slow

    async def one(domain: str) -> Facts:
        async with turns.turn():
            txt, host = await sts_state(network.resolver, domain), await ask_policy_host(domain, network)
            return Facts(domain, datetime.now(UTC), txt, policy_host=host)

    return await asyncio.gather(*map(one, domains))


def _readings(facts: Facts) -> tuple[str, str]:
    """What senders find that read strictly, and Postfix, at the first address."""
    found = readings_of(facts)
    strict, postfix = (next(each.policy for each in found if each.sender == name) for name in ("rfc", "postfix"))
    return _mode(strict), _mode(postfix)


def _mode(reading: Reading | None) -> str:
    return REFUSED if reading is None else reading.mode


def asked(sender: str, situations: Iterable[Situation], world: World) -> dict[str, dict[str, Any]]:
    """Domain -> what one sender finds, with the patterns."""
    chosen = list(situations)
    with _Proxy(world, chosen) as proxy:
        return _answers(sender, [situation.domain for situation in chosen], world, proxy.port)


def _ask(sender: str, domains: Iterable[str], world: World, proxy_port: int) -> dict[str, str]:
    found = _answers(sender, domains, world, proxy_port)
    return {domain: answer.get("mode", REFUSED) for domain, answer in found.items()}


def _answers(sender: str, domains: Iterable[str], world: World, proxy_port: int) -> dict[str, dict[str, Any]]:
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")} | {
        "HTTPS_PROXY": f"http://127.0.0.1:{proxy_port}",
        "SSL_CERT_FILE": str(world.ca_file),
        "REQUESTS_CA_BUNDLE": str(world.ca_file),
        "NODE_EXTRA_CA_CERTS": str(world.ca_file),
        "NODE_USE_ENV_PROXY": "1",
    }
    command = [*RUNNERS[sender], str(world.dns_port), *domains]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, timeout=_TIMEOUT, check=True)
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


def differences(answers: Answers) -> set[tuple[str, str]]:
    """Situation and sender wherever the sender differs from the reading that it is to be held against."""
    return {
        (situation.name, sender)
        for situation in compared()
        for sender in RUNNERS
        if answers[sender][situation.domain] != _ours(answers, sender)[situation.domain]
    }


def _ours(answers: Answers, sender: str) -> Mapping[str, str]:
    return answers["as Postfix" if sender == POSTFIX else "strict"]


def explanations() -> dict[tuple[str, str], str]:
    """Why a sender differs, for each situation and sender."""
    return {
        (situation, sender): why["why"]
        for why in tomllib.loads(_WHY.read_text(encoding="utf-8"))["difference"]
        for situation in why["situations"]
        for sender in why["senders"]
    }


def page(answers: Answers) -> str:
    """The text of the page."""
    return "".join([_OPENING, "\n", *_table(answers), "\n## The differences\n\n", *_reasons(), *_mail()])


def _table(answers: Answers) -> Iterator[str]:
    differing = differences(answers)
    yield f"| situation | check, strictly | check, as Postfix | {' | '.join(RUNNERS)} |\n"
    yield f"|{'---|' * (3 + len(RUNNERS))}\n"
    for situation in compared():
        cells = [answers[column][situation.domain] for column in ("strict", "as Postfix")]
        for sender in RUNNERS:
            mark = "\\*" if (situation.name, sender) in differing else ""
            cells.append(answers[sender][situation.domain] + mark)
        yield f"| {situation.name} | {' | '.join(cells)} |\n"


def _reasons() -> Iterator[str]:
    for why in tomllib.loads(_WHY.read_text(encoding="utf-8"))["difference"]:
        yield f"* **{', '.join(why['senders'])}** on {', '.join(why['situations'])}: {why['why']}\n"


def _mail() -> Iterator[str]:
    """What Postfix did with a message to each domain."""
    said = postfix.recorded()
    yield _MAIL.format(version=said["postfix"])
    for situation in load():
        if situation.name in said["situations"]:
            answer = said["situations"][situation.name]
            why = "" if answer["status"] == "sent" else answer["why"].replace("|", "\\|")
            yield f"| {situation.name} | {situation.verdict} | {answer['status']} | {why} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(ask_all()), encoding="utf-8")
