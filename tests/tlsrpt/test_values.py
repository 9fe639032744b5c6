"""Texts of a report are safe to print."""

from hypothesis import given
from hypothesis import strategies as st

from policy_store.tlsrpt.values import LONGEST_TEXT, clean


def test_texts_lose_what_a_terminal_or_a_page_would_obey_and_are_cut() -> None:
    cleaned = clean("\x1b[31mred\u202e\u2028\n\0<b>" + "x" * 10_000)
    assert cleaned.startswith("[31mred")
    assert cleaned.isprintable()
    assert len(cleaned) == LONGEST_TEXT
    assert clean("  B\u00fccher \t\r\n GmbH ") == "B\u00fccher GmbH"


@given(st.text(max_size=400))
def test_a_clean_text_is_one_printable_line(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned) <= LONGEST_TEXT
    assert not any(letter in cleaned for letter in "\r\n\x1b\0\u2028")
    assert clean(cleaned) == cleaned
