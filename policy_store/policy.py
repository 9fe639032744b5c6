"""The MTA-STS policy of RFC 8461 section 3.2: what it may hold, its text, and which MX hosts it allows.

A sending server fetches the text, keeps it for `max_age` seconds, and under `enforce` delivers only over verified TLS
to MX hosts that one of the `mx` patterns matches.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from policy_store.names import InvalidName, host_name, quoted

type Mode = Literal["enforce", "testing", "none"]

MODES: tuple[Mode, ...] = ("enforce", "testing", "none")
LONGEST_MAX_AGE = 31557600  # seconds, about a year: RFC 8461 section 3.2
LARGEST_TEXT = 64 * 1024  # bytes: RFC 8461 section 3.3 lets senders stop reading there

_FIELD = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]{0,31}):(?P<value>.*)", re.DOTALL)
_MAX_AGE = re.compile(r"[0-9]{1,10}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_REQUIRED = ("version", "mode", "max_age")


def pattern(text: str) -> str:
    """The `mx` pattern `text` in lower case: a host name of two labels or more, or `*.` and a host name (RFC 8461
    section 4.1). One label is the name of no MX host in DNS, and no mail arrives by it in enforce.

    Raises InvalidName.
    """
    if text == "*":
        raise InvalidName("'*' matches no MX host and stops all mail in enforce: name the hosts, or '*.' and a domain")
    name = text.removeprefix("*.")
    if "*" in name:
        raise InvalidName(f"{quoted(text)}: a wildcard is allowed only as the whole first label, as in '*.example.com'")
    found = host_name(name)
    if "." not in found and name == text:
        raise InvalidName(f"{quoted(text)} is only one label: write the full name of the MX host")
    return text[: len(text) - len(name)] + found


class Policy(BaseModel):
    """What a domain asks of senders (RFC 8461 section 3.2).

    `mx` holds patterns in lower case, each once, in the order given; at least one unless the mode is `none`. `max_age`
    is in seconds. Raises pydantic's ValidationError for anything that no policy may hold.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode
    mx: tuple[Annotated[str, AfterValidator(pattern)], ...] = Field(default=(), validate_default=True)
    max_age: Annotated[int, Field(strict=True, ge=0, le=LONGEST_MAX_AGE)]

    @field_validator("mx")
    @classmethod
    def _has_patterns(cls, mx: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not mx and info.data.get("mode") in ("enforce", "testing"):
            raise ValueError("at least one mx pattern is needed unless the mode is none")
        return tuple(dict.fromkeys(mx))

    @property
    def text(self) -> str:
        """The text that is served: ASCII, CRLF after every line, in the one form that every known sender accepts."""
        lines = ["version: STSv1", f"mode: {self.mode}", *(f"mx: {mx}" for mx in self.mx), f"max_age: {self.max_age}"]
        return "".join(f"{line}\r\n" for line in lines)

    def matches(self, mx_host: str) -> bool:
        """Whether some pattern allows the MX host name (RFC 8461 section 4.1): letter case and one trailing dot do not
        count, and a wildcard stands for exactly one label.
        """
        host = mx_host.lower().removesuffix(".")
        first_label, dot, parent = host.partition(".")
        return host in self.mx or bool(first_label and dot and parent and f"*.{parent}" in self.mx)

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """The policy that `text` holds, read strictly by RFC 8461 section 3.2.

        Lines end with LF or CRLF, one line end after the last is optional, the order is free. Of a version, mode or
        max_age given twice the first counts, unknown fields are ignored. Raises PolicySyntaxError with every problem.
        """
        reader = _Reader()
        reader.read(_decoded(text))
        if reader.problems:
            raise PolicySyntaxError(reader.problems)
        return cls.model_validate({"mode": reader.mode, "mx": reader.mx, "max_age": reader.max_age})


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a policy text: the line (the first is 1, None for the text as a whole), a code that stays
    the same between versions, and a sentence that says how to fix it.
    """

    line: int | None
    code: str
    message: str

    def __str__(self) -> str:
        return self.message if self.line is None else f"line {self.line}: {self.message}"


class PolicySyntaxError(ValueError):
    """A text is not a policy; `problems` holds everything wrong with it, in the order of the lines."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line or 0))
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "; ".join(map(str, self.problems))


def _decoded(text: str | bytes) -> str:
    """`text` as characters; PolicySyntaxError where no line of it can be read at all."""
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    if size > LARGEST_TEXT:
        raise PolicySyntaxError(
            [Problem(None, "too_large", f"the text has {size} bytes: senders stop reading at {LARGEST_TEXT}")]
        )
    if isinstance(text, str):
        return text
    if text.startswith((b"\xff\xfe", b"\xfe\xff")) or _is_utf16(text):
        raise PolicySyntaxError([Problem(1, "utf16", "the text is UTF-16: save it as UTF-8 without a byte order mark")])
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise PolicySyntaxError(
            [Problem(line, "not_utf8", f"byte 0x{text[error.start]:02x} is not UTF-8: save the text as ASCII")]
        ) from error


def _is_utf16(text: bytes) -> bool:
    """Whether the text is UTF-16 without a byte order mark: as for any text in ASCII, every other byte is 0."""
    odd, even = text[1::2], text[::2]
    zeros = max(odd.count(0), even.count(0))
    return zeros > 1 and 2 * zeros > len(odd) and min(odd.count(0), even.count(0)) * 10 < zeros


class _Reader:
    """Reads the lines of one text and gathers fields and problems."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.seen: set[str] = set()
        self.mode: str | None = None
        self.max_age: int | None = None
        self.mx: list[str] = []

    def read(self, text: str) -> None:
        if text.startswith("\ufeff"):
            self._problem(1, "bom", "the text starts with a byte order mark: save it as UTF-8 without one")
            text = text[1:]
        lines = text.split("\n")
        if len(lines) > 1 and not lines[-1]:
            lines.pop()  # the optional line end after the last line
            ended = True
        else:
            ended = False
        for number, line in enumerate(lines, 1):
            # A CR belongs to the line end only where an LF follows it.
            self._line(number, line.removesuffix("\r") if ended or number < len(lines) else line)
        for name in _REQUIRED:
            if name not in self.seen:
                self._problem(None, f"missing_{name}", f"the line '{name}: …' is missing")
        if "mx" not in self.seen and self.mode != "none":
            self._problem(None, "missing_mx", "the line 'mx: …' is missing: only a policy of mode none may lack it")

    def _problem(self, line: int | None, code: str, message: str) -> None:
        self.problems.append(Problem(line, code, message))

    def _line(self, number: int, line: str) -> None:
        field = _FIELD.fullmatch(line)
        if not line.strip(" \t"):
            self._problem(number, "blank_line", "the line is blank: some senders refuse the text, delete it")
        elif line[0] in " \t":
            self._problem(number, "leading_space", "the line starts with white space: delete that")
        elif line[0] in "#;":
            self._problem(number, "comment", "a policy has no comments: delete the line")
        elif "\r" in line:
            self._problem(number, "lone_cr", "a CR stands without an LF: end lines with CRLF or LF")
        elif control := _CONTROL.search(line.replace("\t", " ")):
            self._problem(number, "control_character", f"character U+{ord(control[0]):04X} is not allowed: delete it")
        elif field:
            self._field(number, field["name"], field["value"].strip(" \t"))
        elif ":" in line:
            self._problem(number, "field_name", f"{quoted(line)}: a field is a name and, right after it, a colon")
        else:
            self._problem(number, "no_colon", f"{quoted(line)} is no field: write 'name: value', or delete the line")

    def _field(self, number: int, name: str, value: str) -> None:
        if name == "mx":
            self.seen.add(name)
            self._mx(number, value)
        elif name in _REQUIRED:
            if name not in self.seen:  # RFC 8461 section 3.2: all but the first are ignored
                self.seen.add(name)
                getattr(self, f"_{name}")(number, value)
        elif not value:
            self._problem(number, "empty_value", f"the field {name} has no value: delete the line")
        elif "\t" in value:
            self._problem(number, "control_character", f"a tab stands in the value of {name}: delete it")

    def _version(self, number: int, value: str) -> None:
        if value != "STSv1":
            self._problem(number, "version_value", f"version is {quoted(value)}: it must be STSv1")

    def _mode(self, number: int, value: str) -> None:
        self.mode = value
        if value not in MODES:
            self._problem(number, "mode_value", f"mode is {quoted(value)}: it must be enforce, testing or none")

    def _max_age(self, number: int, value: str) -> None:
        if _MAX_AGE.fullmatch(value) and int(value) <= LONGEST_MAX_AGE:
            self.max_age = int(value)
        else:
            self._problem(
                number, "max_age_value", f"max_age is {quoted(value)}: it must be seconds from 0 to {LONGEST_MAX_AGE}"
            )

    def _mx(self, number: int, value: str) -> None:
        try:
            self.mx.append(pattern(value))
        except InvalidName as error:
            self._problem(number, "mx_value", f"mx {error}")
