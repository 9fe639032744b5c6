"""5,000 domains in and out through the command: seconds, domains a second, and the memory that it takes."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from azure.data.tables import TableServiceClient

from bench.command import Run, run
from bench.common import Figure, count, milliseconds, progress, ratio
from dev.azurite import Azurite
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.policies import TABLE

_FEW, _MANY = 500, 5_000


def measure() -> list[Figure]:
    """Each command is a process of its own, on a table service that it shares the machine with."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = {size: _in_and_out(folder / str(size), size) for size in (_FEW, _MANY)}
    few, many = runs[_FEW], runs[_MANY]
    figures = []
    for what in many:
        figures += [
            milliseconds(f"{what}: {_MANY} domains", [many[what].seconds]),
            count(f"{what}: domains a second", _MANY / many[what].seconds),
            Figure(f"{what}: peak of memory", many[what].peak, many[what].peak, "bytes"),
            ratio(f"{what}: peak, {_MANY} domains / {_FEW}", [many[what].peak], [few[what].peak], 1.25),
        ]
    return figures


def _in_and_out(folder: Path, size: int) -> dict[str, Run]:
    folder.mkdir()
    source = folder / "policies.csv"
    with source.open("w", encoding="ascii") as file:
        file.write("domain,mode,mx,max_age,note\n")
        file.writelines(f"{domain},enforce,{mx},604800,customer\n" for domain, mx in _domains(size))
    with _store() as store:
        commands = {
            "import of CSV": ("import", source),
            "import again, unchanged": ("import", source),
            "export to CSV": ("export", folder / "out.csv"),
            "export to JSON": ("export", folder / "out.json"),
            "export to texts": ("export", folder / "texts"),
            "list": ("list",),
            "list as JSON": ("list", "--json"),
        }
        runs = {}
        for what, words in commands.items():
            progress(f"bulk: {what}, {size} domains")
            runs[what] = _run(store, *map(str, words))
    return runs


def _domains(size: int) -> Iterator[tuple[str, str]]:
    for number in range(size):
        yield f"tenant{number:05}.example", f"tenant{number:05}-example.mail.protection.outlook.com"


@contextmanager
def _store() -> Iterator[str]:
    with Azurite() as tables:
        with TableServiceClient.from_connection_string(tables.connection_string) as service:
            for table in (TABLE, HISTORY_TABLE):
                service.create_table(table)
        yield tables.connection_string


def _run(store: str, *words: str) -> Run:
    """Run the command. Raises RuntimeError where it does not end well."""
    done = run(words, {"POLICY_STORE": store})
    if done.code:
        raise RuntimeError(done.output[-4000:])
    return done
