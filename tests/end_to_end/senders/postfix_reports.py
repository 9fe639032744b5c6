"""tlsrpt-reporter, which writes the reports of Postfix servers: unmodified, with its own programs and the default ways
of delivery, fed as Postfix feeds it.
"""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Self

_PROGRAMS = Path(sys.executable).parent
_STS, _NO_POLICY = 2, 9  # policy types of its datagrams
_SECONDS = 30


class PostfixReports:
    """Its collector and its reporter in `folder`, for a `with` block; curl trusts the authority in `ca` (PEM).

    Mails land in the file `mails`.
    """

    def __init__(self, folder: Path, ca: Path) -> None:
        self._folder = folder
        self._environment = {**os.environ, "CURL_CA_BUNDLE": str(ca)}
        self._storage = f"sqlite://{folder}/collectd.sqlite"
        self._socket = folder / "collectd.socket"
        self.mails = folder / "mails"
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._collector = self._start(
            "tlsrpt-collectd", storage=self._storage, socketname=self._socket, sockettimeout=1, log_level="debug"
        )
        _wait_for(self._socket.exists)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.communicate(timeout=_SECONDS)

    def sessions(
        self, domain: str, rua: str, policy: Sequence[str], *, ok: int, failed: int = 0, mx: str = "", without: int = 0
    ) -> None:
        """Report sessions as Postfix does: some that passed and some that failed under `policy`, some without one."""
        record = f"v=TLSRPTv1;rua={rua}"
        sts = {"policy-type": _STS, "policy-string": list(policy), "policy-domain": domain, "mx-host": [mx]}
        failure = {"c": 204, "s": "192.0.2.1", "r": "198.51.100.3", "n": mx, "h": f"{mx}\r\nSTARTTLS", "f": "expired"}
        for number in range(ok + failed):
            fails = number >= ok
            self._send(domain, record, {**sts, "f": fails, "t": int(fails), "failure-details": [failure] * fails})
        for _ in range(without):
            self._send(domain, record, {"policy-type": _NO_POLICY, "policy-domain": domain, "f": False, "t": 0})

    def roll_the_day(self) -> None:
        """Make what was collected yesterday's."""
        time.sleep(1.5)  # it commits once a second
        self._collector.send_signal(signal.SIGUSR2)
        _wait_for(lambda: "FOR DEVELOPMENT" in self.log("tlsrpt-collectd"))

    def deliver(self, until: Callable[[], bool]) -> None:
        """Run the reporter until the condition holds. Raises TimeoutError with its log where it does not come."""
        program = self._folder / "fetcher"  # its command is divided at spaces, and a checkout may have some
        program.symlink_to(_PROGRAMS / "tlsrpt-fetcher")
        fetcher = f"{program} --storage {self._storage} --logfilename {self._folder / 'fetcher.log'}"
        self._start(
            "tlsrpt-reportd",
            organization_name="Contoso Sender",
            contact_info="smtp-tls-reporting@sender.example",
            sender_address="noreply@sender.example",
            dbname=self._folder / "reportd.sqlite",
            fetchers=fetcher,
            sendmail_script=f"cat >> {self.mails}",
            spread_out_delivery=1,
            interval_main_loop=1,
            max_wait_domainlist=1,
            min_wait_domainlist=0,
            max_wait_domaindetails=1,
            min_wait_domaindetails=0,
            log_level="debug",
        )
        try:
            _wait_for(until)
        except TimeoutError as error:
            raise TimeoutError(self.log("tlsrpt-reportd")[-4000:]) from error

    @property
    def delivered(self) -> list[str]:
        """What became of each delivery, as the reporter's own database has it."""
        with closing(sqlite3.connect(self._folder / "reportd.sqlite")) as database:
            return [str(status) for (status,) in database.execute("SELECT status FROM destinations")]

    def _send(self, domain: str, record: str, policy: dict[str, Any]) -> None:
        datagram = {"dpv": "1", "d": domain, "pr": record, "policies": [policy]}
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto(json.dumps(datagram).encode(), str(self._socket))

    def _start(self, program: str, **options: object) -> subprocess.Popen[bytes]:
        words = [
            f"--{name}={value}" for name, value in {**options, "logfilename": self._folder / f"{program}.log"}.items()
        ]
        with (self._folder / f"{program}.out").open("wb") as output:
            process = subprocess.Popen(
                [str(_PROGRAMS / program), *words],
                env=self._environment,
                stdout=output,
                stderr=output,
                cwd=self._folder,
            )
        self._running.append(process)
        return process

    def log(self, program: str) -> str:
        """What a program has logged and printed so far."""
        log = self._folder / f"{program}.log"
        return (log.read_text() if log.exists() else "") + (self._folder / f"{program}.out").read_text()


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come")
        time.sleep(0.05)
