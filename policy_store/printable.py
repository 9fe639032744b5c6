"""Text that strangers wrote, made fit for eyes: on a terminal and in a page."""

import unicodedata


def clean(text: str) -> str:
    """`text` with control and bidirectional characters, which terminals and pages obey, shown by their numbers, and
    every kind of space as a plain one.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(mark: str) -> str:
    if mark.isprintable() or mark in "\n\t":
        return mark
    if unicodedata.category(mark) == "Zs":
        return " "
    return f"\\x{ord(mark):02x}" if ord(mark) < 256 else f"\\u{ord(mark):04x}"
