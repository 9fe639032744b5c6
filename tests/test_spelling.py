"""Names that are nearly right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_store.spelling import meant, one_letter_away

_words = st.text("abc", max_size=6)


@pytest.mark.parametrize(
    ("one", "other"),
    [("domain", "domian"), ("domain", "domai"), ("domain", "domains"), ("domain", "romain"), ("mx", "xm"), ("a", "")],
)
def test_one_slip_is_one_letter_away(one: str, other: str) -> None:
    assert one_letter_away(one, other)
    assert one_letter_away(other, one)


@pytest.mark.parametrize(
    ("one", "other"), [("mode", "mode"), ("", ""), ("mode", "mx"), ("abcd", "badc"), ("abc", "bca"), ("a", "bcd")]
)
def test_the_same_and_what_is_further_is_not(one: str, other: str) -> None:
    assert not one_letter_away(one, other)


@given(_words, _words)
def test_it_is_the_same_in_both_directions(one: str, other: str) -> None:
    assert one_letter_away(one, other) == one_letter_away(other, one)


def test_the_name_that_was_meant_is_the_only_one_that_is_near() -> None:
    assert meant("alpine-denta.example", ["alpine-dental.example", "contoso.com"]) == "alpine-dental.example"
    assert meant("contoso.com", ["contoso.co", "contoso.cm"]) is None
    assert meant("contoso.com", ["contoso.com", "fabrikam.com"]) is None
