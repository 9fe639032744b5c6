"""The sample policies of sample_policies.json with reports about them, and loading both into tables that are empty."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from azure.data.tables import TableServiceClient

from dev.sample_reports import sample_reports
from policy_store.policy import Policy
from policy_store.pool import ordered
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.history import History
from policy_store.tables.policies import TABLE as POLICY_TABLE
from policy_store.tables.policies import PolicyTable
from policy_store.tables.reports import TABLE as REPORT_TABLE
from policy_store.tables.reports import ReportTable

_SAMPLES = Path(__file__).parent / "sample_policies.json"


def load(connection_string: str) -> int:
    """Make the tables where they are missing, add the samples if there is no policy, and return how many were added.

    `age` is for how many days the text has been in force, `reports` says what its reports show.
    """
    with TableServiceClient.from_connection_string(connection_string) as service:
        policies = PolicyTable(service.create_table_if_not_exists(POLICY_TABLE))
        history = History(service.create_table_if_not_exists(HISTORY_TABLE))
        reports = ReportTable(service.create_table_if_not_exists(REPORT_TABLE))
        if next(policies.rows(), None):
            return 0
        samples = json.loads(_SAMPLES.read_text(encoding="utf-8"))
        reported = []
        for sample in samples:
            policy = Policy.model_validate({column: sample[column] for column in ("mode", "mx", "max_age")})
            row = policies.add(sample["domain"], policy, sample["note"])
            written = replace(row, modified=row.modified - timedelta(days=sample["age"]))
            history.record(written, policies, by="sample")
            reported.append((sample["domain"], policy, sample["reports"]))
        for _ in ordered(reports.add, sample_reports(reported, datetime.now(UTC))):
            pass
        return len(samples)
