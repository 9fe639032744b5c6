"""The laws of the house, held by its imports: arrows run down, and each tool is used in one room only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import tracked

_ROOT = Path(__file__).parent.parent

# From the ground up: a room may import those on lower floors, and its neighbours on the same floor without a circle.
_FLOORS = (
    {
        "names",
        "policy",
        "settings",
        "times",
        "durations",
        "spelling",
        "pool",
        "log_lines",
        "log_stats",
        "dns_records",
        "record_texts",
        "txt_records",
        "zone_id",
        "printable",
    },
    {"tables"},
    {"life", "delegation"},
    {"log_queue", "breaker", "reads", "copies", "recording", "serving", "looking", "answering", "audit"},
    {"lint"},
    {"sender", "tlsrpt"},
    {"intake"},  # the app: how a report comes in
    {"changes"},
    {"exchange", "azure"},
    {"cli", "web", "instance"},  # each puts the rooms below it together
    {"__main__"},
)
# For the app alone.
_SERVING = {"log_queue", "breaker", "reads", "copies", "serving", "looking", "answering", "intake", "instance"}
# The packages that only these rooms may import.
_TOOLS = {
    "typer": {"cli"},
    "rich": {"cli"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "jinja2": {"web"},
    "pygal": {"web"},
    "dns": {"sender"},
    "azure.functions": {"answering", "instance", "intake"},
    "azure.mgmt": {"azure"},
    "azure.identity": {"tables"},
}


def _room(module: str) -> str:
    """The room of a module: the part of its name after the package's."""
    return module.split(".")[1] if "." in module else ""


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for path in tracked("policy_store/**/*.py"):
        name = ".".join(path.relative_to(_ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


_ARROWS = {
    (name, target) for name, tree in _modules() for target in _imports(tree) if target.startswith("policy_store.")
}


def _floor(room: str) -> int:
    return next(number for number, rooms in enumerate(_FLOORS) if room in rooms)


@pytest.mark.parametrize("room", sorted({_room(name) for name, _ in _modules()} - {""}))
def test_every_room_has_its_floor(room: str) -> None:
    assert any(room in rooms for rooms in _FLOORS)


def test_arrows_run_down() -> None:
    wrong = []
    for name, target in sorted(_ARROWS):
        here, there = _room(name), _room(target)
        if here in ("", there) or there in ("", "__version__"):
            continue
        if _floor(there) > _floor(here) or (there in _SERVING and _floor(here) > _floor(there) and here != "instance"):
            wrong.append(f"{name} -> {target}")
    assert wrong == []


def test_the_app_takes_from_above_life_only_what_a_setting_turns_on() -> None:
    """Reports that come in, and ids that publish themselves, each imported where it is used."""
    above = {target for name, target in _ARROWS if name == "policy_store.instance" and _floor(_room(target)) > 3}
    assert {_room(target) for target in above} == {"intake", "azure"}
    assert {target for target in above if _room(target) == "azure"} == {
        "policy_store.azure.publisher",
        "policy_store.azure.publisher.open_publisher",
    }


def test_there_is_no_circle() -> None:
    """Module by module, whatever is imported only when it is needed."""
    names = {name for name, _ in _modules()}
    graph = {name: {target for source, target in _ARROWS if source == name and target in names} for name in names}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way[way.index(name) :], name))
        if name not in done:
            for target in graph[name]:
                if not name.startswith(f"{target}."):  # a package's own __init__
                    visit(target, (*way, name))
            done.add(name)

    for name in sorted(names):
        visit(name, ())


@pytest.mark.parametrize("tool", _TOOLS)
def test_each_tool_is_used_where_it_belongs(tool: str) -> None:
    users = {
        _room(name)
        for name, tree in _modules()
        for target in _imports(tree)
        if target == tool or target.startswith(f"{tool}.")
    }
    assert users <= _TOOLS[tool]
