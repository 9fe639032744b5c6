"""Ports on the loopback interface, the only one that anything of development listens on."""

import os
import socket

HOST = "127.0.0.1"


class PortTaken(Exception):
    """Nobody else can listen on the port; the sentence names it."""


def listen(port: int, who: str) -> socket.socket:
    """Return a socket that listens on `port`, on a free one for 0. Raises PortTaken, which says who wanted it."""
    try:
        return socket.create_server((HOST, port), backlog=2048)
    except OSError as error:
        raise PortTaken(f"{who} cannot listen on {HOST}:{port}: {os.strerror(error.errno or 0)}.") from error
