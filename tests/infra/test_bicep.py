"""The check of infra/ finds nothing there, and finds nearly every slip that could be made there."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
from pycep import BicepParser

from dev import bicep, package
from policy_store.audit import AuditReport
from policy_store.azure.publisher import Tally
from policy_store.serving import Outcome
from tests.checkout import tracked

ROOT = Path(__file__).parents[2]
MISSED = ROOT / "tests" / "data" / "bicep_missed.json"
FILES = {path.name: path.read_text(encoding="utf-8") for path in tracked("infra/*.bicep")}
# A property's name and a value of one word, alone or as one of two in a choice.
_PROPERTY = re.compile(r"^ +'?([\w.]+)'?: ", re.MULTILINE)
_VALUE = re.compile(r"(?<=[:?] )'([\w.,|-]+)'(?= :|$)", re.MULTILINE)
_RESOURCE_NAME = "  name: "  # free, as far as the types go


def slips(text: str) -> Iterator[tuple[str, str]]:
    """Each property name and each value in turn without its last letter: where it was, and the file with it."""
    for pattern in (_PROPERTY, _VALUE):
        for match in pattern.finditer(text, text.index("\nvar ")):
            line = text[text.rindex("\n", 0, match.start(1)) + 1 :].splitlines()[0]
            if pattern is _PROPERTY or not line.startswith(_RESOURCE_NAME):
                yield f"{line.strip()} [{match[1]}]", text[: match.end(1) - 1] + text[match.end(1) :]


def test_nothing_is_found_in_infra() -> None:
    assert [finding for name, text in FILES.items() for finding in bicep.check_file(name, text)] == []


def test_nearly_every_slip_is_found_and_the_others_are_listed() -> None:
    count = 0
    missed: dict[str, list[str]] = {}
    for name, text in FILES.items():
        for slip, altered in slips(text):
            count += 1
            if not bicep.check_file(name, altered):
                missed.setdefault(name, []).append(slip)
    listed = json.loads(MISSED.read_text(encoding="utf-8"))["missed"]
    assert missed == listed
    assert count > 300
    assert sum(map(len, missed.values())) <= 0.05 * count


@pytest.mark.parametrize(
    ("right", "wrong", "finding"),
    [
        ("httpsOnly: true", "httpOnly: true", "httpOnly: not a property of SiteProperties"),
        (
            "minTlsVersion: '1.2'",
            "minTlsVersion: '1.5'",
            "'1.5': SiteConfig.minTlsVersion is one of 1.0, 1.1, 1.2, 1.3",
        ),
        ("    testedDomain: testedDomain\n", "", "testedDomain: a parameter that alerts.bicep asks for"),
        ("sites@2025-05-01", "sites@2019-01-01", "is not among the resources that dev/resource_types.py knows"),
        ("module alerts 'alerts.bicep'", "module alerts 'alarms.bicep'", "there is no module alarms.bicep"),
        ("  name: 'policies'\n}", "  name: 'policies'\n", "not Bicep"),
    ],
)
def test_a_slip_is_said_with_its_line(right: str, wrong: str, finding: str) -> None:
    text = FILES["main.bicep"]
    assert right in text
    (found, *_) = bicep.check_file("main.bicep", text.replace(right, wrong, 1))
    assert finding in found.message
    assert found.line > 1


def test_the_app_may_read_policies_read_and_add_history_and_reports_and_has_no_other_right_on_a_table() -> None:
    resources: dict[str, Any] = BicepParser().parse(text=FILES["main.bicep"])["resources"]
    role = resources["historyRole"]["config"]["properties"]["permissions"]
    entities = "Microsoft.Storage/storageAccounts/tableServices/tables/entities"
    assert role == [{"dataActions": [f"{entities}/read", f"{entities}/add/action"]}]
    roles = ("blobOwner", "historyRole", "metricsPublisher", "tableContributor", "tableReader")
    rights = {
        (config["scope"], role)
        for part in resources.values()
        if part["type"] == "Microsoft.Authorization/roleAssignments"
        if "'app'" in str((config := part["config"].get("config", part["config"]))["properties"]["principalId"])
        for role in roles
        if f"'{role}'" in str(config["properties"]["roleDefinitionId"])
    }
    assert rights == {
        ("history", "historyRole"),
        ("insights", "metricsPublisher"),
        ("policies", "tableReader"),
        ("reports", "historyRole"),
        ("storage", "blobOwner"),
    }


def test_the_table_of_reports_is_made_only_where_reports_are_received() -> None:
    """Where the table is, 'promote' wants reports heard first."""
    resources: dict[str, Any] = BicepParser().parse(text=FILES["main.bicep"])["resources"]
    for name in ("reports", "appKeepsReports", "operatorsKeepReports"):
        assert "tlsReports" in str(resources[name]["config"]["condition"]), name


def test_in_the_zone_the_app_may_read_and_write_txt_records_and_delete_none() -> None:
    resources: dict[str, Any] = BicepParser().parse(text=FILES["zone.bicep"])["resources"]
    (permission,) = resources["idsRole"]["config"]["properties"]["permissions"]
    assert permission == {"actions": ["Microsoft.Network/dnsZones/TXT/read", "Microsoft.Network/dnsZones/TXT/write"]}
    assignment = resources["appPublishesIds"]["config"]
    assert assignment["scope"] == "zone"
    assert "appPrincipalId" in str(assignment["properties"]["principalId"])
    assert "'idsRole'" in str(assignment["properties"]["roleDefinitionId"])
    of_the_app = [each for each in resources.values() if "appPrincipalId" in str(each["config"].get("properties"))]
    assert len(of_the_app) == 1


def test_the_alerts_look_for_what_the_app_logs() -> None:
    code = "".join((ROOT / path).read_text(encoding="utf-8") for path in package.shipping(ROOT))
    queries = re.findall(r"query: '(.+)'", FILES["alerts.bicep"])
    lines = {text for query in queries for text in re.findall(r'startswith "([^"]+)"', query)}
    assert lines == {
        "answer domain=",
        "audit domains=",
        "ids are not published",
        "mail is refused",
        "no look at the table",
        "publish published=",
        "storage fails",
        "the app serves nothing",
    }
    assert all(f'"{line}' in code for line in lines - {"audit domains=", "publish published="})
    assert [field.name for field in fields(Tally)][:3] == ["published", "waiting", "late"]
    assert next(iter(AuditReport.model_fields)) == "domains"
    (counts,) = (query.partition("(")[2].partition(")")[0] for query in queries if "invalid_row|" in query)
    no_alerts = {"domains", "recorded", "next_after", "policy_host_domain"}  # the last one may be so on purpose
    assert set(counts.split("|")) == set(AuditReport.model_fields) - no_alerts
    outcomes = {outcome for query in queries for outcome in re.findall(r'"outcome=([\w-]+)"', query)}
    assert outcomes < set(get_args(Outcome.__value__))
