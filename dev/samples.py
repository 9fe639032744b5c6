"""The sample policies of sample_policies.json, and loading them into a table that is still empty."""

import json
from pathlib import Path

from azure.data.tables import TableServiceClient

from policy_store.policy import Policy
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.history import History
from policy_store.tables.policies import TABLE as POLICY_TABLE
from policy_store.tables.policies import PolicyTable

_SAMPLES = Path(__file__).parent / "sample_policies.json"


def load(connection_string: str) -> int:
    """Make the tables where they are missing, add the samples if there is no policy, and return how many were added."""
    with TableServiceClient.from_connection_string(connection_string) as service:
        policies = PolicyTable(service.create_table_if_not_exists(POLICY_TABLE))
        history = History(service.create_table_if_not_exists(HISTORY_TABLE))
        if next(policies.rows(), None):
            return 0
        samples = json.loads(_SAMPLES.read_text(encoding="utf-8"))
        for sample in samples:
            policy = Policy.model_validate({column: sample[column] for column in ("mode", "mx", "max_age")})
            row = policies.add(sample["domain"], policy, sample["note"])
            history.record(row, policies, by="sample")
        return len(samples)
