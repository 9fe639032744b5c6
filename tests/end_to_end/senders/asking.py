"""Asks a real sender, in a process of its own, for the policies that it finds: from the TXT record to the text.

A runner (`ask_*`) takes the DNS server's port and policy domains as arguments and the proxy and CA from the
environment. It prints one JSON object: domain -> `{id, mode, mx, max_age}` or `{error}`.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import trustme

from tests.end_to_end.senders.front import Address, ConnectProxy, TlsFront
from tests.end_to_end.senders.names import DnsServer, Records

_HERE = Path(__file__).parent
_NODE = Path(sys.executable).with_name("node")
_TIMEOUT = 30

RUNNERS: dict[str, list[str | Path]] = {
    "postfix-mta-sts-resolver": [sys.executable, _HERE / "ask_postfix_resolver.py"],
    "checkdmarc": [sys.executable, _HERE / "ask_checkdmarc.py"],
    "mailauth": [_NODE, _HERE / "ask_mailauth.mjs"],
}


class SenderWorld:
    """All that a sender sees, on loopback: DNS with `records`, and every HTTPS host led to `backend`.

    `certificate_for` says which name the certificate for a host bears, as in `TlsFront`; its own if not given.
    """

    def __init__(
        self,
        records: Records,
        backend: Address,
        certificate_for: Callable[[str], str | None] = lambda host: host,
        name_server: Callable[[Any], DnsServer] = DnsServer,
    ) -> None:
        self._records = records
        self._name_server = name_server
        self._backend = backend
        self._certificate_for = certificate_for

    def __enter__(self) -> Self:
        ca = trustme.CA()
        with ExitStack() as stack:
            ca_file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "ca.pem"
            ca.cert_pem.write_to_path(ca_file)
            self._dns = stack.enter_context(self._name_server(self._records))
            front = stack.enter_context(TlsFront(ca, self._backend, self._certificate_for))
            proxy = stack.enter_context(ConnectProxy(("127.0.0.1", front.port)))
            self._environment = _environment(proxy.port, ca_file)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ask(self, sender: str, domains: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return what `sender` (a key of RUNNERS) found for each policy domain.

        Raises subprocess.SubprocessError if the runner itself fails or takes longer than 30 seconds.
        """
        command = [*RUNNERS[sender], str(self._dns.port), *domains]
        done = subprocess.run(command, env=self._environment, stdout=subprocess.PIPE, timeout=_TIMEOUT, check=True)
        answers: dict[str, dict[str, Any]] = json.loads(done.stdout)
        return answers


def _environment(proxy_port: int, ca_file: Path) -> dict[str, str]:
    """Return the environment of a runner: one proxy and one CA, in the variables of each library."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")} | {
        "HTTPS_PROXY": f"http://127.0.0.1:{proxy_port}",
        "SSL_CERT_FILE": str(ca_file),
        "REQUESTS_CA_BUNDLE": str(ca_file),
        "NODE_EXTRA_CA_CERTS": str(ca_file),
        "NODE_USE_ENV_PROXY": "1",
    }
