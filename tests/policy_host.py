"""Policy hosts on loopback: one TLS server that answers for many host names, each with octets of its own."""

import socket
import ssl
import threading
from collections.abc import Iterable, Mapping

import trustme

from tests.loopback import Behaviour, read_request


def http_answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """An HTTP answer with a policy text."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: text/plain", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def policy_hosts(answers: Mapping[str, bytes], ca: trustme.CA, names: Iterable[str]) -> Behaviour:
    """The behaviour of a server whose certificate is for `names` and that sends `answers[host]` and closes; where
    there is no answer for the host, it says nothing.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names).configure_cert(context)

    def behave(connection: socket.socket, ended: threading.Event) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            head = read_request(tls).decode("ascii").lower()
            host = head.partition("\r\nhost: ")[2].partition("\r\n")[0].partition(":")[0]
            if host in answers:
                tls.sendall(answers[host])
            else:
                ended.wait()

    return behave
