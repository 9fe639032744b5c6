"""Names that say something by themselves: Microsoft's own domains, sites of hosts, top-level domains."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any


def is_microsofts(name: str) -> bool:
    """Whether `name` lies in a domain that Microsoft gives to tenants, in whichever cloud."""
    return _lies_in(name, _lists()["microsoft"])


def is_hosted(name: str) -> bool:
    """Whether `name` is that of a site at a host of static sites or apps, such as contoso.github.io."""
    return _lies_in(name, _lists()["hosting"])


def is_top_level_domain(name: str) -> bool:
    """Whether `name` itself is a top-level domain of the root zone, under which everybody has names."""
    return "." not in name and name in _top_level() and name not in _lists()["special"]


def has_top_level_domain(name: str) -> bool:
    """Whether the last label of `name` is a top-level domain, one for examples and private networks included."""
    return name.rpartition(".")[2] in _top_level()


def completed(name: str, domain: str | None = None) -> str | None:
    """`name` with the labels that are missing at its end, where it stops inside the name of a provider's MX hosts or of
    `domain`: `mx1.contoso` for contoso.com is `mx1.contoso.com`. None where nothing seems to be missing.
    """
    zones = [*_lists()["mx"], domain] if domain else _lists()["mx"]
    if any(_lies_in(name, [zone]) for zone in zones):
        return None
    for zone in zones:
        start, _, rest = zone.rpartition(".")
        while start:
            # A domain whose first label is a top-level domain, such as com.example, says nothing about mx.contoso.com.
            if _lies_in(name, [start]) and not (zone == domain and start in _top_level()):
                return f"{name}.{rest}"
            start, _, last = start.rpartition(".")
            rest = f"{last}.{rest}"
    return None


@cache
def _lists() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("known_names.toml").read_text(encoding="utf-8"))


@cache
def _top_level() -> frozenset[str]:
    return frozenset([*_lists()["top_level"].split(), *_lists()["special"]])


def _lies_in(name: str, zones: list[str]) -> bool:
    return any(name == zone or name.endswith(f".{zone}") for zone in zones)
