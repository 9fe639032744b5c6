"""The promise that a storage call ends in time, whatever the other side does."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.data.tables import TableClient

from dev.azurite import ACCOUNT, ACCOUNT_KEY
from policy_store.settings import Settings
from policy_store.tables.addresses import Resolver
from policy_store.tables.connection import open_table
from policy_store.tables.policies import OtherEntity, PolicyTable
from tests.loopback import Behaviour, LoopbackServer, answer, answering, read_request, silent

_LONGEST_CALL = 3.5  # seconds
_ROW = json.dumps(
    {
        "odata.etag": "W/\"datetime'2026-01-01T00%3A00%3A00.0000000Z'\"",
        "PartitionKey": "contoso.com",
        "RowKey": "policy",
        "Timestamp": "2026-01-01T00:00:00.0000000Z",
        "mode": "none",
        "max_age": 86400,
    }
).encode()
_ANSWER = answer("200 OK", _ROW)


def _dripping(start: bytes, drop: bytes) -> Behaviour:
    """Answer with `start` at once and then with `drop` ten times a second for as long as the client listens."""

    def behave(connection: socket.socket, ended: threading.Event) -> None:
        read_request(connection)
        connection.sendall(start)
        while not ended.wait(0.1):
            connection.sendall(drop)

    return behave


def _late_and_silent(connection: socket.socket, ended: threading.Event) -> None:
    """Begin to answer just in time, and say no more."""
    read_request(connection)
    ended.wait(0.9)
    connection.sendall(_HEAD)
    ended.wait()


def _cutting(start: bytes) -> Behaviour:
    """Answer with `start` and close the connection."""

    def behave(connection: socket.socket, ended: threading.Event) -> None:
        read_request(connection)
        connection.sendall(start)

    return behave


def _in_pieces(connection: socket.socket, ended: threading.Event) -> None:
    """Answer each request of the connection in pieces, over 0.6 seconds."""
    while read_request(connection):
        for at in range(0, len(_ANSWER), len(_ANSWER) // 5):
            ended.wait(0.1)
            connection.sendall(_ANSWER[at : at + len(_ANSWER) // 5])


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_BEHAVIOURS: dict[str, Behaviour] = {
    "drips the status line": _dripping(b"", b"H"),
    "drips one header": _dripping(_HEAD + b"X-Drip: ", b"x"),
    "drips many headers": _dripping(_HEAD, b"X-Drip: x\r\n"),
    "drips the body": _dripping(_HEAD + b"Content-Length: 100000\r\n\r\n", b" "),
    "drips chunks": _dripping(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "drips a body without a length": _dripping(_HEAD + b"\r\n", b" "),
    "drips interim answers": _dripping(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    "begins late and is silent then": _late_and_silent,
    "is silent": silent,
    "cuts before the answer": _cutting(b""),
    "cuts in the headers": _cutting(_HEAD),
    "cuts in the body": _cutting(_ANSWER[:-10]),
    "cuts in a chunk": _cutting(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n50\r\n{"),
    "speaks another protocol": _cutting(b"220 mail.contoso.com ESMTP\r\n"),
    "is busy for 30 seconds": answering(answer("503 Server Busy", b"", "Retry-After: 30")),
    "is throttled for 30 seconds": answering(answer("429 Too Many Requests", b"", "Retry-After: 30")),
    "fails": answering(answer("500 Internal Server Error")),
    "redirects to itself": answering(answer("302 Found", b"", "Location: /")),
    "answers with HTML": answering(answer("200 OK", b"<html></html>")),
}


def _settings(port: int) -> Settings:
    endpoint = f"TableEndpoint=http://127.0.0.1:{port}/{ACCOUNT}"
    return Settings.read({"POLICY_STORE": f"AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};{endpoint}"})


def _get(port: int) -> tuple[float, Exception | None]:
    """How many seconds one read takes, and how it ends."""
    with open_table(_settings(port)) as client:
        start = time.monotonic()
        try:
            PolicyTable(client).get("contoso.com")
        except Exception as error:
            return time.monotonic() - start, error
        return time.monotonic() - start, None


@pytest.fixture(scope="module")
def failures() -> Iterator[Callable[[str], tuple[float, Exception | None]]]:
    """How one read of each server ends. All go at once, since most of them only wait."""
    with ExitStack() as servers:
        ports = {name: servers.enter_context(LoopbackServer(behaviour)).port for name, behaviour in _BEHAVIOURS.items()}
        refusing = socket.create_server(("127.0.0.1", 0))
        ports["refuses"] = refusing.getsockname()[1]
        refusing.close()
        for name, waiting in [("accepts nothing", 0), ("has no room for a connection", 2)]:
            listener = servers.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
            ports[name] = listener.getsockname()[1]
            for _ in range(waiting):
                caller = servers.enter_context(socket.socket())
                caller.setblocking(False)
                caller.connect_ex(listener.getsockname())
        with ThreadPoolExecutor(len(ports)) as threads:
            reads = dict(zip(ports, threads.map(_get, ports.values()), strict=True))
        yield reads.__getitem__


@pytest.mark.parametrize("server", [*_BEHAVIOURS, "refuses", "accepts nothing", "has no room for a connection"])
def test_a_read_ends_in_time(server: str, failures: Callable[[str], tuple[float, Exception | None]]) -> None:
    """A read of a server that never gives a whole answer fails within its bounds, and is never "no row"."""
    seconds, error = failures(server)
    assert error is not None
    assert seconds < _LONGEST_CALL


def test_an_answer_in_pieces() -> None:
    """An answer in pieces is read if it is whole in time, each answer of a connection with a time of its own."""
    with LoopbackServer(_in_pieces) as server, open_table(_settings(server.port)) as client:
        for _ in range(3):
            row = PolicyTable(client).get("contoso.com")
            assert row is not None
            assert row.policy.max_age == 86400
        assert server.connections == 1


def test_an_operator_waits_longer() -> None:
    """At a terminal a slow answer is worth more than a quick failure."""

    def slow(connection: socket.socket, ended: threading.Event) -> None:
        read_request(connection)
        ended.wait(1.5)
        connection.sendall(_ANSWER)

    with LoopbackServer(slow) as server, open_table(_settings(server.port), operator=True) as client:
        assert PolicyTable(client).get("contoso.com") is not None


def test_a_redirect_is_not_followed() -> None:
    """A table service has nothing to redirect to; what stands there could say anything."""
    with LoopbackServer(answering(_ANSWER)) as elsewhere:
        location = f"Location: http://127.0.0.1:{elsewhere.port}/x"
        for status in ("302 Found", "307 Temporary Redirect", "308 Permanent Redirect"):
            with LoopbackServer(answering(answer(status, b"", location))) as server:
                _, error = _get(server.port)
                assert isinstance(error, HttpResponseError)
        assert elsewhere.connections == 0


def test_an_entity_with_other_keys_is_refused() -> None:
    with LoopbackServer(answering(_ANSWER.replace(b"contoso.com", b"contosa.com"))) as server:
        _, error = _get(server.port)
    assert isinstance(error, OtherEntity)


class TestNames:
    """A name server that is silent costs a read no more than a connection does."""

    @pytest.fixture
    def silence(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
        """The system's resolver waits until the end of the test; gives the names that it was asked for."""
        ended, asked, real = threading.Event(), list[str](), socket.getaddrinfo

        def silent_getaddrinfo(host: str, *args: Any, **kwargs: Any) -> Any:
            if host.endswith(".example"):
                asked.append(host)
                ended.wait()
                host = "127.0.0.1"
            return real(host, *args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", silent_getaddrinfo)
        yield asked
        ended.set()

    def test_reads_end_in_time_and_one_thread_asks_for_all(self, silence: list[str]) -> None:
        store = f"AccountName=a;AccountKey={ACCOUNT_KEY};TableEndpoint=http://a.table.example/"
        with open_table(Settings.read({"POLICY_STORE": store})) as client, ThreadPoolExecutor(16) as threads:
            start = time.monotonic()
            errors = list(threads.map(lambda _: _error(client), range(16)))
        assert time.monotonic() - start < _LONGEST_CALL
        assert all(errors)
        assert len(silence) == 1

    def test_the_addresses_found_last_stand_in(self, silence: list[str]) -> None:
        resolver = Resolver()
        resolver._known["a.example"] = ("127.0.0.1",)
        assert resolver.addresses("a.example", 0.1) == ("127.0.0.1",)

    def test_a_name_that_does_not_exist_is_an_error_that_says_so(self) -> None:
        with pytest.raises(OSError, match=r"Name or service not known|No address"):
            Resolver().addresses("no-such-host.invalid", 5)

    def test_an_address_is_itself(self) -> None:
        assert Resolver().addresses("[::1]", 0) == ("::1",)
        assert "127.0.0.1" in Resolver().addresses("localhost", 5)


def _error(client: TableClient) -> Exception | None:
    try:
        PolicyTable(client).get("contoso.com")
    except Exception as error:
        return error
    return None
