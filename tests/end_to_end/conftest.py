"""The whole app as it runs without Azure: the table service with the sample policies, and the app in a local host."""

import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest
from azure.data.tables import TableClient, UpdateMode

from dev import samples
from dev.azurite import Azurite
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.policies import TABLE as POLICY_TABLE

_ROOT = Path(__file__).parents[2]
_SECONDS_TO_STOP = 10


class Answer(NamedTuple):
    """What came back for one request, and after how many seconds. Names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float


class HostProcess:
    """The app in a local host of its own process, on 127.0.0.1:`port`, for a `with` block.

    `environment` is added to this process's. The log goes to the file `log`.
    """

    port: int

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._environment = {**os.environ, **environment}
        self._log = log

    @property
    def log_lines(self) -> list[str]:
        """What the host has logged so far."""
        return self._log.read_text(encoding="utf-8").splitlines()

    def ask(self, domain: str, method: str = "GET", **headers: str) -> Answer:
        """Fetch the policy of `domain` as a sender does."""
        return self.send({"Host": f"mta-sts.{domain}", **headers}, method)

    def ask_all(self, domains: Iterable[str]) -> list[Answer]:
        """Fetch the policies of many domains at once."""
        with ThreadPoolExecutor(64) as senders:
            return list(senders.map(self.ask, domains))

    def send(
        self, headers: Mapping[str, str | bytes], method: str = "GET", path: str = "/.well-known/mta-sts.txt"
    ) -> Answer:
        """Send one request with exactly these headers."""
        start = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        answered = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, answered, body, time.monotonic() - start)

    def health(self) -> dict[str, Any]:
        """What /health says."""
        body: dict[str, Any] = json.loads(self.send({"Host": "127.0.0.1"}, path="/health").body)
        return body

    def logged(self, pattern: str) -> list[str]:
        """The lines logged so far that the regular expression finds something in."""
        return [line for line in self.log_lines if re.search(pattern, line)]

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dev.host", "--port", "0"],
                cwd=_ROOT,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if not said.startswith("listening on "):
            self.__exit__()
            pytest.fail("\n".join(["The local host did not start.", *self.log_lines]))
        self.port = int(said.rpartition(":")[2])
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.communicate(timeout=_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """Run a table service that holds the sample policies; a test that writes does so for domains of its own."""
    with Azurite() as service:
        samples.load(service.connection_string)
        yield service


@pytest.fixture(scope="session")
def start_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Mapping[str, str]], HostProcess]]:
    """Give a function that starts the app with more environment variables; all end with the session."""
    with ExitStack() as started:

        def start(environment: Mapping[str, str]) -> HostProcess:
            return started.enter_context(HostProcess(environment, tmp_path_factory.mktemp("host") / "log"))

        yield start


@pytest.fixture(scope="session")
def policies_client(azurite: Azurite) -> Iterator[TableClient]:
    """Give the table `policies` as an editor of rows sees it."""
    with TableClient.from_connection_string(azurite.connection_string, POLICY_TABLE) as client:
        yield client


@pytest.fixture(scope="session")
def history_client(azurite: Azurite) -> Iterator[TableClient]:
    """Give the table `policyhistory`."""
    with TableClient.from_connection_string(azurite.connection_string, HISTORY_TABLE) as client:
        yield client


def write_row(policies_client: TableClient, domain: str, **cells: object) -> None:
    """Write a row as somebody does who edits the table by hand; what `cells` leaves out is valid."""
    valid = {"mode": "enforce", "mx": "mx1.example.net *.example.net", "max_age": 604800}
    policies_client.upsert_entity(
        {"PartitionKey": domain, "RowKey": "policy", **valid, **cells}, mode=UpdateMode.REPLACE
    )


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until the condition holds. Raises TimeoutError when it does not within that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not come within {seconds} s")
        time.sleep(0.02)
