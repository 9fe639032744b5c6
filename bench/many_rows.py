"""A table service with more rows than requests could write in time."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from azure.data.tables import TableClient

from bench.common import progress
from dev.azurite import Azurite
from policy_store.policy import Policy
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.policies import TABLE
from policy_store.tables.row import ROW_KEY

_KEY = "20261124193000Z"


def domain(number: int) -> str:
    """The domain of one of the rows."""
    return f"tenant{number:06}.example"


@contextmanager
def many_rows(rows: int) -> Iterator[dict[str, str]]:
    """A table service with so many rows, each with its revision, and the settings that lead to it.

    The service keeps its tables in a file when it stops, and reads them from there when it starts. All but the first
    row are written into that file: by requests each would take it longer than the one before, since it compares the new
    row with all others of the same RowKey.
    """
    progress(f"{rows} rows")
    with TemporaryDirectory() as folder:
        tables = Azurite(location=Path(folder))
        tables.start()
        for name in (TABLE, HISTORY_TABLE):
            with TableClient.from_connection_string(tables.connection_string, name) as client:
                client.create_table()
                client.create_entity(_entity(name, 0))
        tables.stop()
        (file,) = Path(folder).glob("*.json")
        database = json.loads(file.read_text(encoding="utf-8"))
        for collection in database["collections"]:
            _, _, name = collection["name"].rpartition("$")
            if name in (TABLE, HISTORY_TABLE):
                _multiply(collection, name, rows)
        text = json.dumps(database)
        for written in set(re.findall(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}(?=T)", text)):  # older than whoever looks at them
            text = text.replace(written, "2026-01-01")
        file.write_text(text, encoding="utf-8")
        with tables:
            yield {"POLICY_STORE": tables.connection_string}


def _multiply(collection: dict[str, Any], table: str, rows: int) -> None:
    """Make so many entities of the one in a table as the service keeps it, in the order of their keys."""
    (first,) = collection["data"]
    collection["data"] = []
    for number in range(rows):
        entity = _entity(table, number)
        properties = {**first["properties"], **entity}
        collection["data"].append(
            {**first, "PartitionKey": entity["PartitionKey"], "properties": properties, "$loki": number + 1}
        )
    for index in collection["binaryIndices"].values():
        index["values"] = list(range(rows))
    collection["maxId"] = rows


def _entity(table: str, number: int) -> dict[str, str | int]:
    name = domain(number)
    policy = Policy(mode="enforce", mx=(f"{name.replace('.', '-')}.mail.protection.outlook.com",), max_age=604800)
    columns: dict[str, str | int] = {"mode": policy.mode, "mx": policy.mx[0], "max_age": policy.max_age}
    if table == TABLE:
        return {"PartitionKey": name, "RowKey": ROW_KEY, **columns}
    revision: dict[str, str | int] = {"PartitionKey": name, "RowKey": _KEY, "id": _KEY, "text": policy.text}
    return {**revision, **columns, "by": "bench", "note": ""}
