"""Ports on the loopback interface, the only one that anything of development listens on."""

import os
import socket

HOST = "127.0.0.1"


class PortTaken(Exception):
    """Nobody else can listen on the port; the sentence names it."""


def listen(port: int, who: str) -> socket.socket:
    """Return a socket that listens on `port`, on a free one for 0. Raises PortTaken, which says who wanted it."""
    try:
        listener = socket.create_server((HOST, port), backlog=2048)
    except OSError as error:
        raise PortTaken(f"{who} cannot listen on {HOST}:{port}: {os.strerror(error.errno or 0)}.") from error
    # Headers and body go out in two parts, of which the second would wait for the client's acknowledgement (40 ms);
    # asyncio sees to that only for sockets that say they are TCP, as this one does not.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
