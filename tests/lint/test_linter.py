"""Lint: what it finds in policies, texts and rows, and that its table of findings is neither short nor long."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables import TableClient
from hypothesis import given
from hypothesis import strategies as st

from dev.findings import PAGE, page
from policy_store.lint.findings import HEADINGS, RULES, SEVERITIES, Finding
from policy_store.lint.linter import lint_policy, lint_row, lint_text
from policy_store.policy import LARGEST_TEXT, Policy, PolicySyntaxError
from policy_store.tables.policies import PolicyTable
from policy_store.tables.row import Row
from tests.conftest import load_cases
from tests.strategies import policies as any_policy

_DATA = Path(__file__).parents[1] / "data"
_CASES = json.loads((_DATA / "lint.json").read_text(encoding="utf-8"))
_REAL = [json.loads(line) for line in (_DATA / "policies.jsonl").read_text(encoding="utf-8").splitlines()]
_SAMPLES = json.loads((Path(__file__).parents[2] / "dev" / "sample_policies.json").read_text(encoding="utf-8"))
# Real policies that the RFC allows and that are wrong all the same.
_WRONG_THOUGH_VALID = {
    "p0142": {"mx_matches_nothing"},
    "p0299": {"mx_matches_nothing"},
    "p0300": {"mx_matches_nothing"},
    "p0301": {"mx_matches_nothing"},
    "p0326": {"near_key"},
}

_near_names = st.sampled_from(["version", "mode", "mx", "max_age", "Mode", "ms", "max-age", "mode ", "v", "x"])
_near_values = st.sampled_from(["STSv1", "none", "enforce", "testing", "*", "*.mx.microsoft", "mx.a.", "0", "a:b", "ü"])
_lines = st.builds("{}:{}".format, _near_names, _near_values | st.text(max_size=20)) | st.text(max_size=40)
_texts = st.builds(lambda end, lines: end.join(lines), st.sampled_from(["\n", "\r\n", "\r"]), st.lists(_lines))


def _text(case: dict[str, Any]) -> bytes:
    if "text" in case:
        return str(case["text"]).encode()
    end = str(case.get("end", "\r\n"))
    lines = [*case["lines"], *(f"mx: a-host-{number}.contoso.com" for number in range(case.get("many", 0)))]
    text = end.join(lines) + str(case.get("final", end))
    return text.encode(case.get("encoding", "utf-8"))


def _octets(entry: dict[str, Any]) -> bytes:
    return base64.b64decode(entry["b64"]) if "b64" in entry else entry["text"].encode()


def _places(findings: Sequence[Finding]) -> list[tuple[str, int | None]]:
    return sorted(((finding.code, finding.line) for finding in findings), key=str)


def _refused_lines(text: str) -> set[int | None]:
    try:
        Policy.parse(text)
    except PolicySyntaxError as error:
        return {problem.line for problem in error.problems}
    return set()


def _errors(findings: Sequence[Finding]) -> set[str]:
    return {finding.code for finding in findings if finding.severity == "error"}


class TestTexts:
    @pytest.mark.parametrize("case", [case for case in load_cases("lint.json") if "row" not in case.values[0]])
    def test_finds_this_and_no_more(self, case: dict[str, Any]) -> None:
        findings = lint_text(_text(case), file="mta-sts.txt")
        assert _places(findings) == sorted(map(tuple, case["findings"]), key=str)
        assert {finding.file for finding in findings} <= {"mta-sts.txt"}

    @pytest.mark.parametrize("entry", _REAL, ids=lambda entry: str(entry["id"]))
    def test_real_policies_that_are_fine_have_no_error(self, entry: dict[str, Any]) -> None:
        errors = _errors(lint_text(_octets(entry)))
        assert errors == _WRONG_THOUGH_VALID.get(entry["id"], set()) if entry["valid"] else errors

    def test_names_the_field_that_was_meant(self) -> None:
        [finding] = [finding for finding in lint_text("ms: mx.contoso.com") if finding.code == "near_key"]
        assert finding.message == "the field is named 'ms': it must be mx"

    @given(_texts)
    def test_whatever_the_reader_refuses_is_an_error_in_its_line(self, text: str) -> None:
        findings = lint_text(text)
        lines = {finding.line for finding in findings if finding.severity == "error"}
        refused = _refused_lines(text)
        if refused:
            assert lines
            counted = sum("more of these" in finding.message for finding in findings)
            assert refused - {None} <= lines or counted  # of one code ten are told line by line
        else:
            assert _errors(findings) <= {"near_key", "contradiction", "mx_matches_nothing", "mx_single_label"}

    def test_of_one_code_ten_are_told_and_the_others_counted(self) -> None:
        findings = [finding for finding in lint_text("\n" * 1_000) if finding.code == "blank_line"]
        assert [finding.line for finding in findings] == list(range(1, 12))
        assert findings[-1].message == "and 990 more of these"

    @given(_texts)
    def test_text_and_octets_are_read_alike(self, text: str) -> None:
        assert lint_text(text) == lint_text(text.encode())

    @given(st.binary(max_size=200))
    def test_no_octets_are_too_strange(self, text: bytes) -> None:
        assert {finding.code for finding in lint_text(text)} <= RULES.keys()

    def test_a_long_line_is_read_fast_enough_to_be_refused(self) -> None:
        """A name of any length is compared with those of the fields only where it could be one."""
        assert "field_name" in _errors(lint_text("m" * (LARGEST_TEXT - 20) + "é: 604800"))


class TestRows:
    @pytest.mark.parametrize("case", [case for case in load_cases("lint.json") if "row" in case.values[0]])
    def test_finds_this_and_no_more(
        self, case: dict[str, Any], policies: PolicyTable, policies_client: TableClient
    ) -> None:
        domain = case.get("domain", "contoso.com")
        policies_client.create_entity({"PartitionKey": domain, "RowKey": case.get("row_key", "policy"), **case["row"]})
        [row] = policies.rows()
        findings = lint_row(row)
        assert _places(findings) == sorted(map(tuple, case["findings"]), key=str)
        assert {finding.domain for finding in findings} <= {domain}


class TestPolicies:
    @pytest.mark.parametrize("sample", _SAMPLES, ids=lambda sample: str(sample["domain"]))
    def test_the_sample_policies_are_exemplary(self, sample: dict[str, Any]) -> None:
        policy = Policy(mode=sample["mode"], mx=tuple(sample["mx"]), max_age=sample["max_age"])
        assert lint_policy(policy, domain=sample["domain"]) == []

    @given(any_policy())
    def test_a_policy_and_its_text_have_the_same_findings(self, policy: Policy) -> None:
        """Nothing is ever to be said of the form in which a policy is served."""
        in_text = [
            finding.model_copy(update={"line": None}) for finding in lint_text(policy.text, domain="contoso.com")
        ]
        assert sorted(in_text, key=str) == sorted(lint_policy(policy, domain="contoso.com"), key=str)

    @given(any_policy())
    def test_a_policy_and_its_row_have_the_same_findings(self, policy: Policy) -> None:
        row = Row("contoso.com", policy, "", "", datetime.now(UTC))
        assert lint_row(row) == lint_policy(policy, domain="contoso.com")

    def test_the_worst_comes_first(self) -> None:
        policy = Policy(mode="enforce", mx=("*.google.com", "*.mx.microsoft"), max_age=604800)
        assert [finding.severity for finding in lint_policy(policy)] == ["error", "warning", "info"]


class TestRules:
    def test_every_rule_has_a_case(self) -> None:
        """Those about files to import are held by the tests of the sources."""
        about_policies = {code for code, rule in RULES.items() if rule.about != "file"}
        assert {code for case in _CASES for code, _ in case["findings"]} == about_policies

    def test_the_page_says_what_the_code_does(self) -> None:
        assert PAGE.read_text(encoding="utf-8") == page(), "run 'python -m dev.findings'"

    def test_every_rule_is_on_the_page_under_its_code(self) -> None:
        assert all(f"| `{code}` |" in page() for code in RULES)

    @pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: str(rule.code))
    def test_every_rule_is_whole(self, rule: Any) -> None:
        assert rule.severity in SEVERITIES
        assert rule.about in HEADINGS
        assert rule.what.endswith(".")
        assert rule.remedy.endswith(".")
        assert rule.source
