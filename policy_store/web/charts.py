"""Charts as SVG that is part of the page: drawn on the server, coloured by the page's own style sheet, light and dark,
and each with a title and a sentence that a screen reader reads.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import count
from typing import Any, Protocol
from xml.etree import ElementTree as ET

import pygal
from markupsafe import Markup

from policy_store.tlsrpt.case import LOOK_BACK
from policy_store.tlsrpt.overview import first_day

_KEPT = frozenset(
    ("class", "d", "x", "y", "width", "height", "rx", "ry", "transform", "viewBox", "points", "cx", "cy", "r")
)
_TAGS = frozenset(("svg", "g", "rect", "path", "text", "tspan", "circle", "line", "polyline"))
_numbers = count(1)


class Day(Protocol):
    """Sessions of one day, of which some failed."""

    @property
    def day(self) -> date:
        """The UTC day."""

    @property
    def sessions(self) -> int:
        """All of them."""

    @property
    def failed(self) -> int:
        """Those that failed."""


def stacked(
    title: str, said: str, labels: Sequence[str], series: Mapping[str, Sequence[int]], *, every: int = 1
) -> Markup:
    """A stacked bar for each label. `series` has the numbers by name; the names become classes of the style sheet, so
    that each has its colour and its pattern. Every so many labels are shown. `said` is what the chart shows, in words.
    """
    chart = pygal.StackedBar(
        width=960,
        height=240,
        margin=4,
        spacing=6,
        show_legend=False,
        js=(),
        css=(),
        x_labels=list(labels),
        x_labels_major_every=every,
        show_minor_x_labels=False,
        truncate_label=-1,
        integer=True,
        value_formatter=lambda value: f"{value:,.0f}",
    )
    for name, numbers in series.items():
        chart.add(name, list(numbers))
    top = max((sum(column) for column in zip(*series.values(), strict=True)), default=0)
    chart.y_labels = _steps(top)
    return _svg(chart.render_tree(), title, said, list(series))


def sessions_chart(days: Iterable[Day], now: datetime) -> Markup | None:
    """The sessions that were reported, by day, for the days that a verdict looks back; None where there are none."""
    first = first_day(now, LOOK_BACK)
    axis = [first + timedelta(days=number) for number in range(LOOK_BACK + 1)]
    passed, failed = dict.fromkeys(axis, 0), dict.fromkeys(axis, 0)
    for each in days:
        if each.day in passed:
            passed[each.day] += each.sessions - each.failed
            failed[each.day] += each.failed
    total, bad = sum(passed.values()) + sum(failed.values()), sum(failed.values())
    if not total:
        return None
    worst = max(axis, key=lambda day: failed[day])
    said = f"{total:,} sessions in {LOOK_BACK} days, {bad:,} failed"
    said += f", the most on {worst}: {failed[worst]:,}" if bad else ""
    numbers = {"passed": list(passed.values()), "failed": list(failed.values())}
    return stacked("Sessions by day, passed and failed", said, [f"{day:%m-%d}" for day in axis], numbers, every=5)


def share(title: str, said: str, parts: Mapping[str, int]) -> Markup:
    """One bar that is divided as the numbers of `parts` are; its names become classes of the style sheet."""
    whole = sum(parts.values()) or 1
    svg = ET.Element("svg", {"viewBox": "0 0 960 20"})
    x = 0.0
    for name, number in parts.items():
        width = 960 * number / whole
        if number:
            shown = {"class": f"bar {_class(name)}", "x": f"{x:.1f}", "y": "0", "height": "20"}
            ET.SubElement(svg, "rect", shown | {"width": f"{max(width - 2, 1):.1f}"})
        x += width
    return _finished(svg, title, said)


def _steps(top: int) -> list[int]:
    """At most five whole numbers for the axis, from 0 to `top` or a little more."""
    step = 1
    while top > 4 * step:
        step = step * 2 if str(step)[0] in "15" else step * 5 // 2
    return [step * number for number in range(-(-max(top, 1) // step) + 1)]


def _svg(tree: Any, title: str, said: str, names: Sequence[str]) -> Markup:
    """What is drawn, and nothing else of what the library adds: no script, no style, no name that we did not give."""
    root = ET.fromstring(ET.tostring(tree))  # noqa: S314 - it was made here
    svg = _copied(root)
    for number, name in enumerate(names):
        for element in svg.iter():
            classes = element.get("class", "").split()
            if f"serie-{number}" in classes:
                element.set("class", f"serie {_class(name)}")
    return _finished(svg, title, said)


def _copied(element: ET.Element) -> ET.Element:
    copy = ET.Element(element.tag.rpartition("}")[2], {k: v for k, v in element.attrib.items() if k in _KEPT})
    if copy.tag in ("text", "tspan"):
        copy.text = element.text
    for child in element:
        if isinstance(child.tag, str) and child.tag.rpartition("}")[2] in _TAGS:
            copy.append(_copied(child))
    return copy


def _finished(svg: ET.Element, title: str, said: str) -> Markup:
    """The SVG with its words in front of what is drawn."""
    number = next(_numbers)
    names = f"chart-{number}", f"chart-{number}-said"
    svg.set("role", "img")
    svg.set("aria-labelledby", " ".join(names))
    svg.set("class", "chart")
    for place, (tag, text, id_) in enumerate((("title", title, names[0]), ("desc", said, names[1]))):
        words = ET.Element(tag, {"id": id_})
        words.text = text
        svg.insert(place, words)
    return Markup(ET.tostring(svg, encoding="unicode"))  # noqa: S704 - ElementTree escapes what it writes


def _class(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())
