"""The model of serving, tried for some minutes: `make test-long`."""

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
    run_state_machine_as_test(Model, settings=settings(max_examples=120, stateful_step_count=50))
