"""The lab: a small Internet on loopback with real DNS, HTTPS and SMTP servers, in which every situation of
`situations.toml` can be looked at as a sender does. It needs no root and no port of its own.
"""

import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.lab.addresses import LoopThread
from tests.lab.certificates import Authority
from tests.lab.mx_hosts import MxHosts
from tests.lab.name_server import NameServer
from tests.lab.policy_hosts import PolicyHosts
from tests.lab.situation import Situation, Values


class World:
    """The servers of all `situations`, for a `with` block.

    `ca_file` is a PEM file with the authority behind every good certificate; the ports are those of 127.0.0.1 for DNS,
    and of each address that DNS gives for HTTPS and SMTP.
    """

    def __init__(self, situations: Iterable[Situation]) -> None:
        self._situations = list(situations)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            authority = Authority()
            self.ca_file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "ca.pem"
            authority.write(self.ca_file)
            loop = stack.enter_context(LoopThread())
            hosts = {each.domain: each.policy for each in self._situations}
            second = {each.domain: each.second for each in self._situations if each.second is not None}
            self.policy_hosts = PolicyHosts(hosts, second, authority, loop)
            self.policy_hosts.start()
            stack.callback(self.policy_hosts.close)
            self.https_port = self.policy_hosts.port
            self.mx_hosts = MxHosts(authority, loop)
            self.mx_hosts.start()
            stack.callback(self.mx_hosts.close)
            self.smtp_port = self.mx_hosts.port
            self.name_table = self._records(), self._authenticated()
            self.dns_port = stack.enter_context(NameServer(*self.name_table)).port
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def options(self) -> list[str]:
        """The options of the command that lead it into the lab."""
        return [
            f"--resolver=127.0.0.1:{self.dns_port}",
            f"--https-port={self.https_port}",
            f"--smtp-port={self.smtp_port}",
            f"--ca-file={self.ca_file}",
        ]

    def _records(self) -> dict[str, dict[str, Values]]:
        return {
            name: records
            for situation in self._situations
            for name, records in situation.records(
                self.policy_hosts.address(situation.domain), self.mx_hosts.addresses, self.policy_hosts.second
            ).items()
        }

    def _authenticated(self) -> frozenset[str]:
        """Every name of the domains whose zones are signed."""
        return frozenset(
            name
            for situation in self._situations
            if situation.dnssec
            for name in situation.records("", self.mx_hosts.addresses)
        )
