"""A hostile network around the whole command: its output stays plain text, its time and memory bounded, and it is led
nowhere inside.
"""

import gzip
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
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
from tests.lab.name_server import NameServer
from tests.loopback import Behaviour, LoopbackServer, read_request

_HOSTILE = "\x1b[2J\x1b]0;title\x07\x9b31m\r\x00\x7f\u202e"
_STS = "v=STSv1; id=20261124000000Z;"
_CA = trustme.CA()
_SERVER_SIDE = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
_CA.issue_cert("mta-sts.a.example").configure_cert(_SERVER_SIDE)


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


def check(*words: str) -> Run:
    """Run `mta-sts check` as a process of its own, without a store, with the limits of these tests."""
    command = [sys.executable, "-c", "from policy_store.cli import main; main()", "check", *words]
    start = time.monotonic()
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - start
        said = []
        for file in (stdout, stderr):
            file.seek(0)
            said.append(file.read())
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Run(said[0], said[1], process.returncode, seconds, peak)


def invoke(*words: str) -> Result:
    """Run `mta-sts check` in this process, without a store."""
    return CliRunner().invoke(app, ["check", *words])


def records(mx: str = "mx\na\nexample", txt: str = _STS, address: str = "127.0.0.1", kind: str = "A") -> Values:
    """What DNS holds for a.example, whose one MX host and policy host are at `address`."""
    return {
        "_mta-sts.a.example": {"TXT": [txt]},
        "_smtp._tls.a.example": {"TXT": [txt]},
        "mta-sts.a.example": {kind: [address]},
        "a.example": {"MX": [mx]},
        "mx.a.example": {kind: [address]},
    }


@contextmanager
def world(values: Values, policy_host: Behaviour, mx_host: Behaviour, ca: Path) -> Iterator[list[str]]:
    """Servers that behave as given, and the options of the command that lead there."""
    _CA.cert_pem.write_to_path(ca)
    with (
        Names(values, ()) as names,
        LoopbackServer(policy_host) as https,
        LoopbackServer(mx_host) as smtp,
    ):
        yield [
            f"--resolver=127.0.0.1:{names.port}",
            f"--https-port={https.port}",
            f"--smtp-port={smtp.port}",
            f"--ca-file={ca}",
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


class TestOutput:
    """No octet of a stranger moves a terminal's cursor, in any form of output."""

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 %b\r\n\r\n" % _EVIL.replace(b"\r", b""),
            b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n\r\n" % _EVIL,
            b"HTTP/1.1 301 %b\r\nLocation: %b\r\n\r\n" % (_EVIL, _EVIL),
            _EVIL,
            _OK + b"\r\n" + _POLICY + _EVIL + b": " + _EVIL + b"\r\n",
            _OK + b"\r\n" + _POLICY.replace(b"enforce", _EVIL).replace(b"mx.a", _EVIL),
            _OK + b"\r\n" + _POLICY.replace(b"mx.a.example", b"mx.b.example"),
        ],
        ids=["status", "type", "redirect", "no HTTP", "a field", "values", "another name"],
    )
    def test_hostile_answers_are_told_in_plain_text(self, answer: bytes, tmp_path: Path) -> None:
        hostile = "v=STSv1; id=20261124000000Z; x=" + _OCTETS
        values = records() | {"_smtp._tls.a.example": {"TXT": ["v=TLSRPTv1; " + hostile]}}
        greeting = b"220 %b\r\n554 %b\r\n" % (_EVIL, _EVIL)
        with world(values, over_tls(answer), in_plain_text(greeting), tmp_path / "ca.pem") as options:
            self._is_plain(options, tmp_path)

    @pytest.mark.parametrize("host", [_HOSTILE[:60], "[bold]", "\\", "a.b", "x" * 63, "\0" * 63])
    def test_hostile_names_and_records_are_told_in_plain_text(self, host: str, tmp_path: Path) -> None:
        name = host.encode()[:63].decode("latin-1")
        values = records(mx=f"{name}\na\nexample", txt=f"v=STSv1; id={_OCTETS}")
        with world(values, over_tls(_EVIL), in_plain_text(_EVIL), tmp_path / "ca.pem") as options:
            self._is_plain(options, tmp_path)

    def _is_plain(self, options: list[str], folder: Path) -> None:
        junit = folder / "junit.xml"
        for words in (["--format=table"], ["--format=tsv"], ["--format=csv"], ["--json", f"--junit={junit}"]):
            said = invoke("a.example", "--allow-private", *options, *words)
            assert said.exit_code in (DONE, PROBLEM)
            assert said.stderr == ""
            assert set(said.stdout) <= set("\n\t…") | set(map(chr, range(32, 127)))
        assert json.loads(said.stdout)[0]["domain"] == "a.example"
        assert ElementTree.parse(junit).getroot().get("tests") == "1"  # noqa: S314 - the command's own


@pytest.fixture(scope="module")
def least(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The command with nobody to ask."""
    with world({}, in_plain_text(), in_plain_text(), tmp_path_factory.mktemp("ca") / "ca.pem") as options:
        return check("a.example", *options)


class TestLimits:
    """A host that never ends costs no more than the limits, in seconds and in octets."""

    _MEMORY = 25e6  # octets more than a check of a domain that is not there

    @pytest.mark.parametrize(
        ("policy_host", "mx_host", "codes"),
        [
            (over_tls(_OK + b"\r\n", endless=b"x" * 65536), in_plain_text(endless=b"x" * 65536), "https_size"),
            (over_tls(_OK, endless=b"A: b\r\n" * 999), in_plain_text(b"220-", endless=b"x\r\n220-"), "https_no_http"),
            (over_tls(_OK + b"Transfer-Encoding: chunked\r\n\r\n", endless=b"1\r\nx\r\n" * 9999), None, "https_size"),
            (
                over_tls(_OK + b"\r\n", pause=0.05, endless=b"x"),
                in_plain_text(pause=0.05, endless=b"2"),
                "https_timeout",
            ),
            (
                over_tls(pause=0.05, endless=b"H"),
                in_plain_text(b"220 mx\r\n250-", pause=0.05, endless=b"x"),
                "https_timeout",
            ),
            (in_plain_text(b"", pause=60), in_plain_text(b"", pause=60), "https_timeout"),
            (in_plain_text(b"\x16\x03\x01", pause=60), in_plain_text(), "https_timeout"),
            (in_plain_text(), in_plain_text(b"220-"), "https_tls"),
            (over_tls(_OK + b"\r\n" + b"\n" * 65_536), in_plain_text(), "blank_line"),
            (over_tls(_OK + b"\r\n" + b"x:y\n" * 16_384), in_plain_text(), "unknown_field"),
            (over_tls(_OK + b"\r\n" + b"mx:a.b\n" * 9_362), in_plain_text(), "mx_twice"),
            (
                over_tls(_OK + b"\r\n" + b"".join(b"mx:%d.b\n" % n for n in range(6_000))),
                in_plain_text(),
                "missing_mode",
            ),
            (over_tls(_OK + b"\r\n" + b"mode: x\n" * 8_192), in_plain_text(), "duplicate_field"),
            (over_tls(_OK + b"\r\n" + b"\x1b:\n" * 21_845), in_plain_text(), "control_character"),
            (
                over_tls(_OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"\n" * 10**8)),
                in_plain_text(),
                "https_size",
            ),
        ],
        ids=[
            "body",
            "heads",
            "chunks",
            "dripping body",
            "dripping head",
            "silence",
            "half a handshake",
            "the end",
            "65,536 blank lines",
            "16,384 unknown fields",
            "9,362 repeated patterns",
            "6,000 patterns",
            "8,192 repeated fields",
            "21,845 control characters",
            "a bomb",
        ],
    )
    def test_time_and_memory_are_bounded(
        self, least: Run, policy_host: Behaviour, mx_host: Behaviour | None, codes: str, tmp_path: Path
    ) -> None:
        mx_host = mx_host or in_plain_text(endless=_EVIL)
        limits = ("--allow-private", "--json", "--smtp-seconds=1", "--https-seconds=1.5")
        with world(records(), policy_host, mx_host, tmp_path / "ca.pem") as options:
            run = check("a.example", *options, *limits)
        [told] = json.loads(run.stdout)
        found = {finding["code"] for finding in told["findings"]}
        assert codes in found
        assert found & {"smtp_no_smtp", "smtp_timeout"}
        assert max(Counter(finding["code"] for finding in told["findings"]).values()) <= MOST_ALIKE + 1
        if (most := {"blank_line": 65_536, "unknown_field": 16_384}.get(codes)) is not None:
            assert f"and {most - MOST_ALIKE} more of these" in {finding["message"] for finding in told["findings"]}
        assert run.seconds < least.seconds + 1 + 1.5 + 10
        assert run.peak < least.peak + self._MEMORY


class TestPrivate:
    @pytest.mark.parametrize(
        ("kind", "address"),
        [("A", "127.0.0.1"), ("A", "0.0.0.0"), ("AAAA", "::ffff:7f00:1"), ("AAAA", "::7f00:1")],  # noqa: S104
    )
    def test_records_lead_to_no_private_address_unless_allowed(self, kind: str, address: str, tmp_path: Path) -> None:
        _CA.cert_pem.write_to_path(tmp_path / "ca.pem")
        with (
            Names(records(address=address, kind=kind), ()) as names,
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
        with Names(records(), ()) as names, LoopbackServer(over_tls(_OK + b"\r\n" + _POLICY)) as server:
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
