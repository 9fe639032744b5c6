"""A short try of the model of serving; `make test-long` tries it for longer."""

import pytest
from azure.data.tables import TableClient
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.serving_model import ServingModel, quicken


def test_the_promises_of_serving_hold_in_any_order(
    policies_client: TableClient, history_client: TableClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Model(ServingModel):
        clients = staticmethod(lambda: (policies_client, history_client))

    quicken(monkeypatch)
    run_state_machine_as_test(Model, settings=settings(max_examples=30, stateful_step_count=40))
