"""Text that strangers wrote, made fit for eyes: on a terminal and in a page."""


def clean(text: str) -> str:
    """`text` with control and bidirectional characters, which terminals and pages obey, shown by their numbers."""
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
