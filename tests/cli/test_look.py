"""list, show, history and diff, on a real table service."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.data.tables import TableClient

from policy_store.policy import Policy
from policy_store.tables.history import Revision
from policy_store.tables.store import Store
from tests.cli.conftest import Run

type Tables = tuple[TableClient, TableClient]

_ENFORCED = Policy(mode="enforce", mx=("a.example", "*.b.example"), max_age=1209600)


def _add(store: Store, domain: str, policy: Policy = _ENFORCED, note: str = "") -> Revision:
    return store.history.record(store.policies.add(domain, policy, note), store.policies, by="ada@contoso")


def _listed(run: Run, *words: str) -> dict[str, Any]:
    done = run("list", "--json", *words)
    assert done.exit_code == 0, done.output
    return {item["domain"]: item for item in json.loads(done.stdout)}


class TestList:
    def test_its_json_has_an_object_for_each_domain(self, run: Run, store: Store) -> None:
        revision = _add(store, "contoso.com", note="a customer")
        assert _listed(run) == {
            "contoso.com": {
                "domain": "contoso.com",
                "mode": "enforce",
                "mx": ["a.example", "*.b.example"],
                "max_age": 1209600,
                "id": revision.id,
                "since": f"{revision.since:%Y-%m-%dT%H:%M:%SZ}",
                "customer": "",
                "note": "a customer",
                "dns": None,
                "reports": None,
                "problems": [],
            }
        }

    def test_an_empty_store_is_an_empty_array(self, run: Run) -> None:
        assert run("list", "--json").stdout == "[]\n"
        assert "0 domains" in run("list").stdout

    def test_of_an_invalid_row_it_shows_what_stays_in_force_and_what_is_wrong(
        self, run: Run, store: Store, tables: Tables
    ) -> None:
        revision = _add(store, "contoso.com")
        tables[0].update_entity({"PartitionKey": "contoso.com", "RowKey": "policy", "mode": "enforced"})
        item = _listed(run)["contoso.com"]
        assert (item["mode"], item["max_age"], item["id"]) == ("enforce", 1209600, revision.id)
        assert any("'enforced'" in problem for problem in item["problems"])
        assert "'enforced'" in run("list").stdout

    def test_an_invalid_row_that_never_was_valid_serves_nothing(self, run: Run, tables: Tables) -> None:
        tables[0].create_entity({"PartitionKey": "contoso.com", "RowKey": "policy", "mode": "testing", "max_age": 1})
        item = _listed(run)["contoso.com"]
        assert (item["mode"], item["mx"], item["max_age"], item["id"]) == (None, [], None, None)
        assert item["problems"]

    def test_rows_that_no_request_finds_are_there(self, run: Run, store: Store, tables: Tables) -> None:
        _add(store, "contoso.com")
        good = {"mode": "testing", "mx": "a.example", "max_age": 604800}
        tables[0].create_entity({"PartitionKey": "Fabrikam.com", "RowKey": "policy", **good})
        tables[0].create_entity({"PartitionKey": "contoso.com", "RowKey": "Policy", **good})
        listed = _listed(run)
        assert any("lower case" in problem for problem in listed["Fabrikam.com"]["problems"])
        assert any("RowKey" in problem for problem in listed["contoso.com"]["problems"])

    def test_a_hand_edit_without_an_id_and_a_row_that_vanished_are_problems(
        self, run: Run, store: Store, tables: Tables
    ) -> None:
        for domain in ("contoso.com", "fabrikam.com"):
            _add(store, domain)
        tables[0].update_entity({"PartitionKey": "contoso.com", "RowKey": "policy", "mode": "testing"})
        tables[0].delete_entity({"PartitionKey": "fabrikam.com", "RowKey": "policy"})
        listed = _listed(run)
        assert (listed["contoso.com"]["mode"], *_words(listed["contoso.com"], "audit")) == ("testing", "audit")
        assert _words(listed["fabrikam.com"], "gone") == ["gone"]

    def test_a_domain_that_was_retired_and_removed_is_not_listed(self, run: Run, store: Store, tables: Tables) -> None:
        _add(store, "contoso.com", Policy(mode="none", max_age=86400))
        tables[0].delete_entity({"PartitionKey": "contoso.com", "RowKey": "policy"})
        assert _listed(run) == {}

    def test_300_domains_fit_80_columns(self, run: Run, store: Store, tables: Tables) -> None:
        columns = {"RowKey": "policy", "mode": "testing", "max_age": 604800}
        for number in range(300):
            domain = f"{'a-very-long-name-of-a-customer-' * (number % 4)}{number}.example"
            mx = f"{domain.replace('.', '-')}.mail.protection.outlook.com *.{domain}"
            tables[0].create_entity({"PartitionKey": domain, "mx": mx, **columns})
        lines = run("list").stdout.splitlines()
        assert max(map(len, lines)) <= 80
        assert lines[-1] == "300 domains"
        assert len(_listed(run)) == 300

    @pytest.mark.parametrize(
        ("expressions", "domains"),
        [
            (["mode = enforce"], ["a.example"]),
            (["mode!=enforce"], ["b.example", "c.example"]),
            (["max_age < 604800"], ["c.example"]),
            (["max-age >= 604800"], ["a.example", "b.example"]),
            (["mx ~ outlook"], ["b.example"]),
            (["mx ~ *.outlook.com"], ["b.example"]),
            (["mx = mx.example"], ["a.example"]),
            (["mx != mx.example"], ["b.example", "c.example"]),
            (["note ~ GOLD"], ["a.example", "c.example"]),
            (["domain ~ [bc].*"], ["b.example", "c.example"]),
            (["note ~ gold", "mode = none"], ["c.example"]),
        ],
    )
    def test_where_picks(self, run: Run, store: Store, expressions: list[str], domains: list[str]) -> None:
        _add(store, "a.example", Policy(mode="enforce", mx=("mx.example",), max_age=1209600), "gold")
        outlook = "b-example.mail.protection.outlook.com"
        _add(store, "b.example", Policy(mode="testing", mx=("b.mx", outlook), max_age=604800))
        _add(store, "c.example", Policy(mode="none", max_age=86400), "Gold")
        words = [word for expression in expressions for word in ("--where", expression)]
        assert list(_listed(run, *words)) == domains

    @pytest.mark.parametrize(
        ("expression", "said"),
        [
            ("mode", "FIELD OP VALUE"),
            ("age = 3", "domain, customer, mode, mx, max_age, note"),
            ("mode > testing", "= != or ~"),
            ("mode = enforced", "enforce, testing, none"),
            ("max_age ~ 3", "seconds"),
            ("max_age = a week", "seconds"),
        ],
    )
    def test_a_bad_expression_says_what_is_allowed(self, run: Run, expression: str, said: str) -> None:
        done = run("list", "--where", expression)
        assert done.exit_code == 2
        assert said in done.stderr
        assert done.stdout == ""


class TestShow:
    def test_its_json_has_the_text_and_who_wrote_it(self, run: Run, store: Store) -> None:
        revision = _add(store, "contoso.com")
        item = json.loads(run("show", "Contoso.com", "--json").stdout)
        assert (item["text"], item["by"], item["id"]) == (_ENFORCED.text, "ada@contoso", revision.id)

    def test_a_domain_that_is_not_here_is_a_problem_with_a_next_step(self, run: Run) -> None:
        done = run("show", "contoso.com")
        assert (done.exit_code, done.stdout) == (1, "")
        assert "mta-sts add contoso.com" in done.stderr

    def test_an_invalid_row_is_shown_with_what_is_served(self, run: Run, store: Store, tables: Tables) -> None:
        _add(store, "contoso.com")
        tables[0].update_entity({"PartitionKey": "contoso.com", "RowKey": "policy", "max_age": "a week"})
        shown = run("show", "contoso.com").stdout
        assert "max_age: 1209600" in shown
        assert "'a week'" in shown


class TestHistory:
    def test_its_json_has_the_newest_first(self, run: Run, store: Store) -> None:
        first = _add(store, "contoso.com")
        assert run("edit", "contoso.com", "--max-age", "604800", "--note", "shorter").exit_code == 0
        items = json.loads(run("history", "contoso.com", "--json").stdout)
        assert [item["note"] for item in items] == ["shorter", ""]
        assert items[1] == {
            "domain": "contoso.com",
            "id": first.id,
            "since": f"{first.since:%Y-%m-%dT%H:%M:%SZ}",
            "by": "ada@contoso",
            "note": "",
            "text": _ENFORCED.text,
        }

    def test_it_is_there_after_the_row_is_gone(self, run: Run, store: Store, tables: Tables) -> None:
        _add(store, "contoso.com")
        tables[0].delete_entity({"PartitionKey": "contoso.com", "RowKey": "policy"})
        assert len(json.loads(run("history", "contoso.com", "--json").stdout)) == 1


class TestDiff:
    def _revise(self, store: Store, *policies: Policy) -> list[Revision]:
        """Make revisions whose keys are days apart."""
        revisions = []
        for day, policy in enumerate(policies, 1):
            time = datetime(2026, 11, day, tzinfo=UTC)
            row = store.policies.get("contoso.com")
            etag = row.etag if row else None
            written = (
                store.policies.replace("contoso.com", etag, policy)
                if etag
                else store.policies.add("contoso.com", policy)
            )
            dated = type(written)(written.domain, written.policy, written.note, written.etag, time)
            revisions.append(store.history.record(dated, store.policies, by="test"))
        return revisions

    def test_it_compares_the_newest_two_or_those_that_are_named(self, run: Run, store: Store) -> None:
        policies = [Policy(mode="testing", mx=("a.example",), max_age=age) for age in (100000, 200000, 300000)]
        ids = [revision.id for revision in self._revise(store, *policies)]
        for words, before, after in (((), 1, 2), ((ids[0],), 0, 2), ((ids[0], ids[1]), 0, 1), ((ids[2], ids[0]), 2, 0)):
            item = json.loads(run("diff", "contoso.com", *words, "--json").stdout)
            assert (item["before"], item["after"]) == (ids[before], ids[after])
            assert f"-max_age: {policies[before].max_age}" in item["lines"]
            assert f"+max_age: {policies[after].max_age}" in item["lines"]

    def test_a_hand_edit_is_compared_with_the_newest_revision(self, run: Run, store: Store, tables: Tables) -> None:
        revision = _add(store, "contoso.com")
        tables[0].update_entity({"PartitionKey": "contoso.com", "RowKey": "policy", "mode": "testing"})
        item = json.loads(run("diff", "contoso.com", "--json").stdout)
        assert (item["before"], item["after"]) == (revision.id, "")
        assert {"-mode: enforce", "+mode: testing"} <= set(item["lines"])

    def test_equal_texts_are_said_to_be_equal(self, run: Run, store: Store) -> None:
        revision = _add(store, "contoso.com")
        assert "are equal" in run("diff", "contoso.com", revision.id, revision.id).stdout


def _words(item: dict[str, Any], word: str) -> list[str]:
    """The word as often as a problem has it."""
    return [word for problem in item["problems"] if word in problem]
