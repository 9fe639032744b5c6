"""A hostile network around the whole command: its output stays plain text, its time and memory bounded, and it is led
nowhere inside.
"""

import gzip
import json
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import trustme
from dnslib import MX, QTYPE, RR, DNSLabel
from typer.testing import CliRunner, Result

from policy_store.cli import app
from policy_store.cli.errors import DONE, PROBLEM
from policy_store.lint.findings import MOST_ALIKE
from policy_store.sender.dns import Resolver
from policy_store.sender.network import Network
from policy_store.sender.tls import strict_context
from tests.lab.addresses import listeners
from tests.lab.name_server import NameServer
from tests.loopback import Behaviour, LoopbackServer, read_request

_HOSTILE = "\x1b[2J\x1b]0;title\x07\x9b31m\r\x00\x7f\u202e"
_STS = "v=STSv1; id=20261124000000Z;"
_CA = trustme.CA()
_SERVER_SIDE = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
_DOMAINS = [f"{letter}.example" for letter in "abcdefghijklmnop"]
_CA.issue_cert(*(f"mta-sts.{domain}" for domain in _DOMAINS)).configure_cert(_SERVER_SIDE)


type Values = dict[str, dict[str, list[str | list[str]]]]


class Names(NameServer):
    """A DNS server whose MX records name hosts of any octets: the values of `MX` are labels, divided by a line feed."""

    def resolve(self, request: Any, handler: Any) -> Any:
        """Return the reply to one query."""
        if QTYPE[request.q.qtype] != "MX":
            return super().resolve(request, handler)
        reply = request.reply()
        for value in self._table.get(str(request.q.qname).rstrip("."), {}).get("MX", []):
            labels = [label.encode("latin-1") for label in str(value).split("\n")]
            reply.add_answer(RR(request.q.qname, QTYPE.MX, rdata=MX(DNSLabel(labels)), ttl=60))
        return reply


@dataclass(frozen=True)
class Run:
    """How the command ended, and what it took: seconds, and its greatest resident octets."""

    stdout: bytes
    stderr: bytes
    status: int
    seconds: float
    peak: float


# A process starts with the greatest memory of the one that it is made from: here one that is small.
_MEASURE = """
import os, sys
child = os.posix_spawn(sys.executable, sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "w") as file:
    print(os.waitstatus_to_exitcode(status), usage.ru_maxrss, file=file)
"""


def check(*words: str) -> Run:
    """Run `mta-sts check` as a process of its own, without a store, with the limits of these tests."""
    command = [sys.executable, "-c", "from policy_store.cli import main; main()", "check", *words]
    start = time.monotonic()
    with tempfile.NamedTemporaryFile("r") as measured:
        measure = [sys.executable, "-I", "-S", "-c", _MEASURE, measured.name]
        said = subprocess.run([*measure, *command], stdin=subprocess.DEVNULL, capture_output=True, check=True)
        seconds = time.monotonic() - start
        status, peak = map(int, measured.read().split())
    return Run(said.stdout, said.stderr, status, seconds, peak * (1 if sys.platform == "darwin" else 1024))


def invoke(*words: str) -> Result:
    """Run `mta-sts check` in this process, without a store."""
    return CliRunner().invoke(app, ["check", *words])


@dataclass(frozen=True)
class Hostile:
    """A domain: what its policy host and its MX host do, and the odd ones of its records."""

    policy_host: Behaviour
    mx_host: Behaviour
    mx: str = "mx"  # the first label of the MX host's name
    txt: str = _STS
    reports: str = _STS


def records(domain: str, address: str, kind: str = "A", host: Hostile | None = None) -> Values:
    """What DNS holds for a domain of two labels, whose one MX host and policy host are at `address`."""
    mx, txt, reports = (host.mx, host.txt, host.reports) if host else ("mx", _STS, _STS)
    below = domain.replace(".", "\n")
    return {
        f"_mta-sts.{domain}": {"TXT": [txt]},
        f"_smtp._tls.{domain}": {"TXT": [reports]},
        f"mta-sts.{domain}": {kind: [address]},
        domain: {"MX": [f"{mx}\n{below}"]},
        f"mx.{domain}": {kind: [address]},
    }


@contextmanager
def world(hosts: dict[str, Hostile], ca: Path) -> Iterator[list[str]]:
    """The servers of these domains, and the options of the command that lead there."""
    _CA.cert_pem.write_to_path(ca)
    addresses = {domain: f"127.46.0.{number}" for number, domain in enumerate(hosts, 1)}
    free = addresses.values() or ["127.46.0.1"]
    https, smtp = listeners(free), listeners(free)
    ports = [next(iter(bound.values())).getsockname()[1] for bound in (https, smtp)]
    values: Values = {}
    with ExitStack() as stack:
        for bound in (*https.values(), *smtp.values()):
            stack.callback(bound.close)
        for domain, host in hosts.items():
            values |= records(domain, addresses[domain], host=host)
            stack.enter_context(LoopbackServer(host.policy_host, https[addresses[domain]]))
            stack.enter_context(LoopbackServer(host.mx_host, smtp[addresses[domain]]))
        names = stack.enter_context(Names(values, ()))
        yield [
            f"--resolver=127.0.0.1:{names.port}",
            f"--https-port={ports[0]}",
            f"--smtp-port={ports[1]}",
            f"--ca-file={ca}",
            "--allow-private",
        ]


def over_tls(*parts: bytes, pause: float = 0, endless: bytes = b"") -> Behaviour:
    """The behaviour of a policy host that answers with these octets, with pauses between them, and then with `endless`
    again and again.
    """

    def behave(connection: socket.socket, ended: threading.Event) -> None:
        with suppress(ssl.SSLError), _SERVER_SIDE.wrap_socket(connection, server_side=True) as tls:
            read_request(tls)
            _send(tls, parts, pause, endless, ended)

    return behave


def in_plain_text(*parts: bytes, pause: float = 0, endless: bytes = b"") -> Behaviour:
    """The same of an MX host."""

    def behave(connection: socket.socket, ended: threading.Event) -> None:
        _send(connection, parts, pause, endless, ended)

    return behave


def _send(
    connection: socket.socket, parts: Iterable[bytes], pause: float, endless: bytes, ended: threading.Event
) -> None:
    for part in parts:
        connection.sendall(part)
        ended.wait(pause)
    while endless and not ended.is_set():
        connection.sendall(endless)
        ended.wait(pause)


_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
_POLICY = b"version: STSv1\r\nmode: enforce\r\nmx: mx.a.example\r\nmax_age: 604800\r\n"
_EVIL = _HOSTILE.encode()
_OCTETS = _EVIL.decode("latin-1")  # the same in a TXT record


_ANSWERS = (
    b"HTTP/1.1 %b\r\n\r\n" % _EVIL.replace(b"\r", b""),
    b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n\r\n" % _EVIL,
    b"HTTP/1.1 301 %b\r\nLocation: %b\r\n\r\n" % (_EVIL, _EVIL),
    _EVIL,
    _OK + b"\r\n" + _POLICY + _EVIL + b": " + _EVIL + b"\r\n",
    _OK + b"\r\n" + _POLICY.replace(b"enforce", _EVIL).replace(b"mx.a", _EVIL),
    _OK + b"\r\n" + _POLICY.replace(b"mx.a.example", b"mx.b.example"),
)
_LABELS = (_HOSTILE[:60], "[bold]", "\\", "a.b", "x" * 63, "\0" * 63)


class TestOutput:
    def test_no_octet_of_a_stranger_moves_a_cursor_in_any_form_of_output(self, tmp_path: Path) -> None:
        txt = "v=STSv1; id=20261124000000Z; x=" + _OCTETS
        greeting = in_plain_text(b"220 %b\r\n554 %b\r\n" % (_EVIL, _EVIL))
        hosts = [Hostile(over_tls(answer), greeting, reports=f"v=TLSRPTv1; {txt}") for answer in _ANSWERS]
        for label in _LABELS:
            name = label.encode()[:63].decode("latin-1")
            hosts.append(Hostile(over_tls(_EVIL), in_plain_text(_EVIL), name, f"v=STSv1; id={_OCTETS}"))
        domains = dict(zip(_DOMAINS, hosts, strict=False))
        with world(domains, tmp_path / "ca.pem") as options:
            for words in (
                ["--format=table", "--verbose"],
                ["--format=tsv"],
                ["--format=csv"],
                ["--json", "--junit=junit.xml"],
            ):
                said = invoke(*domains, *options, *words)
                assert said.exit_code in (DONE, PROBLEM)
                assert said.stderr == ""
                assert set(said.stdout) <= set("\n\t…") | set(map(chr, range(32, 127)))
            assert [each["domain"] for each in json.loads(said.stdout)] == list(domains)
            junit = ElementTree.parse("junit.xml").getroot()  # noqa: S314 - the command's own
            assert junit.get("tests") == str(len(domains))


type Hosts = dict[str, tuple[Behaviour, Behaviour, str]]
"""Name -> what the policy host and the MX host do, and the code that tells of it."""

_SLOW: Hosts = {
    "dripping body": (
        over_tls(_OK + b"\r\n", pause=0.05, endless=b"x"),
        in_plain_text(pause=0.05, endless=b"2"),
        "https_timeout",
    ),
    "dripping head": (
        over_tls(pause=0.05, endless=b"H"),
        in_plain_text(b"220 mx\r\n250-", pause=0.05, endless=b"x"),
        "https_timeout",
    ),
    "silence": (in_plain_text(b"", pause=60), in_plain_text(b"", pause=60), "https_timeout"),
    "half a handshake": (in_plain_text(b"\x16\x03\x01", pause=60), in_plain_text(), "https_timeout"),
    "the end": (in_plain_text(), in_plain_text(b"220-"), "https_tls"),
}
_BLOCK = b"x" * 65536
_ENDLESS: Hosts = {
    "body": (over_tls(_OK + b"\r\n", endless=_BLOCK), in_plain_text(endless=_BLOCK), "https_size"),
    "heads": (
        over_tls(_OK, endless=b"A: b\r\n" * 999),
        in_plain_text(b"220-", endless=b"x\r\n220-"),
        "https_no_http",
    ),
    "chunks": (
        over_tls(_OK + b"Transfer-Encoding: chunked\r\n\r\n", endless=b"1\r\nx\r\n" * 9999),
        in_plain_text(endless=_EVIL),
        "https_size",
    ),
    "a bomb": (
        over_tls(_OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"\n" * 10**8)),
        in_plain_text(),
        "https_size",
    ),
}
_LONG: dict[str, tuple[bytes, str, int]] = {
    "blank lines": (b"\n" * 65_536, "blank_line", 65_536),
    "unknown fields": (b"x:y\n" * 16_384, "unknown_field", 16_384),
    "repeated patterns": (b"mx:a.b\n" * 9_362, "mx_twice", 9_361),
    "patterns": (b"".join(b"mx:%d.b\n" % n for n in range(6_000)), "missing_mode", 1),
    "repeated fields": (b"mode: x\n" * 8_192, "duplicate_field", 8_191),
    "control characters": (b"\x1b:\n" * 21_845, "control_character", 21_845),
}
"""What is wrong with a text of 64 KiB, and how often."""


@pytest.fixture(scope="module")
def least(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The command with nobody to ask."""
    with world({}, tmp_path_factory.mktemp("ca") / "ca.pem") as options:
        return check("a.example", *options)


class TestLimits:
    """Hosts that never end, and the longest texts, cost no more than the limits, in seconds and in octets."""

    _MEMORY = 25e6  # octets more than a check of a domain that is not there

    @pytest.mark.parametrize(("hosts", "seconds"), [(_SLOW, 1.5), (_ENDLESS, 20)], ids=["slow", "endless"])
    def test_what_never_ends_is_given_up(self, least: Run, hosts: Hosts, seconds: float, tmp_path: Path) -> None:
        domains = {domain: Hostile(*each[:2]) for domain, each in zip(_DOMAINS, hosts.values(), strict=False)}
        with world(domains, tmp_path / "ca.pem") as options:
            run = check(*domains, *options, "--json", "--smtp-seconds=1", f"--https-seconds={seconds}")
        for (name, (_, _, code)), told in zip(hosts.items(), json.loads(run.stdout), strict=True):
            found = {finding["code"] for finding in told["findings"]}
            assert code in found, name
            assert found & {"smtp_no_smtp", "smtp_timeout"}, name
        self._is_bounded(run, least)

    def test_the_longest_texts_are_read_and_their_findings_counted(self, least: Run, tmp_path: Path) -> None:
        hosts = [Hostile(over_tls(_OK + b"\r\n" + text), in_plain_text()) for text, _, _ in _LONG.values()]
        domains = dict(zip(_DOMAINS, hosts, strict=False))
        with world(domains, tmp_path / "ca.pem") as options:
            run = check(*domains, *options, "--json", "--smtp-seconds=1", "--https-seconds=20")
        for (name, (_, code, count)), told in zip(_LONG.items(), json.loads(run.stdout), strict=True):
            of_a_code = Counter(finding["code"] for finding in told["findings"])
            assert of_a_code[code] == min(count, MOST_ALIKE + 1), name
            assert max(of_a_code.values()) <= MOST_ALIKE + 1, name
            more = f"and {count - MOST_ALIKE} more of these"
            assert (more in {finding["message"] for finding in told["findings"]}) is (count > MOST_ALIKE), name
        self._is_bounded(run, least)

    def _is_bounded(self, run: Run, least: Run) -> None:
        assert run.seconds < least.seconds + 60  # on a machine that has much else to do
        assert run.peak < least.peak + self._MEMORY


class TestPrivate:
    @pytest.mark.parametrize(
        ("kind", "address"),
        [("A", "127.0.0.1"), ("A", "0.0.0.0"), ("AAAA", "::ffff:7f00:1"), ("AAAA", "::7f00:1")],  # noqa: S104
    )
    def test_records_lead_to_no_private_address_unless_allowed(self, kind: str, address: str, tmp_path: Path) -> None:
        _CA.cert_pem.write_to_path(tmp_path / "ca.pem")
        with (
            Names(records("a.example", address, kind), ()) as names,
            LoopbackServer(over_tls(_OK + b"\r\n" + _POLICY)) as server,
        ):
            ports = f"--https-port={server.port}", f"--smtp-port={server.port}", "--smtp-seconds=1"
            said = invoke("a.example", f"--resolver=127.0.0.1:{names.port}", "--json", *ports)
            assert server.connections == 0
        [told] = json.loads(said.stdout)
        codes = {finding["code"] for finding in told["findings"]}
        assert {"host_private", "smtp_private"} <= codes
        assert "txt_missing" not in codes, "the resolver, though on loopback, is the operator's own"
        assert told["verdict"] == "unknown"

    def test_private_addresses_are_asked_where_that_is_allowed(self, tmp_path: Path) -> None:
        _CA.cert_pem.write_to_path(tmp_path / "ca.pem")
        with (
            Names(records("a.example", "127.0.0.1"), ()) as names,
            LoopbackServer(over_tls(_OK + b"\r\n" + _POLICY)) as server,
        ):
            ports = f"--https-port={server.port}", f"--smtp-port={server.port}", "--smtp-seconds=1"
            said = invoke("a.example", f"--resolver=127.0.0.1:{names.port}", "--json", "--allow-private", *ports)
            assert server.connections == 2  # the policy host and the MX host
        assert "_private" not in said.stdout

    @pytest.mark.parametrize(
        ("address", "may"),
        [
            ("127.0.0.1", False),
            ("127.9.9.9", False),
            ("0.0.0.0", False),  # noqa: S104 - a record, not a place to listen
            ("10.0.0.1", False),
            ("172.16.0.1", False),
            ("192.168.0.1", False),
            ("100.64.0.1", False),
            ("169.254.169.254", False),
            ("168.63.129.16", False),
            ("224.0.0.1", False),
            ("255.255.255.255", False),
            ("::", False),
            ("::1", False),
            ("fe80::1", False),
            ("fc00::1", False),
            ("fec0::1", False),
            ("ff02::1", False),
            ("::127.0.0.1", False),
            ("::ffff:127.0.0.1", False),
            ("::ffff:10.0.0.1", False),
            ("::ffff:40.101.1.1", True),
            ("64:ff9b::127.0.0.1", False),
            ("64:ff9b::10.0.0.1", False),
            ("64:ff9b::40.101.1.1", True),
            ("64:ff9b:1::1", False),
            ("2002:7f00:1::", False),
            ("2001:db8::1", False),
            ("40.101.1.1", True),
            ("2603:1026::1", True),
        ],
    )
    def test_only_public_addresses_are_asked(self, address: str, may: bool) -> None:
        network = Network(Resolver("127.0.0.1"), strict_context(), "here.example")
        assert network.may_ask(address) is may
        assert replace(network, allow_private=True).may_ask(address)
