"""A change is whole, cut off at every point of every operation, with and without an audit before it is repeated."""

import pytest

from dev.azurite import Azurite
from policy_store.tables.store import Store
from tests.changes.cutting import Phase
from tests.changes.test_whole import STEPS, breaks_off, store

__all__ = ["store"]


@pytest.mark.parametrize("audited", [False, True])
@pytest.mark.parametrize("number", range(1, 8))
@pytest.mark.parametrize("phase", ["before", "within", "after"])
@pytest.mark.parametrize("name", STEPS)
def test_a_change_that_breaks_off_is_there_whole_after_it_is_repeated(
    azurite: Azurite, store: Store, name: str, number: int, phase: Phase, *, audited: bool
) -> None:
    breaks_off(azurite, store, name, number, phase, audited=audited)
