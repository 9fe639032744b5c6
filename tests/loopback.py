"""A TCP server on 127.0.0.1 that behaves as a test tells it to."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

type Behaviour = Callable[[socket.socket, threading.Event], None]

_SECONDS_TO_END = 10


class LoopbackServer:
    """Hands each connection to `behaviour` in a thread of its own, for a `with` block.

    The behaviour also gets an event that is set when the block ends; it may be another one at any time. It listens at
    `bound`, else at a free port.
    """

    def __init__(self, behaviour: Behaviour, bound: socket.socket | None = None) -> None:
        self.behaviour = behaviour
        self.connections = 0
        self._ended = threading.Event()
        self._listener = bound or socket.create_server(("127.0.0.1", 0))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def _accept(self) -> None:
        with suppress(OSError):  # the end of the block
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                thread = threading.Thread(target=self._behave, args=(connection, self.behaviour))
                self._threads.append(thread)
                thread.start()

    def _behave(self, connection: socket.socket, behaviour: Behaviour) -> None:
        with connection, suppress(OSError):  # the client went away
            behaviour(connection, self._ended)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for open_socket in (self._listener, *self._open):
            with suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
            open_socket.close()
        for thread in self._threads:
            thread.join(_SECONDS_TO_END)


def read_request(connection: socket.socket) -> bytes:
    """The head of the next request, without a body; empty where the client went away."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        octet = connection.recv(1)
        if not octet:
            return b""
        head += octet
    return head


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    """An HTTP answer with a JSON body."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answering(octets: bytes) -> Behaviour:
    """The behaviour that answers every request of a connection with `octets`."""

    def behave(connection: socket.socket, ended: threading.Event) -> None:
        while not ended.is_set() and read_request(connection):
            connection.sendall(octets)

    return behave


def silent(connection: socket.socket, ended: threading.Event) -> None:
    """Take the request and say nothing."""
    ended.wait()
