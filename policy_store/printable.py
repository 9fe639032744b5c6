"""Text that strangers wrote, made fit for eyes: on a terminal and in a page."""


def clean(text: str) -> str:
    """`text` without what a terminal or a page would obey: such characters, control and bidirectional ones, as numbers."""
    if text.isprintable():
        return text
    return "".join(
        mark
        if mark.isprintable() or mark in "\n\t"
        else f"\\x{ord(mark):02x}"
        if ord(mark) < 256
        else f"\\u{ord(mark):04x}"
        for mark in text
    )
