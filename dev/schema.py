"""Writes docs/check.schema.json, the JSON Schema of what `mta-sts check --json` prints, out of the command's models:
`python -m dev.schema`.
"""

import json
from pathlib import Path

from pydantic import TypeAdapter

from policy_store.sender.report import Check

FILE = Path(__file__).parent.parent / "docs" / "check.schema.json"


def schema() -> str:
    """The text of the file."""
    model = TypeAdapter(list[Check]).json_schema(by_alias=True, mode="serialization")
    named = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "mta-sts check --json", **model}
    return json.dumps(named, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(schema(), encoding="utf-8")
