"""`make run`: the app on the local host over Azurite, with sample policies, until Ctrl-C or SIGTERM."""

import asyncio
import os
import sys
from pathlib import Path

from dev import host, samples
from dev.azurite import Azurite, AzuriteError
from dev.ports import PortTaken, listen
from dev.worker import IndexingError

_TABLES = Path(".azurite")
_EXAMPLE = "contoso.example"


def main() -> None:
    """Serve on PORT (7071) with the tables on TABLE_PORT (10002), kept in .azurite of the folder it is run in."""
    host.stop_cleanly()
    try:
        with (
            listen(_port("PORT", 7071), host.WHO) as listener,
            Azurite(_port("TABLE_PORT", 10002), _TABLES) as tables,
        ):
            os.environ["POLICY_STORE"] = tables.connection_string
            added = samples.load(tables.connection_string)
            print(f"Tables: {tables.url} (kept in {_TABLES}/{f', {added} sample policies added' if added else ''})")
            host.log_to_stderr()
            asyncio.run(host.serve(listener, host.APP_FOLDER, _greet))
    except PortTaken as error:
        sys.exit(f"{error} Choose other ports as in: make run PORT=8071 TABLE_PORT=11002")
    except (AzuriteError, IndexingError) as error:
        sys.exit(str(error))


def _port(setting: str, default: int) -> int:
    value = os.environ.get(setting) or str(default)
    if not (value.isascii() and value.isdigit() and int(value) < 65536):
        sys.exit(f"{setting} is {value!r}: it must be a port from 1 to 65535, or 0 for a free one.")
    return int(value)


def _greet(url: str) -> None:
    print(f"Try:    curl -i -H 'Host: mta-sts.{_EXAMPLE}' {url}/.well-known/mta-sts.txt")
    print("Stop with Ctrl-C.", flush=True)


if __name__ == "__main__":
    main()
