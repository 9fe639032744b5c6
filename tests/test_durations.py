"""Seconds as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_store.durations import DEFAULT_MAX_AGE, in_words, read_seconds
from policy_store.lint.linter import lint_policy
from policy_store.policy import Mode, Policy


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (604800, 604800),
        (604800.0, 604800),
        ("604800", 604800),
        (" 0604800\n", 604800),
        ("604800.0", 604800),
        ("604800\u200b", 604800),
        ("60d", 60 * 86400),
        ("60 days", 60 * 86400),
        ("1 Day", 86400),
        ("8w", 8 * 604800),
        ("2 WEEKS", 2 * 604800),
        ("36h", 36 * 3600),
        ("90s", 90),
        ("90 sec", 90),
        ("0", 0),
    ],
    ids=repr,
)
def test_one_meaning_is_read(value: object, seconds: int) -> None:
    assert read_seconds(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        None, True, -1, 604800.5, float("nan"), float("inf"), "", "a week", "1.5d", "5m", "604.800", "604,800",
        "604.000", "6,048E+05", "-1", "60dd", "60 d w", "٦٠", "1" * 11, b"604800", ["604800"],
    ],
    ids=repr,
)  # fmt: skip
def test_what_has_none_or_two_is_not(value: object) -> None:
    assert read_seconds(value) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1209600, "2 weeks"),
        (604800, "1 week"),
        (86400, "1 day"),
        (3600, "1 hour"),
        (90, "90 seconds"),
        (0, "0 seconds"),
    ],
)
def test_the_words_are_for_people(seconds: int, words: str) -> None:
    assert in_words(seconds) == words


@given(st.integers(0, 31557600))
def test_the_words_are_read_back(seconds: int) -> None:
    if not in_words(seconds).endswith(("minute", "minutes")):
        assert read_seconds(in_words(seconds)) == seconds


@pytest.mark.parametrize("mode", ["testing", "enforce"])
def test_lint_has_nothing_to_say_of_the_default(mode: Mode) -> None:
    assert lint_policy(Policy(mode=mode, mx=("mx.contoso.com",), max_age=DEFAULT_MAX_AGE), domain="contoso.com") == []
