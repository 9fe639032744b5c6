"""How senders read a record and a policy text: by the letter of RFC 8461, as Postfix does through
postfix-mta-sts-resolver, and as forgivingly as mailauth does for ZoneMTA.

They differ where mail is at stake: a text that the RFC refuses, and so protects nothing, may be one that Postfix takes
and then finds no MX host in.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from policy_store.policy import LARGEST_TEXT, LONGEST_MAX_AGE, MODES, Policy, PolicySyntaxError
from policy_store.txt_records import RecordSyntaxError, StsRecord, sts_records

_TEXTS = 16  # texts whose readings are kept: a check asks several times for that of each
_LAX_RECORD = re.compile(r"v=stsv1[ \t]*;", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.IGNORECASE | re.ASCII)
_PREFIXED = re.compile(r"0x[0-9a-f]{1,9}|0o[0-7]{1,12}|0b[01]{1,32}", re.IGNORECASE)
# What JavaScript's trim() takes off.
_SPACE = "\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200B)))
_LINE_END = re.compile(r"\r?\n")
# What breaks Postfix's table entry in two, so that it finds its TLS configuration wrong and sends nothing.
_BREAKS_THE_ENTRY = re.compile(r"[ \t\r\n,]")
_IPV4 = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})", re.ASCII)


class Reading(Protocol):
    """A policy as some sender understands it."""

    @property
    def mode(self) -> str:
        """One of enforce, testing and none."""

    def matches(self, mx_host: str, /) -> bool:
        """Whether the sender finds the MX host allowed."""


@dataclass(frozen=True, slots=True)
class PostfixReading:
    """What postfix-mta-sts-resolver 1.5 tells Postfix: the last of repeated fields counts, blank lines and lines that
    it does not know are passed over, and a pattern is whatever stands after `mx:`.
    """

    mode: str
    mx: tuple[str, ...]

    def matches(self, mx_host: str) -> bool:
        """Whether Postfix finds the host in `match=`, which has the patterns without leading asterisks, divided by
        colons: the name itself, or any name below one that starts with a dot.

        Whatever breaks the entry stops all mail: white space or a comma in any pattern, or nothing left to match. So
        does an IPv4 address, since OpenSSL then asks for a certificate with that address.
        """
        host = mx_host.lower().removesuffix(".")
        entries = [part.lower() for mx in self.mx for part in _entries(mx)]
        if self.breaking:
            return False
        return any(host.endswith(name) if name.startswith(".") else host == name for name in entries)

    @property
    def breaking(self) -> str:
        """A pattern that breaks the entry, whatever the others are; empty if there is none."""
        broken = (mx for mx in self.mx if _BREAKS_THE_ENTRY.search(mx) or any(map(_is_ipv4, _entries(mx))))
        return next(broken, "")


@dataclass(frozen=True, slots=True)
class LaxReading:
    """What mailauth 5 makes of a text unless it is told to be strict: the first of repeated fields counts, letter case
    and outer white space do not.
    """

    mode: str
    mx: tuple[str, ...]

    def matches(self, mx_host: str) -> bool:
        """Whether a pattern is the host, or stands for it with `*.` in place of its first label."""
        host = mx_host.lower().removesuffix(".")
        label, _, parent = host.partition(".")
        names = {mx.removesuffix(".") for mx in self.mx}
        return bool(label) and (host in names or (bool(parent) and f"*.{parent}" in names))


def has_policy_id(records: Sequence[str]) -> bool:
    """Whether a sender goes on to fetch a policy: exactly one TXT record for MTA-STS, and that in order (RFC 8461
    section 3.1).
    """
    found = sts_records(records)
    try:
        return len(found) == 1 and bool(StsRecord.parse(found[0]).id)
    except RecordSyntaxError:
        return False


def postfix_takes(records: Sequence[str]) -> bool:
    """Whether postfix-mta-sts-resolver goes on to fetch a policy: it takes any id, and the last of two."""
    found = [text for text in records if text.isascii() and text.startswith("v=STSv1")]
    if len(found) != 1:
        return False
    fields = [field.strip() for field in found[0].split(";")]
    values = dict(field.partition("=")[::2] for field in fields if field)
    return values.get("v") == "STSv1" and "id" in values


def lax_takes(records: Sequence[str]) -> bool:
    """Whether mailauth goes on to fetch a policy: letter case and white space do not count."""
    found = [text.strip(_SPACE) for text in records if _LAX_RECORD.match(text.strip(_SPACE))]
    if len(found) != 1:
        return False
    fields = [field.strip(_SPACE).partition("=") for field in found[0].split(";")[1:]]
    return any(name.strip(_SPACE).lower() == "id" and bool(value.strip(_SPACE)) for name, _, value in fields)


@lru_cache(_TEXTS)
def strict_reading(text: bytes) -> Policy | None:
    """The policy by RFC 8461 section 3.2; None where the text is not one."""
    try:
        return Policy.parse(text)
    except PolicySyntaxError:
        return None


@lru_cache(_TEXTS)
def postfix_reading(text: bytes, charset: str = "utf-8") -> PostfixReading | None:
    """The policy as postfix-mta-sts-resolver reads the text of an answer with this charset; None where it refuses."""
    if len(text) > LARGEST_TEXT:
        return None
    fields: dict[str, str] = {}
    patterns: list[str] = []
    try:
        lines = text.decode(charset).splitlines()
    except (UnicodeError, LookupError):
        return None
    for line in lines:
        name, _, value = line.rstrip().partition(":")
        if name == "mx":
            patterns.append(value.lstrip())
        else:
            fields[name] = value.lstrip()
    try:
        max_age = int(fields.get("max_age", "-1"))
    except ValueError:
        return None
    mode = fields.get("mode")
    usable = fields.get("version") == "STSv1" and 0 <= max_age <= LONGEST_MAX_AGE and mode in MODES
    if mode is None or not usable or (mode != "none" and not patterns):
        return None
    return PostfixReading(mode, tuple(patterns))


@lru_cache(_TEXTS)
def lax_reading(text: bytes) -> LaxReading | None:
    """The policy as mailauth reads a text; None where it refuses it."""
    fields: dict[str, str] = {}
    patterns: dict[str, None] = {}
    for line in _LINE_END.split(text.decode("utf-8", "replace")):
        name, colon, value = line.partition(":")
        name, value = name.lower().strip(_SPACE), value.strip(_SPACE)
        if name == "mx" and colon:
            patterns[value.lower()] = None
        elif colon:
            fields.setdefault(name, value)
    mode = fields.get("mode", "").lower()
    usable = fields.get("version") == "STSv1" and mode in MODES and _is_max_age(fields.get("max_age"))
    if not usable or (mode != "none" and not patterns):
        return None
    return LaxReading(mode, tuple(patterns))


def _is_max_age(text: str | None) -> bool:
    """Whether JavaScript's Number() makes a time of the text: an empty one is 0."""
    if text and _PREFIXED.fullmatch(text):
        return int(text, 0) <= LONGEST_MAX_AGE
    if text is None or (text and not _NUMBER.fullmatch(text)):
        return False
    return not text or (math.isfinite(float(text)) and 0 <= float(text) <= LONGEST_MAX_AGE)


def _entries(mx: str) -> list[str]:
    """What a pattern becomes in Postfix's `match=`."""
    return [part for part in mx.lstrip("*").split(":") if part]


def _is_ipv4(name: str) -> bool:
    match = _IPV4.fullmatch(name)
    return match is not None and all(int(part) < 256 for part in match.groups())
