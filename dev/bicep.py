"""Checks infra/ without the Bicep compiler, which no package registry has: `python -m dev.bicep`.

The syntax is read by pycep. Names of properties and values of enumerations are compared with Microsoft's own types; the
compiler knows more, such as whether a name stands for anything, and has the last word when the files are deployed.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from enum import Enum
from itertools import product
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin

from lark.exceptions import LarkError
from pycep import BicepParser
from typing_extensions import is_typeddict

from dev.resource_types import LISTED, fields, resource_class, subclasses

FOLDER = Path(__file__).parent.parent / "infra"
# What Bicep itself lets every resource and every module hold.
_RESOURCE = ("name", "parent", "scope", "dependsOn")
_MODULE = ("name", "scope", "dependsOn", "params")
_SET_BY_AZURE = ("id", "type", "systemData")
_PARSER = BicepParser(add_line_numbers=True)
_DURATION = re.compile(r"P(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?(?<=[DHMS])")


class Finding(NamedTuple):
    """What is wrong in a file; the line is the first in its resource that has the name or the value."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class _Wrong(NamedTuple):
    word: str
    message: str


def check(folder: Path = FOLDER) -> list[Finding]:
    """All that is wrong in the Bicep files of `folder`."""
    return [
        finding
        for path in sorted(folder.glob("*.bicep"))
        for finding in check_file(path.name, path.read_text(encoding="utf-8"), folder)
    ]


def check_file(name: str, text: str, folder: Path = FOLDER) -> list[Finding]:
    """All that is wrong in one file's `text`; the modules that it names are read from `folder`."""
    try:
        tree: Any = _PARSER.parse(text=text)
    except LarkError as error:
        return [Finding(name, getattr(error, "line", 0), f"not Bicep: {str(error).splitlines()[0]}")]
    names: dict[str, Any] = {
        **dict.fromkeys(tree.get("parameters", {})),
        **{variable: part["value"] for variable, part in tree.get("variables", {}).items()},
    }
    wrongs = [(part, wrong) for part in tree.get("resources", {}).values() for wrong in _resource(part, names)]
    wrongs += [(part, wrong) for part in tree.get("modules", {}).values() for wrong in _module(part, folder)]
    return [Finding(name, _line(text, part, wrong.word), wrong.message) for part, wrong in wrongs]


def _line(text: str, part: Mapping[str, Any], word: str) -> int:
    first: int = part["__start_line__"]
    lines = text.splitlines()[first - 1 : part["__end_line__"]]
    pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
    return first + next((number for number, line in enumerate(lines) if pattern.search(line)), 0)


def _resource(part: Mapping[str, Any], names: Mapping[str, Any]) -> Iterator[_Wrong]:
    resource = f"{part['type']}@{part['api_version']}"
    cls = resource_class(resource)
    if cls is None:
        yield _Wrong(part["type"], f"{resource} is not among the resources that dev/resource_types.py knows")
        return
    yield from _loop(part["config"], names)
    known = {name: hint for name, hint in fields(cls).items() if name not in _SET_BY_AZURE}
    yield from _check(_body(part), {**known, **dict.fromkeys(_RESOURCE, Any)}, part["type"], names)


def _loop(config: Mapping[str, Any], names: Mapping[str, Any]) -> Iterator[_Wrong]:
    """What the body of a loop over a variable asks for that one of the variable's objects has not."""
    match config:
        case {"loop_type": {"detail": {"item_name": item, "array_name": str(variable)}}, "config": body}:
            objects = names.get(variable)
        case _:
            return
    for name in sorted(_asked(body, item)):
        if isinstance(objects, list) and not all(name in each for each in objects):
            yield _Wrong(name, f"{name}: not every one of {variable} has it")


def _asked(value: Any, item: str) -> set[str]:
    """The properties of the loop's `item` that `value` reads."""
    match value:
        case {"operator": {"type": "property_accessor", "operands": {"operand_1": first, "operand_2": name}}}:
            name = name if isinstance(name, str) else name["operator"]["operands"].get("condition")
            return {name} if first == item else set()
        case dict():
            return set().union(*(_asked(each, item) for each in value.values()))
        case list():
            return set().union(*(_asked(each, item) for each in value))
        case str():
            return set(re.findall(rf"\$\{{{item}\.(\w+)\}}", value))
        case _:
            return set()


def _module(part: Mapping[str, Any], folder: Path) -> Iterator[_Wrong]:
    path = part["detail"]["path"]
    if not (folder / path).is_file():
        yield _Wrong(path, f"there is no module {path}")
        return
    parameters = _PARSER.parse(text=(folder / path).read_text(encoding="utf-8")).get("parameters", {})
    body = _body(part)
    given = body.get("params", {})
    yield from _unknown(body, _MODULE, "a module")
    yield from _unknown(given, parameters, path)
    for name, parameter in parameters.items():
        if parameter.get("default") is None and name not in given:
            yield _Wrong(path, f"{name}: a parameter that {path} asks for")


def _body(part: Mapping[str, Any]) -> dict[str, Any]:
    """What a resource or a module holds, without the condition or the loop around it."""
    body: dict[str, Any] = part["config"]
    while "config" in body and {"condition", "loop_type"} & body.keys():
        body = body["config"]
    return body


def _unknown(given: Iterable[str], known: Iterable[str], of: str) -> Iterator[_Wrong]:
    for name in given:
        if name not in known:
            yield _Wrong(name, f"{name}: not a property of {of}")


def _check(value: Any, hint: Any, of: str, names: Mapping[str, Any]) -> Iterator[_Wrong]:
    """What is wrong with `value`, as pycep has it, as something of the type `hint`; `of` says what it belongs to.

    Names stand for what a variable in `names` holds. pycep has no difference between a name and a text in quotes: no
    value of an enumeration may be the name of a parameter or variable.
    """
    match value:
        case {"loop_type": _, "condition": _, "config": each}:
            yield from _check([each], hint, of, names)
        case {"operator": {"type": "property_accessor", "operands": {"operand_2": {"operator": _} as choice}}}:
            yield from _check(choice, hint, of, names)  # pycep reads a.b ? c : d as a.(b ? c : d)
        case {"operator": {"type": "conditional", "operands": {"true_value": one, "false_value": other}}}:
            yield from _check(one, hint, of, names)
            yield from _check(other, hint, of, names)
        case {"function": {"type": "union" | "concat", "parameters": parts}}:
            for part in parts.values():
                yield from _check(part, hint, of, names)
        case {"operator": {"operands": _}, **others} | {"function": {"parameters": _}, **others} if not others:
            pass  # what it comes to, only the deployment knows
        case str() if value in names:
            yield from _check(names[value], hint, of, names)
        case str():
            yield from _check_text(value, hint, of)
        case list():
            elements = [get_args(option)[0] for option in _options(hint) if get_origin(option) is list]
            for element, each in product(elements, value):
                yield from _check(each, element, of, names)
        case dict():
            yield from _check_object({name.strip("'"): each for name, each in value.items()}, hint, of, names)


def _check_object(value: Mapping[str, Any], hint: Any, of: str, names: Mapping[str, Any]) -> Iterator[_Wrong]:
    for option in _options(hint):
        known = option
        if get_origin(option) is dict:
            known = dict.fromkeys(value, get_args(option)[1])
        elif is_typeddict(option) or (isinstance(option, type) and option.__module__.startswith("azure.")):
            of = option.__name__
            kinds = subclasses(option)
            if kinds is not None:
                key, classes = kinds
                if value.get(key) not in classes:
                    yield _Wrong(str(value.get(key, key)), f"{key} of {of} is none of {', '.join(sorted(classes))}")
                    return
                known = fields(classes[value[key]])
            else:
                known = fields(option)
        if isinstance(known, Mapping):
            yield from _unknown(value, known, of)
            for name, each in value.items():
                if name in known:
                    yield from _check(each, known[name], f"{of}.{name}", names)


def _check_text(value: str, hint: Any, of: str) -> Iterator[_Wrong]:
    if "${" in value:
        return
    if value not in LISTED.get(of, (value,)):
        yield _Wrong(value, f"{value!r}: {of} is one of {', '.join(LISTED[of])}")
    for option in _options(hint):
        if isinstance(option, type) and issubclass(option, Enum):
            known = sorted(str(member.value) for member in option)
            if value not in known:
                yield _Wrong(value, f"{value!r}: {of} is one of {', '.join(known)}")
        elif option is timedelta and not _DURATION.fullmatch(value):
            yield _Wrong(value, f"{value!r}: {of} is a duration such as PT5M")


def _options(hint: Any) -> tuple[Any, ...]:
    """The types that `hint` leaves open."""
    if get_origin(hint) in (Union, UnionType):
        return tuple(option for each in get_args(hint) for option in _options(each))
    return (hint,)


if __name__ == "__main__":
    findings = check()
    for finding in findings:
        print(finding)
    sys.exit(bool(findings))
