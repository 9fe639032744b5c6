"""The addresses of a host name, looked up in bounded time.

The system's resolver has bounds of its own (20 seconds and more where a name server is silent) and holds its thread for
all of them. Here one thread asks for a name however many wait for the answer, and each waits as long as it likes. What
was found last stands in while no answer comes.
"""

import ipaddress
import socket
import threading

type Addresses = tuple[str, ...]


class _Lookup:
    """One question to the system's resolver, asked in a thread of its own."""

    def __init__(self, host: str) -> None:
        self.ended = threading.Event()
        self.addresses: Addresses = ()
        self.error: OSError | None = None
        threading.Thread(target=self._ask, args=(host,), daemon=True, name="name-lookup").start()

    def _ask(self, host: str) -> None:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            self.addresses = tuple(dict.fromkeys(str(address[0]) for *_, address in found))
        except OSError as error:
            self.error = error
        except UnicodeError as error:  # a label that is too long
            self.error = socket.gaierror(socket.EAI_NONAME, str(error))
        finally:
            self.ended.set()


class Resolver:
    """Looks host names up. May be shared between threads."""

    def __init__(self) -> None:
        self._lookups: dict[str, _Lookup] = {}
        self._known: dict[str, Addresses] = {}
        self._lock = threading.Lock()

    def addresses(self, host: str, seconds: float | None) -> Addresses:
        """The addresses of `host`, itself where it is one. Raises OSError where none is known after `seconds`."""
        try:
            return (str(ipaddress.ip_address(host.strip("[]"))),)
        except ValueError:
            pass
        with self._lock:
            lookup = self._lookups.get(host)
            if lookup is None:
                lookup = self._lookups[host] = _Lookup(host)
        if lookup.ended.wait(seconds):
            with self._lock:
                if self._lookups.get(host) is lookup:
                    del self._lookups[host]
                if lookup.addresses:
                    self._known[host] = lookup.addresses
        if known := lookup.addresses or self._known.get(host):
            return known
        raise lookup.error or TimeoutError(110, "the name server does not answer")


resolver = Resolver()
