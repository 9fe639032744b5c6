"""docs/costs.md: its arithmetic is right, and the counts in it are those of the code and the template."""

import logging
import math
import re
from pathlib import Path

import pytest
from azure.data.tables import TableClient

from policy_store.answering import ANSWER
from policy_store.settings import Settings
from policy_store.tables.entry import walk
from policy_store.tables.history import History
from policy_store.tables.policies import PolicyTable

_ROOT = Path(__file__).parents[1]
_PAGE = " ".join((_ROOT / "docs" / "costs.md").read_text(encoding="utf-8").split())
_SIGNS = str.maketrans({"\N{MULTIPLICATION SIGN}": "*", "\N{DIVISION SIGN}": "/"})
_NUMBER = r"[0-9][0-9,]*(?:\.[0-9]+)?(?: GB-s| GB| s)?"
_EQUATION = re.compile(rf"({_NUMBER}(?: [+*/] {_NUMBER})+) = ({_NUMBER})")
_REQUESTS = "azure.core.pipeline.policies.http_logging_policy"


def _value(number: str) -> float:
    return float(re.sub("[^0-9.]", "", number))


def _product(factors: str) -> float:
    first, *others = re.split(r" (?=[*/])", factors)
    value = _value(first)
    for other in others:
        value = value * _value(other) if other.startswith("*") else value / _value(other)
    return value


def test_every_equation_is_right_to_its_last_digit() -> None:
    page = _PAGE.translate(_SIGNS)
    equations = _EQUATION.findall(page)
    assert len(equations) == len(re.findall(r" = [0-9]", page))
    assert len(equations) > 30
    for products, said in equations:
        _, _, decimals = re.sub("[^0-9.]", "", said).partition(".")
        result = sum(map(_product, products.split(" + ")))
        assert math.isclose(result, _value(said), abs_tol=0.501 / 10 ** len(decimals)), f"{products} = {said}"


def test_the_counts_are_those_of_the_settings_and_of_the_template() -> None:
    """60 seconds; a web test from 5 places every 15 minutes; 7 alert rules and an hourly one; 2,048 MB; 90 days."""
    assert Settings.read({"POLICY_STORE": "UseDevelopmentStorage=true"}).fresh_seconds == 60
    alerts = (_ROOT / "infra" / "alerts.bicep").read_text(encoding="utf-8")
    assert "Frequency: 900\n" in alerts
    assert len(re.findall(r"'[a-z]+-[a-z]+-[a-z]+-[a-z]+'\n", alerts)) == 5
    assert (alerts.count("daily: false"), alerts.count("daily: true")) == (7, 1)
    main = (_ROOT / "infra" / "main.bicep").read_text(encoding="utf-8")
    assert "instanceMemoryMB: 2048\n" in main
    assert "retentionInDays: 90\n" in main


def test_an_answers_line_has_as_many_bytes_as_the_page_says() -> None:
    values = ("contoso.com", "fresh", 200, "20261124193000Z", 0, "'mta-sts.contoso.com'", "'postfix-tlspol/1.0'")
    assert f"line is {len(ANSWER % values)} bytes" in _PAGE


def test_an_audit_costs_a_request_for_each_page_of_1000_entities(
    policies_client: TableClient, history_client: TableClient, caplog: pytest.LogCaptureFixture
) -> None:
    """No row is one page, and 1,001 revisions are two."""
    id_ = "20261124193000Z"
    for start in range(0, 1001, 100):
        revisions = [
            {"PartitionKey": "contoso.com", "RowKey": f"{1000 + number}{id_[4:]}", "id": id_, "text": ""}
            for number in range(start, min(start + 100, 1001))
        ]
        history_client.submit_transaction([("create", revision) for revision in revisions])
    with caplog.at_level(logging.INFO, logger=_REQUESTS):
        (entry,) = walk(PolicyTable(policies_client), History(history_client))
    assert len(entry.revisions) == 1001
    assert sum("Request URL" in record.getMessage() for record in caplog.records) == 1 + 2
