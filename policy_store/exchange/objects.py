"""Domains in JSON: an array of objects or of names, one object, or the `{"value": […]}` of Microsoft Graph."""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from policy_store.exchange.columns import field_of, is_weak, near_names, said, unread
from policy_store.exchange.proposal import Proposal
from policy_store.exchange.text import lines_in
from policy_store.lint.findings import Note
from policy_store.names import InvalidName, mail_domain, quoted

_SPACE = re.compile(r"[ \t\r\n]*")
_VALUE = "value"
_MORE = "nextlink"  # of the key with the address of the next page: @odata.nextLink
_NOTHING: tuple[object, ...] = (None, "", [], {})


class _Object(dict[str, Any]):
    """A JSON object that remembers which keys it had twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.repeated = {name for name in self if names.count(name) > 1}


def read_objects(text: str, file: str) -> Iterator[Proposal]:
    """What the JSON text says of domains, each with the line on which it begins."""
    decoder = json.JSONDecoder(object_pairs_hook=_Object, parse_constant=_refuse)
    try:
        whole = decoder.decode(text)
    except json.JSONDecodeError as error:
        yield _wrong(file, error.lineno, "json_syntax", f"this is not JSON: {error.msg}")
        return
    except RecursionError:
        yield _wrong(file, None, "json_syntax", "the JSON is nested too deeply")
        return
    except ValueError as error:
        yield _wrong(file, None, "json_syntax", f"this is not JSON: {error}")
        return
    start = _after(text, 0)
    if isinstance(whole, list):
        yield from _items(decoder, text, start, file)
    elif isinstance(whole, _Object) and isinstance(whole.get(_VALUE), list) and "domain" not in map(field_of, whole):
        yield from _page(decoder, text, start, whole, file)
    else:
        yield _read(file, lines_in(text[:start]) + 1, whole)


def _page(decoder: json.JSONDecoder, text: str, start: int, whole: _Object, file: str) -> Iterator[Proposal]:
    """The items of an answer of Microsoft Graph, which may be one page of several."""
    line = lines_in(text[:start]) + 1
    if _VALUE in whole.repeated:
        yield _wrong(file, line, "column_twice", f"the key {quoted(_VALUE)} is there twice")
        return
    yield from _items(decoder, text, _value_of(decoder, text, start), file)
    if any(name.casefold().endswith(_MORE) and value for name, value in whole.items()):
        yield _wrong(file, line, "json_pages", "this is one page of several, and the next one is not in it")


def _items(decoder: json.JSONDecoder, text: str, at: int, file: str) -> Iterator[Proposal]:
    """The items of the array at `at` of a text that is JSON, with their lines."""
    line, counted = 1, 0
    at = _after(text, at + 1)
    while text[at] != "]":
        line, counted = line + lines_in(text[counted:at]), at
        item, at = decoder.raw_decode(text, at)
        yield _read(file, line, item)
        at = _after(text, at)
        if text[at] == ",":
            at = _after(text, at + 1)


def _value_of(decoder: json.JSONDecoder, text: str, at: int) -> int:
    """Where the value of the key `value` begins, in the object at `at` of a text that is JSON."""
    found = at
    at = _after(text, at + 1)
    while text[at] != "}":
        name, at = decoder.raw_decode(text, at)
        at = _after(text, _after(text, at) + 1)
        if name == _VALUE:
            found = at
        _, at = decoder.raw_decode(text, at)
        at = _after(text, at)
        if text[at] == ",":
            at = _after(text, at + 1)
    return found


def _read(file: str, line: int, item: object) -> Proposal:
    if isinstance(item, str):
        return Proposal.of(file, line, {"domain": item})
    if not isinstance(item, _Object):
        return _wrong(file, line, "json_shape", f"{quoted(json.dumps(item))} is not an object with a domain")
    notes = [Note("column_twice", f"the key {quoted(name)} is there twice", line) for name in sorted(item.repeated)]
    found: dict[str, Any] = {}
    keys: dict[str, str] = {}
    for name, value in item.items():
        if (field := field_of(name)) is None:
            continue
        if field in keys:
            notes.append(Note("column_twice", f"two keys are for {field}: {said([keys[field], name])}", line))
        found[field], keys[field] = value, name
    if "domain" not in found and (weak := [name for name in item if is_weak(name)]):
        keys["domain"] = next((name for name in weak if _is_domain(item[name])), weak[0])
        found["domain"] = item[keys["domain"]]
    notes += [
        Note("near_header", f"the key {quoted(name)} is not read: is it {field}?", line)
        for name, field in near_names(list(item))
    ]
    if "domain" not in found:
        notes.append(Note("json_shape", f"there is no key domain: there are {said(item)}", line))
    if notes:
        return Proposal.refused(file, line, notes)
    if isinstance(found.get("mx"), list) and all(isinstance(pattern, str) for pattern in found["mx"]):
        found["mx"] = " ".join(found["mx"])
    names = list(item)
    others = unread(names, {names.index(name) for name in keys.values()})
    return Proposal.of(file, line, found, [said for at, said in others.items() if item[names[at]] not in _NOTHING])


def _is_domain(value: object) -> bool:
    try:
        return bool(mail_domain(str(value)))
    except InvalidName:
        return False


def _after(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a value of JSON")


def _wrong(file: str, line: int | None, code: str, message: str) -> Proposal:
    return Proposal.refused(file, line, [Note(code, message, line)])
