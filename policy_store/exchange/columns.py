"""Which field of a policy the columns of a list and the keys of an object are for, and which names are nearly right."""

import re
from collections.abc import Container, Iterable, Sequence
from difflib import get_close_matches
from unicodedata import normalize

from policy_store.names import quoted, trimmed
from policy_store.spelling import one_letter_away

# Spelt without letter case, spaces and punctuation. Exchange Online's PowerShell writes DomainName, its admin centre
# "Accepted domain", Storage Explorer PartitionKey; the others are what the admin centres say in other languages.
_FIELDS = {
    "domain": "domain",
    "domains": "domain",
    "domainname": "domain",
    "accepteddomain": "domain",
    "customdomain": "domain",
    "maildomain": "domain",
    "emaildomain": "domain",
    "partitionkey": "domain",
    "domäne": "domain",
    "domänenname": "domain",
    "akzeptiertedomäne": "domain",
    "domaine": "domain",
    "nomdedomaine": "domain",
    "dominio": "domain",
    "nombrededominio": "domain",
    "domein": "domain",
    "domeinnaam": "domain",
    "mode": "mode",
    "mx": "mx",
    "maxage": "max_age",
    "customer": "customer",
    "note": "note",
    "notes": "note",
}
# What Entra and Microsoft Graph call the domain. Elsewhere they are numbers or names, so the first value has to be one.
_WEAK = ("id", "name", "identity")
_PUNCTUATION = re.compile(r"[\s_-]+")
_NO_LETTER = re.compile(r"[\W\d_]+")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_TYPE = "@type"  # Storage Explorer has the EDM type of each column in another

# What this product writes beside the fields: cells of the table, and what `list` and `show` say of a policy.
_OF_TABLE = {"rowkey", "timestamp", "change", "etag", "odata.etag"}
_OF_LIST = {"id", "since", "dns", "problems"}
_OF_SHOW = {"reports", "text", "by", "modified"}

_NEAR = ("domain", "mode", "maxage", "customer", "note")
_NEAR_MX = ("mx", "ms", "mc", "mz", "nx", "xm", "mxs", "mxx", "mmx")
_WORDS = ("code", "node", "model", "modem", "vote", "not")  # other words that are one letter away
_ALIKE = 0.7  # of 1, for names that are less near than one letter
_OUTRIGHT = ("domain", "mode", "mx")  # as one word of a name, as in "MX records"


def field_of(name: str) -> str | None:
    """The field that a name of a column or key stands for; None for another name."""
    return _FIELDS.get(_PUNCTUATION.sub("", _plain(name)))


def _plain(name: str) -> str:
    """The name in lower case, with the usual letters in place of full-width ones and the like."""
    name = trimmed(name)
    return (name if name.isascii() else normalize("NFKC", name)).casefold()


def is_weak(name: str) -> bool:
    """Whether a column of this name holds the domains in lists of Entra, and in other lists something else."""
    return trimmed(name).casefold() in _WEAK


def near_names(names: Sequence[str]) -> Iterable[tuple[str, str]]:
    """The names that are nearly those of a field, each with the field; among them names whose field another has, since
    a second column for patterns would be lost.
    """
    given = {"domain" if is_weak(name) else field_of(name) for name in names}
    for name in names:
        if field_of(name) is None and not name.endswith(_TYPE) and (field := _near(name, given)):
            yield name, field


def unread(names: Sequence[str], read: Container[int]) -> dict[int, str]:
    """The names, by their places, that stand neither for a field nor for what this product writes beside the fields,
    as people are to see them; `read` are the places that are read.
    """
    keys = [trimmed(name).casefold() for name in names]
    ours = _OF_TABLE | (_OF_LIST | _OF_SHOW if set(keys) >= _OF_LIST else set())
    given = {field_of(name) for at, name in enumerate(names) if at in read}
    return {
        at: _with_hint(name, given) if trimmed(name) else f"column {at + 1}, which has no name"
        for at, name in enumerate(names)
        if at not in read and keys[at] not in ours and not name.endswith(_TYPE)
    }


def _with_hint(name: str, given: set[str | None]) -> str:
    letters = _NO_LETTER.sub("", _plain(name))
    near = [] if letters in _WORDS else get_close_matches(letters, _NEAR, 1, _ALIKE)
    return quoted(name) + "".join(f" (did you mean {_FIELDS[key]}?)" for key in near if _FIELDS[key] not in given)


def said(names: Iterable[str]) -> str:
    """The names for an error message."""
    return ", ".join(quoted(name) for name in names) or "no name at all"


def _near(name: str, given: set[str | None]) -> str | None:
    letters = _NO_LETTER.sub("", _plain(name))
    if letters in _NEAR_MX:
        return "mx"
    if letters.startswith("maxage") and "max_age" not in given:
        return "max_age"
    for key in _NEAR:
        if letters == key or (one_letter_away(letters, key) and letters not in _WORDS):
            return _FIELDS[key]
    words = [word.casefold() for word in _WORD.findall(name)]
    if "max_age" not in given and "max" in words and "age" in words:
        return "max_age"
    return next((field for field in _OUTRIGHT if field in words and field not in given), None)
