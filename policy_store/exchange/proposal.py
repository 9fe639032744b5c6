"""What one place of a source says of one domain, and what is wrong there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from policy_store.lint.findings import Finding, Note, findings_of
from policy_store.names import InvalidName, mail_domain, quoted, trimmed
from policy_store.policy import Mode
from policy_store.tables.row import ColumnProblem, read_max_age, read_mode, read_mx

FIELDS = ("domain", "mode", "mx", "max_age", "customer", "note")


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a line, an object or a file says of one domain; None is said of a field where the source is silent.

    `file` is the source as people know it, `line` counts from 1 and is None for a file as a whole. With `problems`
    nothing of it is to come in. `unread` are the columns and keys with something in them that nothing reads.
    """

    file: str
    line: int | None
    domain: str | None
    mode: Mode | None = None
    mx: tuple[str, ...] | None = None
    max_age: int | None = None
    customer: str | None = None
    note: str | None = None
    problems: tuple[Finding, ...] = ()
    unread: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def of(cls, file: str, line: int | None, found: Mapping[str, Any], unread: Iterable[str] = ()) -> Self:
        """The proposal that the cells in `found` make, by field; what is empty there is not said. `unread` are columns
        and keys beside them, as people are to see them.
        """
        notes: list[Note] = []
        problems: list[ColumnProblem] = []
        domain = None
        try:
            domain = _read_domain(found.get("domain"))
        except InvalidName as error:
            notes.append(Note("domain_value", str(error), line))
        said = {field: value for field, value in found.items() if not _is_empty(value)}
        mode = read_mode(("mode", said["mode"]), problems) if "mode" in said else None
        mx = read_mx(("mx", said["mx"]), mode, problems) if "mx" in said else None
        max_age = read_max_age(("max_age", said["max_age"]), problems) if "max_age" in said else None
        customer, note = (_text(field, said.get(field), problems) for field in ("customer", "note"))
        notes += [Note(problem.code, str(problem), line) for problem in problems]
        findings = tuple(findings_of(notes, domain, file))
        return cls(file, line, domain, mode, mx, max_age, customer, note, findings, tuple(unread))

    @classmethod
    def refused(cls, file: str, line: int | None, notes: Iterable[Note], domain: str | None = None) -> Self:
        """A place from which nothing can come in."""
        return cls(file, line, domain, problems=tuple(findings_of(notes, domain, file)))

    @property
    def place(self) -> str:
        """Where it stands, for people: `list.csv line 3`."""
        return place_of(self.file, self.line)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Each problem as a sentence that begins with its place."""
        return tuple(map(sentence, self.problems))

    def with_problem(self, code: str, message: str) -> Self:
        """The same place with one more problem."""
        more = findings_of([Note(code, message, self.line)], self.domain, self.file)
        return replace(self, problems=(*self.problems, *more))

    def says_the_same(self, other: Self) -> bool:
        """Whether both say the same of the same domain."""
        return self == replace(other, file=self.file, line=self.line)


def place_of(file: str, line: int | None) -> str:
    """A place for people: the file, and the line where there is one."""
    return file if line is None else f"{file} line {line}"


def sentence(finding: Finding) -> str:
    """A finding in a file as a sentence: place, domain, what is wrong, its code, what to do."""
    who = f"{finding.domain}: " if finding.domain else ""
    place = place_of(finding.file or "", finding.line)
    return f"{place}: {who}{finding.message} ({finding.code}): {finding.remedy}"


def _read_domain(value: object) -> str:
    """The domain in a cell. Raises InvalidName, with the reason where other programs spoilt the letters."""
    text = "" if value is None else str(value)
    if "?" in text or "\ufffd" in text:
        hint = "PowerShell 5.1 writes ? for letters outside ASCII, so export with Export-Csv -Encoding UTF8"
        raise InvalidName(f"{quoted(text)} has a ? in place of a letter: {hint}")
    if not text.isascii() and _was_decoded_wrongly(text):
        raise InvalidName(f"{quoted(text)} is UTF-8 that a program read in another encoding: save it as 'CSV UTF-8'")
    return mail_domain(text)


def _was_decoded_wrongly(text: str) -> bool:
    try:
        return bool(text.encode("cp1252").decode("utf-8"))
    except UnicodeError:
        return False


def _is_empty(value: object) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not trimmed(value))


def _text(field: str, value: object, problems: list[ColumnProblem]) -> str | None:
    """A text for people, as it is; numbers count as texts. Half of a surrogate pair, which JSON can hold, is no text
    that can be stored.
    """
    if value is None:
        return None
    text = str(value)
    if isinstance(value, dict | list):
        problems.append(ColumnProblem(field, quoted(text), "it must be a text", "text_value"))
        return None
    try:
        text.encode("utf-8")
    except UnicodeError:
        reason = "it holds half of a character: write it again"
        problems.append(ColumnProblem(field, quoted(text), reason, "unreadable"))
    return text
