"""Reads the lines of a policy text again, for what the strict reader forgives, and for what a person meant."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from policy_store.lint.findings import Note
from policy_store.names import InvalidName, quoted
from policy_store.policy import LONGEST_MAX_AGE, MODES, Problem, pattern

LONGEST_MISSPELT = 40  # characters
NO_LETTER = re.compile(r"[\W_]+")

_ONCE = ("version", "mode", "max_age")
_NO_FIELD = ("blank_line", "leading_space", "comment", "lone_cr", "control_character", "no_colon")
_MOST_UNKNOWN_FIELDS = 200  # that are compared with the known ones
_SECONDS = re.compile(r"[0-9]{1,10}")


class Reader:
    """Reads the lines of one text again, for what the strict reader forgives, and for what a person meant."""

    def __init__(self, text: str, problems: Sequence[Problem]) -> None:
        self.notes: list[Note] = []
        self.lines: dict[str, int] = {}  # where version, mode, max_age and each pattern stand first
        self.mx: dict[str, None] = {}
        self.mode: str | None = None
        self.max_age: int | None = None
        self._values: dict[str, str] = {}
        self._meant: set[str] = set()  # fields that stand there, if only people can see it
        self._near: set[int] = set()
        self._spacing_said = False
        self._unknown_fields = 0
        codes = {problem.line: problem.code for problem in problems}
        for number, line in enumerate(text.split("\n"), 1):
            self._line(number, line.removesuffix("\r"), codes.get(number))
        self._whole(text)
        self.notes += [
            Note(problem.code, problem.message, problem.line) for problem in problems if not self._explained(problem)
        ]

    def _explained(self, problem: Problem) -> bool:
        """Whether another finding says already what is behind the problem."""
        if problem.code == "field_name":
            return problem.line in self._near
        return problem.code.removeprefix("missing_") in self._meant

    def _note(self, code: str, message: str, line: int | None) -> None:
        self.notes.append(Note(code, message, line))

    def _line(self, number: int, line: str, problem: str | None) -> None:
        name, colon, value = line.partition(":")
        value = value.strip(" \t")
        if problem == "leading_space":
            self._meant.add(name.strip())
        if not colon or problem in _NO_FIELD:
            return
        if name == "mx":
            self._mx(number, value)
        elif name in _ONCE:
            self._once(number, name, value)
        elif meant := self._meant_field(name, value):
            self._meant.add(meant)
            self._near.add(number)
            self._note("near_key", f"the field is named {quoted(name)}: it must be {meant}", number)
            return
        elif problem is None:
            self._unknown(number, name, value)
        if line != f"{name}: {value}" and problem is None and not self._spacing_said:
            self._spacing_said = True
            self._note("spacing", "not exactly one space after the colon and none at the line's end", number)

    def _meant_field(self, name: str, value: str) -> str | None:
        """The same as the function; a text of thousands of unknown fields is no person's slip."""
        self._unknown_fields += 1
        return _meant_field(name, value) if self._unknown_fields <= _MOST_UNKNOWN_FIELDS else None

    def _mx(self, number: int, value: str) -> None:
        try:
            read = pattern(value)
        except InvalidName:
            return
        if read in self.mx:
            self._note("mx_twice", f"{read} is already in line {self.lines[read]}", number)
        elif read != value:
            self._note("mx_upper_case", f"{value} is not in lower case", number)
        self.mx[read] = None
        self.lines.setdefault(read, number)

    def _once(self, number: int, name: str, value: str) -> None:
        if name not in self._values:
            if name == "version" and (self._values or self.mx):
                self._note("version_not_first", "version is not the first field", number)
            self._values[name], self.lines[name] = value, number
            if name == "mode" and value in MODES:
                self.mode = value
            if name == "max_age" and _SECONDS.fullmatch(value) and int(value) <= LONGEST_MAX_AGE:
                self.max_age = int(value)
        elif value == self._values[name]:
            self._note("duplicate_field", f"{name} is already in line {self.lines[name]}", number)
        else:
            first = quoted(self._values[name])
            message = f"{name} is {quoted(value)}, but {first} in line {self.lines[name]}: some senders take the last"
            self._note("contradiction", message, number)

    def _unknown(self, number: int, name: str, value: str) -> None:
        self._note("unknown_field", f"senders do not know the field {name}", number)
        if ":" in value:
            self._note("field_colon", f"the value of {name} contains a colon: some senders refuse the policy", number)
        if not value.isascii():
            self._note("not_ascii", f"the value of {name} is not ASCII: some senders refuse the policy", number)

    def _whole(self, text: str) -> None:
        crlf = text.count("\r\n")
        lf = text.count("\n") - crlf
        if crlf and lf:
            self._note("line_ends_mixed", f"{crlf} lines end with CRLF, {lf} with LF", None)
        elif lf:
            self._note("line_ends_lf", "the lines end with LF", None)
        if not text.endswith("\n"):
            self._note("no_final_line_end", "the last line has no line end", None)


def _meant_field(name: str, value: str) -> str | None:
    """The field that a person meant by the name of an unknown one: one with the same letters, or one with a similar
    name whose value it has. A name that is like none of the four is an extension (RFC 8461 section 3.2), no mistake.
    """
    letters = NO_LETTER.sub("", name).lower()
    if len(letters) > LONGEST_MISSPELT:
        return None
    if letters in ("version", "mode", "mx", "maxage"):
        return "max_age" if letters == "maxage" else letters

    def alike(field: str) -> float:  # 0.5: half of the letters are the same and in order, as with ms and mx
        return SequenceMatcher(None, letters, field).ratio()

    if value.lower() == "stsv1":
        return "version"
    if value.lower() in MODES and alike("mode") >= 0.6:
        return "mode"
    if value.isdecimal() and alike("maxage") >= 0.6:
        return "max_age"
    return "mx" if alike("mx") >= 0.5 and "." in value and _is_pattern(value) else None


def _is_pattern(value: str) -> bool:
    try:
        return bool(pattern(value.removesuffix(".")))
    except InvalidName:
        return False
