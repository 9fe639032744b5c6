"""Texts for people in the cells of a spreadsheet: kept unchanged, whatever a spreadsheet would make of them.

A cell that begins like a formula is run, one that looks like a number or a date is changed. An apostrophe in front
keeps such a text a text, and is taken off when the cell is read.
"""

import re

from policy_store.names import trimmed

_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"  # the last four are full-width, which some spreadsheets take as well
_CONTROL = "\t\r\n"
# What Excel takes for numbers, dates, times and truth values, in the languages of most of its users. Too many are no
# harm: an apostrophe more is all that a person sees.
_LETTER = re.compile(r"[^\W\d_]")
_DIGIT = re.compile(r"\d")
_EXPONENT = re.compile(r"[\d.,\s]+e[-+]?\d+", re.IGNORECASE)
_TIME = re.compile(r"[\d:.,\s]+[ap]\.?m?\.?", re.IGNORECASE)
_MONTH = re.compile(
    r"[\W\d_]*(?:jan|feb|fév|fev|mar|mär|apr|avr|abr|mai|may|mag|maj|mei|jun|jui|giu|jul|lug|aug|aoû|ago|sep|set|oct|okt|ott"
    r"|out|nov|dec|dez|dic|déc)[^\W\d_]*[\W\d_]*",
    re.IGNORECASE,
)
_TRUTH = ("true", "false", "wahr", "falsch", "vrai", "faux", "verdadero", "falso", "vero", "waar", "onwaar", "prawda")


def to_cell(text: str) -> str:
    """`text` as a cell that a spreadsheet keeps."""
    return f"'{text}" if _would_change(text) else text


def from_cell(cell: str) -> str:
    """The text that `to_cell` made the cell from."""
    return cell[1:] if cell.startswith("'") and _would_change(cell) else cell


def _would_change(text: str) -> bool:
    """Whether a spreadsheet would run or change the text; of one that begins with apostrophes, the text after them."""
    core = text.lstrip("'")
    if core[:1] and core[0] in _CONTROL:
        return True
    shown = trimmed(core)
    if shown[:1] and shown[0] in _FORMULA:
        return True
    if shown.casefold() in _TRUTH:
        return True
    if not _DIGIT.search(shown):
        return False
    looks = (_EXPONENT, _TIME, _MONTH)
    return not _LETTER.search(shown) or any(look.fullmatch(shown) for look in looks)
