"""The page on agreement with senders says what a run of them says, and explains every difference."""

import pytest

from tests.lab.agreement import PAGE, Answers, ask_all, differences, explanations, page


@pytest.fixture(scope="module")
def answers() -> Answers:
    return ask_all()


def test_every_difference_is_explained_and_no_other(answers: Answers) -> None:
    assert differences(answers) == explanations().keys()


def test_the_page_says_what_the_senders_say(answers: Answers) -> None:
    assert PAGE.read_text(encoding="utf-8") == page(answers), "run 'python -m tests.lab.agreement'"
