"""`make bench`, or `python -m bench hit miss` with the parts wanted: a table, and JSON in .bench/."""

import argparse
import compileall
import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict

from bench import (
    audit,
    backup,
    bulk,
    check,
    cold,
    flood,
    hit,
    look,
    memory,
    miss,
    over_http,
    package,
    reports,
    starting,
    web,
    zones,
)
from bench.common import ROOT, Figure

_PARTS: dict[str, Callable[[], list[Figure]]] = {
    "hit": hit.measure,
    "miss": miss.measure,
    "cold": cold.measure,
    "package": package.measure,
    "http": over_http.measure,
    "memory": memory.measure,
    "look": look.measure,
    "flood": flood.measure,
    "audit": audit.measure,
    "bulk": bulk.measure,
    "command": starting.measure,
    "backup": backup.measure,
    "check": check.measure,
    "reports": reports.measure,
    "zones": zones.measure,
    "web": web.measure,
}
_RESULTS = ROOT / ".bench" / "results.json"


def main() -> None:
    """Measure the parts given, all by default; every ratio comes from rounds that take turns within this run."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=main.__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=" ".join(_PARTS))
    chosen = parser.parse_args().parts or list(_PARTS)
    if wrong := [part for part in chosen if part not in _PARTS]:
        parser.error(f"there is no part {wrong[0]!r}: choose from {', '.join(_PARTS)}")
    compileall.compile_file(ROOT / "function_app.py", quiet=1)
    for folder in ("policy_store", "dev", "bench"):
        compileall.compile_dir(ROOT / folder, quiet=1)
    results = {part: _PARTS[part]() for part in chosen}
    _write(results)
    _show(results)


def _write(results: dict[str, list[Figure]]) -> None:
    machine = {"python": platform.python_version(), "system": platform.platform(), "processors": os.cpu_count()}
    figures = [{"part": part, **asdict(figure), "met": figure.met} for part in results for figure in results[part]]
    _RESULTS.parent.mkdir(exist_ok=True)
    _RESULTS.write_text(json.dumps({"machine": machine, "figures": figures}, indent=2) + "\n", encoding="utf-8")


def _show(results: dict[str, list[Figure]]) -> None:
    print(f"{'':46}{'best':>10}{'median':>10}  goal")
    for figures in results.values():
        print()
        for figure in figures:
            print(_line(figure).rstrip())


def _line(figure: Figure) -> str:
    best, median = (_number(figure, value) for value in (figure.best, figure.median))
    line = f"{figure.name:46}{best:>10}{median:>10}"
    if figure.goal is None:
        return line
    goal = f"{'>=' if figure.at_least else '<='} {_number(figure, figure.goal)}"
    return f"{line}  {goal} {'met' if figure.met else 'missed'}"


def _number(figure: Figure, value: float) -> str:
    match figure.unit:
        case "ratio":
            return f"{value:.3f}"
        case "ms":
            return f"{value / 1000:.1f} s" if value >= 10_000 else f"{value:.2f} ms"
        case "bytes" if value >= 1e6:
            return f"{value / 1e6:.1f} MB"
        case _:
            return f"{value:.0f}"


if __name__ == "__main__":
    main()
