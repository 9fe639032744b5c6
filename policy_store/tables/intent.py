"""The cell `change` of a row: who wrote its text, why, and the id that it is to keep.

A command writes it together with the text, in one request, so that whoever records the row, the command, another
command, a worker or the audit, records the same revision. It is tied to the text and to the revision before it: after
an edit by hand, even one that brings the same text back later, it belongs to nothing any more.
"""

import hashlib
import json
from dataclasses import dataclass

_LONGEST = 4096  # characters of a cell that is read: a command writes far less


@dataclass(frozen=True, slots=True)
class Intent:
    """Who writes a text, why, and the id that DNS shows for it already (None: it gets a new one).

    `tie` binds it to the text and to the key of the newest revision before it.
    """

    by: str
    why: str = ""
    id: str | None = None
    tie: str = ""

    @classmethod
    def read(cls, cell: object) -> "Intent | None":
        """The intent in a cell; None where the cell holds none, as after an edit by hand."""
        if not isinstance(cell, str) or len(cell) > _LONGEST:
            return None
        try:
            found = json.loads(cell)
        except (ValueError, RecursionError):
            return None
        if not isinstance(found, dict):
            return None
        by, why, tie, id_ = found.get("by"), found.get("why", ""), found.get("tie"), found.get("id")
        if not (isinstance(by, str) and isinstance(why, str) and isinstance(tie, str)):
            return None
        return cls(by, why, id_ if isinstance(id_, str) else None, tie)

    def tied(self, text: str, before: str) -> "Intent":
        """The same for a policy text that follows the revision with the key `before`, empty for the first one."""
        return Intent(self.by, self.why, self.id, _tie(text, before))

    def belongs_to(self, text: str, before: str) -> bool:
        """Whether it was written with this text, after the revision with the key `before`."""
        return self.tie == _tie(text, before)

    @property
    def cell(self) -> str:
        """The cell as it is stored."""
        fields = {"by": self.by, "why": self.why, "id": self.id, "tie": self.tie}
        return json.dumps({name: value for name, value in fields.items() if value}, ensure_ascii=False)


def _tie(text: str, before: str) -> str:
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()[:32]
