"""add, edit and rollback, on a real table service."""

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from azure.data.tables import TableClient

from policy_store.cli import session
from policy_store.policy import Policy
from policy_store.tables.row import Row
from policy_store.tables.store import Store
from tests.cli.conftest import Run

_MTA_STS = Path(sys.executable).parent / "mta-sts"


def _row(store: Store, domain: str) -> Row:
    row = store.policies.get(domain)
    assert row
    return row


def _add(store: Store, domain: str, mode: str = "testing", *mx: str, max_age: int = 604800) -> None:
    policy = Policy.model_validate({"mode": mode, "mx": mx or ("mx1.example.com",), "max_age": max_age})
    store.history.record(store.policies.add(domain, policy, "for people"), store.policies, by="test")


class TestAdd:
    def test_it_writes_the_row_and_its_revision_and_says_what_to_publish_from_when(
        self, run: Run, store: Store
    ) -> None:
        done = run("add", "contoso.com", "--mx", "mx1.example.com", "--note", "new customer")
        assert done.exit_code == 0, done.output
        row, (revision,) = _row(store, "contoso.com"), store.history.revisions("contoso.com")
        assert row.policy == Policy(mode="testing", mx=("mx1.example.com",), max_age=1209600)
        assert (row.note, revision.note, revision.by) == ("new customer", "new customer", session.operator())
        assert revision.text == row.policy.text
        published = re.search(r"publish TXT _mta-sts.contoso.com v=STSv1; id=(\S+); from (.*) UTC on", done.stdout)
        assert published
        assert published[1] == revision.id
        assert published[2] > f"{revision.since:%Y-%m-%d %H:%M}"

    def test_what_has_one_meaning_only_is_forgiven(self, run: Run, store: Store) -> None:
        done = run("add", " Bücher.Example. ", "--mx", "MX1.Example.com., *.example.NET", "--mx", "mx1.example.com")
        assert done.exit_code == 0, done.output
        assert _row(store, "xn--bcher-kva.example").policy.mx == ("mx1.example.com", "*.example.net")

    def test_a_dry_run_shows_the_text_and_writes_nothing(self, run: Run, store: Store) -> None:
        done = run("add", "contoso.com", "--mx", "mx1.example.com", "--dry-run")
        assert done.exit_code == 0
        assert "+mx: mx1.example.com" in done.stdout
        assert store.policies.get("contoso.com") is None
        assert store.history.revisions("contoso.com") == []

    @pytest.mark.parametrize(
        ("words", "code", "said"),
        [
            (("contoso com", "--mx", "a.example"), 2, "not a host name"),
            (("contoso.com",), 2, "--mx-from-dns"),
            (("contoso.com", "--mx", "*"), 2, "stops all mail"),
            (("contoso.com", "--mx", "a.*.example"), 2, "whole first label"),
            (("contoso.com", "--mx", "a.example", "--mx-from-dns"), 2, "one of them"),
            (("contoso.com", "--mx", "a.example", "--mode", "enforced"), 2, "testing, enforce or none"),
            (("contoso.com", "--mx", "a.example", "--max-age", "31557601"), 2, "31557600"),
            (("contoso.com", "--mx", "*.mx.microsoft"), 1, "mx.microsoft"),
        ],
    )
    def test_what_is_wrong_is_said_with_the_remedy_and_nothing_is_written(
        self, run: Run, store: Store, words: tuple[str, ...], code: int, said: str
    ) -> None:
        done = run("add", *words)
        assert done.exit_code == code
        assert said in done.stderr
        assert "Traceback" not in done.output
        assert list(store.policies.rows()) == []

    def test_a_domain_that_is_here_is_left_alone(self, run: Run, store: Store) -> None:
        _add(store, "contoso.com")
        done = run("add", "contoso.com", "--mx", "other.example.com")
        assert done.exit_code == 1
        assert "mta-sts edit contoso.com" in done.stderr
        assert _row(store, "contoso.com").policy.mx == ("mx1.example.com",)

    def test_a_policy_of_mode_none_needs_no_pattern(self, run: Run, store: Store) -> None:
        assert run("add", "contoso.com", "--mode", "none").exit_code == 0
        assert _row(store, "contoso.com").policy.mode == "none"


class TestEdit:
    def test_it_changes_what_it_is_told_and_keeps_the_rest(
        self, run: Run, store: Store, tables: tuple[TableClient, TableClient]
    ) -> None:
        _add(store, "contoso.com")
        tables[0].update_entity({"PartitionKey": "contoso.com", "RowKey": "policy", "customer": "4711"})
        done = run("edit", "contoso.com", "--max-age", "1209600")
        assert done.exit_code == 0, done.output
        row = _row(store, "contoso.com")
        assert row.policy == Policy(mode="testing", mx=("mx1.example.com",), max_age=1209600)
        assert (row.note, row.customer) == ("for people", "4711")
        assert [revision.text for revision in store.history.revisions("contoso.com")][-1] == row.policy.text

    def test_a_dry_run_prints_the_difference_and_writes_nothing(self, run: Run, store: Store) -> None:
        _add(store, "contoso.com")
        before = store.entry("contoso.com")
        done = run("edit", "contoso.com", "--max-age", "1209600", "--dry-run")
        assert done.exit_code == 0
        assert {"-max_age: 604800", "+max_age: 1209600"} <= set(done.stdout.splitlines())
        assert store.entry("contoso.com") == before

    def test_a_note_alone_makes_no_revision(self, run: Run, store: Store) -> None:
        _add(store, "contoso.com")
        assert run("edit", "contoso.com", "--note", "asked for by Ada").exit_code == 0
        assert _row(store, "contoso.com").note == "asked for by Ada"
        assert len(store.history.revisions("contoso.com")) == 1

    def test_patterns_are_replaced_added_and_dropped(self, run: Run, store: Store) -> None:
        _add(store, "contoso.com")
        assert (
            run("edit", "contoso.com", "--add-mx", "a.example b.example", "--drop-mx", "mx1.example.com").exit_code == 0
        )
        assert _row(store, "contoso.com").policy.mx == ("a.example", "b.example")
        assert run("edit", "contoso.com", "--mx", "c.example").exit_code == 0
        assert _row(store, "contoso.com").policy.mx == ("c.example",)

    def test_a_new_pattern_comes_with_the_day_from_which_mx_records_may_use_it(self, run: Run, store: Store) -> None:
        _add(store, "contoso.com", max_age=1209600)
        done = run("edit", "contoso.com", "--add-mx", "new.example.com")
        day = _row(store, "contoso.com").modified + timedelta(seconds=1209600 + store.fresh_seconds)
        assert f"MX records may name new.example.com from {day:%Y-%m-%d}" in done.stdout

    def test_the_last_pattern_stays(self, run: Run, store: Store) -> None:
        _add(store, "contoso.com")
        done = run("edit", "contoso.com", "--drop-mx", "mx1.example.com")
        assert done.exit_code == 1
        assert "at least one mx pattern is needed" in done.stderr

    def test_of_two_people_the_second_overwrites_nothing(
        self, run: Run, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _add(store, "contoso.com")

        def somebody_else_edits(*_: object) -> list[object]:
            row = _row(store, "contoso.com")
            store.policies.replace("contoso.com", row.etag, Policy(mode="none", max_age=86400))
            return []

        monkeypatch.setattr("policy_store.changes.operations.edit_reasons", somebody_else_edits)
        done = run("edit", "contoso.com", "--max-age", "1209600")
        assert done.exit_code == 1
        assert "nothing was overwritten" in done.stderr
        assert _row(store, "contoso.com").policy == Policy(mode="none", max_age=86400)

    def test_of_many_domains_one_refusal_does_not_stop_the_others(self, run: Run, store: Store) -> None:
        _add(store, "contoso.com")
        done = run("edit", "fabrikam.com", "contoso.com", "--max-age", "1209600")
        assert done.exit_code == 1
        assert "mta-sts add fabrikam.com" in done.stderr
        assert done.stdout.splitlines()[-1] == "1 changed, 0 unchanged, 1 refused"
        assert _row(store, "contoso.com").policy.max_age == 1209600

    def test_all_with_where_changes_those_that_it_leaves(self, run: Run, store: Store) -> None:
        _add(store, "a.example", "enforce")
        _add(store, "b.example")
        _add(store, "c.example", "testing", "*.mail.protection.outlook.com")
        done = run("edit", "--all", "--where", "mode = testing", "--where", "mx ~ outlook", "--max-age", "1209600")
        assert done.exit_code == 0, done.output
        changed = [
            row.domain for row in store.policies.rows() if isinstance(row, Row) and row.policy.max_age == 1209600
        ]
        assert changed == ["c.example"]

    @pytest.mark.parametrize(
        "words",
        [
            ("--max-age", "1"),
            ("contoso.com", "--all", "--max-age", "1"),
            ("contoso.com",),
            ("contoso.com", "--mx", "a.example", "--add-mx", "b.example"),
            ("contoso.com", "--mode", "enforce", "--force"),
            ("--all", "--where", "age > 3", "--max-age", "1"),
        ],
    )
    def test_wrong_use_changes_nothing(self, run: Run, store: Store, words: tuple[str, ...]) -> None:
        _add(store, "contoso.com")
        before = store.entry("contoso.com")
        assert run("edit", *words).exit_code == 2
        assert store.entry("contoso.com") == before

    def test_an_edit_that_changes_nothing_writes_nothing(self, run: Run, store: Store) -> None:
        _add(store, "contoso.com")
        before = store.entry("contoso.com")
        done = run("edit", "contoso.com", "--mode", "Testing")
        assert done.exit_code == 0
        assert before.newest
        assert (
            f"contoso.com is unchanged: publish TXT _mta-sts.contoso.com v=STSv1; id={before.newest.id};" in done.stdout
        )
        assert done.stdout.endswith("0 changed, 1 unchanged, 0 refused\n")
        assert store.entry("contoso.com") == before


class TestEditOfARowChangedByHand:
    def test_an_invalid_row_is_mended_where_the_result_is_valid(
        self, run: Run, store: Store, tables: tuple[TableClient, TableClient]
    ) -> None:
        row = {
            "PartitionKey": "contoso.com",
            "RowKey": "policy",
            "mode": "testin",
            "mx": "a.example",
            "MaxAge": "604800",
        }
        tables[0].create_entity({**row, "note": "by hand", "customer": 7})
        refused = run("edit", "contoso.com", "--max-age", "1209600")
        assert refused.exit_code == 1
        assert "--mode" in refused.stderr
        assert run("edit", "contoso.com", "--mode", "testing").exit_code == 0
        mended = _row(store, "contoso.com")
        assert mended.policy == Policy(mode="testing", mx=("a.example",), max_age=604800)
        assert (mended.note, mended.customer) == ("by hand", "7")

    def test_its_text_is_recorded_before_it_goes(
        self, run: Run, store: Store, tables: tuple[TableClient, TableClient]
    ) -> None:
        _add(store, "contoso.com")
        tables[0].update_entity({"PartitionKey": "contoso.com", "RowKey": "policy", "mx": "hand.example"})
        assert run("edit", "contoso.com", "--max-age", "1209600").exit_code == 0
        ages = [(revision.policy.mx[0], revision.policy.max_age) for revision in store.history.revisions("contoso.com")]
        assert ages == [("mx1.example.com", 604800), ("hand.example", 604800), ("hand.example", 1209600)]


class TestSafety:
    def test_enforce_comes_by_promote(self, run: Run, store: Store) -> None:
        _add(store, "contoso.com")
        done = run("edit", "contoso.com", "--mode", "enforce")
        assert done.exit_code == 1
        assert "mta-sts promote contoso.com" in done.stderr
        assert _row(store, "contoso.com").policy.mode == "testing"

    def test_force_records_the_reason(self, run: Run, store: Store) -> None:
        _add(store, "contoso.com")
        assert run("edit", "contoso.com", "--mode", "enforce", "--force", "--note", "tested elsewhere").exit_code == 0
        assert store.history.revisions("contoso.com")[-1].note == "tested elsewhere"

    def test_an_enforced_policy_can_always_go_back_to_testing(self, run: Run, store: Store) -> None:
        _add(store, "contoso.com", "enforce", "*.mx.microsoft")
        done = run("edit", "contoso.com", "--mode", "testing")
        assert done.exit_code == 0, done.output
        assert _row(store, "contoso.com").policy.mode == "testing"


class TestRollback:
    def test_the_old_text_comes_back_under_a_new_id(self, run: Run, store: Store) -> None:
        _add(store, "contoso.com")
        run("edit", "contoso.com", "--max-age", "1209600")
        first = store.history.revisions("contoso.com")[0]
        done = run("rollback", "contoso.com", first.id)
        assert done.exit_code == 0, done.output
        revisions = store.history.revisions("contoso.com")
        assert [revision.text == first.text for revision in revisions] == [True, False, True]
        assert revisions[-1].id not in (first.id, revisions[1].id)
        assert revisions[-1].note == f"rollback to {first.id}"

    def test_an_id_that_never_was_is_refused_with_those_that_were(self, run: Run, store: Store) -> None:
        _add(store, "contoso.com")
        done = run("rollback", "contoso.com", "20010101000000Z")
        assert done.exit_code == 1
        assert store.history.revisions("contoso.com")[0].id in done.stderr

    def test_it_is_no_way_round_promote(self, run: Run, store: Store) -> None:
        _add(store, "contoso.com", "enforce")
        first = store.history.revisions("contoso.com")[0]
        assert run("edit", "contoso.com", "--mode", "testing").exit_code == 0
        done = run("rollback", "contoso.com", first.id)
        assert done.exit_code == 1
        assert "promote" in done.stderr


def test_the_installed_command_speaks_plainly_and_ends_with_its_exit_code(store: Store) -> None:
    def mta_sts(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([_MTA_STS, *words], capture_output=True, text=True, timeout=60, check=False)

    added = mta_sts("add", "contoso.com", "--mx", "mx1.example.com")
    assert added.returncode == 0, added.stderr
    assert "\x1b" not in added.stdout
    refused = mta_sts("edit", "contoso.com", "--mode", "enforce")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 2)  # the first names the store
    unreachable = mta_sts(
        "show",
        "contoso.com",
        "--store",
        "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;TableEndpoint=http://127.0.0.1:1/a",
    )
    assert (unreachable.returncode, unreachable.stdout) == (3, "")
    assert "Traceback" not in unreachable.stderr
