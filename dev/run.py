"""`make run`: the app on the local host over Azurite, with sample policies, until Ctrl-C or SIGTERM."""

import asyncio
import os
import sys
from pathlib import Path

from dev import host, samples
from dev.azurite import Azurite, AzuriteError
from dev.owner import NotOwned, Owner, owning
from dev.ports import PortTaken, listen
from dev.worker import IndexingError

_TABLES = Path(".azurite")
_PORTS = {"PORT": 7071, "TABLE_PORT": 10002}
_EXAMPLE = "contoso.example"


def main() -> None:
    """Serve on PORT (7071) with the tables on TABLE_PORT (10002), kept in .azurite of the folder it is run in."""
    host.stop_cleanly()
    ports = {name: _port(name, default) for name, default in _PORTS.items()}
    try:
        with (
            owning(_TABLES) as owner,
            listen(ports["PORT"], host.WHO) as listener,
            Azurite(ports["TABLE_PORT"], _TABLES, holding=[owner.file]) as tables,
        ):
            _set_store(tables.connection_string)
            added = samples.load(tables.connection_string)
            print(f"Tables: {tables.url} (kept in {_TABLES}/{f', {added} sample policies added' if added else ''})")
            host.log_to_stderr()
            asyncio.run(host.serve(listener, host.APP_FOLDER, lambda url: _greet(owner, url, tables)))
    except PortTaken as error:
        sys.exit(f"{error} Choose other ports as in: make run PORT=8071 TABLE_PORT=11002")
    except (AzuriteError, IndexingError, NotOwned) as error:
        sys.exit(str(error))


def _port(setting: str, default: int) -> int:
    value = os.environ.get(setting) or str(default)
    if not (value.isascii() and value.isdigit() and int(value) < 65536):
        sys.exit(f"{setting} is {value!r}: it must be a port from 1 to 65535, or 0 for a free one.")
    return int(value)


def _set_store(connection_string: str) -> None:
    """Have the app use these tables, whatever store the person's own environment names."""
    for name in [name for name in os.environ if name.upper().startswith("POLICY_STORE")]:
        del os.environ[name]
    os.environ["POLICY_STORE"] = connection_string


def _greet(owner: Owner, url: str, tables: Azurite) -> None:
    owner.say(url)
    curl = "curl.exe" if os.name == "nt" else "curl"  # in PowerShell 5, curl alone is another command
    print(f"Try:    {curl} -i -H 'Host: mta-sts.{_EXAMPLE}' {url}/.well-known/mta-sts.txt")
    print("For the command mta-sts, open another terminal in this folder and paste, in bash:")
    print(". .venv/bin/activate")
    print(f"export POLICY_STORE='{tables.connection_string}'")
    print("or in PowerShell:")
    print(".venv\\Scripts\\Activate.ps1")
    print(f"$env:POLICY_STORE = '{tables.connection_string}'")
    print("Then 'mta-sts web' opens the page, and docs/tour.md shows the command.")
    print("Stop with Ctrl-C.", flush=True)


if __name__ == "__main__":
    main()
