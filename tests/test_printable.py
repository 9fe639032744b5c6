"""What strangers wrote is shown, and obeyed by nobody."""

from policy_store.printable import clean


def test_what_a_terminal_or_a_page_would_obey_is_shown_by_its_number() -> None:
    assert clean("a\x1b[31m\u202eb\u200bc\x7f") == "a\\x1b[31m\\u202eb\\u200bc\\x7f"


def test_a_space_of_any_kind_is_a_space() -> None:
    assert clean("M\u00fcller\u00a0GmbH\u202f: 1\u30002") == "Müller GmbH : 1 2"


def test_lines_and_tabs_stay() -> None:
    assert clean("a\n\tb") == "a\n\tb"
