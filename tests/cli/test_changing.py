"""Many at once, the brake, undo and JSON: what every command that changes policies has in common."""

import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import ServiceResponseError
from azure.data.tables import TableClient

from dev.azurite import ACCOUNT, ACCOUNT_KEY, Azurite
from policy_store.changes import many
from policy_store.changes import write as writing
from policy_store.changes.change import Change, Planned
from policy_store.cli import session
from policy_store.policy import Policy
from policy_store.tables.row import Row
from policy_store.tables.store import Store
from tests.cli.conftest import Run

_PROGRAM = "from policy_store.cli import main; main()"
_DEAD = (
    f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};"
    f"TableEndpoint=http://127.0.0.1:9/{ACCOUNT};"
)


def _add(store: Store, domain: str, mode: str = "testing", max_age: int = 604800, customer: str = "") -> None:
    policy = Policy.model_validate({"mode": mode, "mx": ("mx1.example.com",), "max_age": max_age})
    row = store.policies.add(domain, policy, customer=customer)
    store.history.record(row, store.policies, by="test")


def _modes(store: Store) -> dict[str, str]:
    return {row.domain: row.policy.mode for row in store.policies.rows() if isinstance(row, Row)}


@pytest.fixture
def dozen(store: Store) -> list[str]:
    """Twelve domains, in enforce."""
    domains = [f"d{number:02}.example" for number in range(12)]
    for domain in domains:
        _add(store, domain, "enforce")
    return domains


class TestBrake:
    def test_more_than_ten_domains_without_a_terminal_and_without_yes_change_nothing(
        self, run: Run, store: Store, dozen: list[str]
    ) -> None:
        done = run("edit", "--all", "--max-age", "1209600")
        assert done.exit_code == 2
        assert store.name in done.stderr
        assert "12 domains: max_age 604800 -> 1209600" in done.stderr
        assert "--yes" in done.stderr
        assert {row.policy.max_age for row in store.policies.rows() if isinstance(row, Row)} == {604800}

    def test_yes_goes_ahead(self, run: Run, store: Store, dozen: list[str]) -> None:
        done = run("edit", "--all", "--max-age", "1209600", "--yes")
        assert done.exit_code == 0, done.output
        assert done.stdout.splitlines()[-1] == "12 changed, 0 unchanged, 0 refused"

    @pytest.mark.parametrize(
        "words",
        [
            ("edit", "--all", "--mode", "none"),
            ("edit", "d00.example", "d01.example", "--mode", "testing"),
            ("retire", "--where", "domain ~ d0"),
        ],
    )
    def test_taking_protection_away_from_several_domains_needs_a_reason_and_a_yes(
        self, run: Run, store: Store, dozen: list[str], words: tuple[str, ...]
    ) -> None:
        before = _modes(store)
        without = run(*words, "--yes")
        assert (without.exit_code, "--note" in without.stderr) == (2, True)
        unconfirmed = run(*words, "--note", "the contract ended")
        assert (unconfirmed.exit_code, "takes protection away" in unconfirmed.stderr) == (2, True)
        assert _modes(store) == before
        assert run(*words, "--note", "the contract ended", "--yes").exit_code == 0
        assert _modes(store) != before

    def test_one_named_domain_goes_through_without_a_terminal(self, run: Run, store: Store, dozen: list[str]) -> None:
        assert run("retire", "d00.example").exit_code == 0
        assert run("remove", "d01.example", "--force", "--note", "sold").exit_code == 0
        assert _modes(store)["d00.example"] == "none"
        assert "d01.example" not in _modes(store)

    def test_new_domains_do_not_count(self, run: Run, store: Store, tmp_path: Any) -> None:
        file = tmp_path / "new.csv"
        file.write_text("domain,mx\n" + "".join(f"n{number}.example,mx.example\n" for number in range(20)))
        assert run("import", str(file)).exit_code == 0
        assert len(_modes(store)) == 20

    def test_an_update_of_many_domains_counts(self, run: Run, store: Store, dozen: list[str], tmp_path: Any) -> None:
        file = tmp_path / "all.csv"
        file.write_text("domain,max_age\n" + "".join(f"{domain},1209600\n" for domain in dozen))
        done = run("import", str(file), "--update")
        assert (done.exit_code, "12 domains: max_age 604800 -> 1209600" in done.stderr) == (2, True)

    @pytest.mark.parametrize(("answer", "code"), [("12\n", 0), ("11\n", 1), ("y\n", 1), ("\n", 1)])
    def test_on_a_terminal_the_number_is_to_be_typed(
        self, azurite: Azurite, store: Store, dozen: list[str], answer: str, code: int
    ) -> None:
        said, ended = _on_a_terminal(azurite, answer, "edit", "--all", "--max-age", "1209600")
        assert ended == code, said
        assert "Type 12 to go on" in said

    @pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1)])
    def test_on_a_terminal_one_domain_is_asked_for(
        self, azurite: Azurite, store: Store, dozen: list[str], answer: str, code: int
    ) -> None:
        said, ended = _on_a_terminal(azurite, answer, "retire", "d00.example")
        assert ended == code, said
        assert "[y/N]" in said

    def test_a_dry_run_prints_the_same_summary_and_verbose_every_difference(
        self, run: Run, store: Store, dozen: list[str]
    ) -> None:
        words = ("edit", "--all", "--max-age", "1209600", "--dry-run")
        done = run(*words)
        assert done.exit_code == 0
        assert done.stdout.splitlines() == [
            "12 domains: max_age 604800 -> 1209600",
            "12 would be changed, 0 unchanged, 0 refused",
        ]
        assert run(*words, "--verbose").stdout.count("+max_age: 1209600") == 12


def _on_a_terminal(azurite: Azurite, answer: str, *words: str) -> tuple[str, int]:
    """Run the command with a terminal as its standard input and answer its question; what it said, its exit code."""
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *words, "--store", azurite.connection_string],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    return done.stdout, done.returncode


class TestJson:
    def test_every_changing_command_prints_what_became_of_each_domain(self, run: Run, store: Store) -> None:
        (added,) = json.loads(run("add", "contoso.com", "--mx", "mx1.example.com", "--json").stdout)
        newest = store.history.revisions("contoso.com")[-1]
        assert (added["domain"], added["result"], added["before"]) == ("contoso.com", "changed", None)
        assert (added["after"], added["id"]) == (newest.text, newest.id)
        due = newest.since + timedelta(seconds=65)
        assert added["publish_from"] == f"{due:%Y-%m-%dT%H:%M:%SZ}"
        edited = json.loads(run("edit", "contoso.com", "gone.example", "--max-age", "4w", "--json").stdout)
        assert {item["domain"]: item["result"] for item in edited} == {
            "contoso.com": "changed",
            "gone.example": "refused",
        }
        (refused,) = (item for item in edited if item["result"] == "refused")
        assert refused["reasons"] == [
            {"code": "no_row", "message": "it has no row", "remedy": "add it with 'mta-sts add gone.example'"}
        ]
        (same,) = json.loads(run("edit", "contoso.com", "--max-age", "4w", "--json").stdout)
        assert (same["result"], same["before"]) == ("unchanged", same["after"])
        (back,) = json.loads(run("rollback", "contoso.com", newest.id, "--json").stdout)
        assert (back["result"], back["after"]) == ("changed", newest.text)
        (retired,) = json.loads(run("retire", "contoso.com", "--json").stdout)
        assert retired["removable_from"]
        (kept,) = json.loads(run("remove", "contoso.com", "--json").stdout)
        assert (kept["result"], kept["reasons"][0]["code"]) == ("refused", "still_cached")
        (gone,) = json.loads(run("remove", "contoso.com", "--force", "--note", "sold", "--json").stdout)
        assert (gone["result"], gone["after"]) == ("changed", None)

    def test_standard_output_has_json_alone(self, run: Run, store: Store, dozen: list[str]) -> None:
        done = run("edit", "--all", "--max-age", "1209600", "--dry-run", "--json")
        assert len(json.loads(done.stdout)) == 12
        assert "12 domains: max_age 604800 -> 1209600" in done.stderr


class TestManyAtOnce:
    def test_an_error_in_one_is_that_ones_result(
        self, run: Run, store: Store, dozen: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write = writing.write

        def broken(store: Store, change: Change) -> Planned:
            if change.domain == "d03.example":
                raise ServiceResponseError("Connection reset by peer")
            if change.domain == "d04.example":
                raise ZeroDivisionError("nobody thought of this")
            return write(store, change)

        monkeypatch.setattr(many, "write", broken)
        done = run("edit", "--all", "--max-age", "1209600", "--yes")
        assert done.exit_code == 1
        assert done.stdout.splitlines()[-1] == "10 changed, 0 unchanged, 0 refused, 2 failed"
        assert "d03.example was not changed: the store cannot be reached" in done.stderr
        assert "d04.example was not changed: an error that nobody expected: ZeroDivisionError" in done.stderr

    def test_where_nothing_is_reached_the_exit_code_says_so(self, run: Run) -> None:
        done = run("retire", "a.example", "b.example", "--store", _DEAD)
        assert done.exit_code == 3
        assert done.stdout.splitlines()[-1] == "0 retired, 0 unchanged, 0 refused, 2 failed"
        assert "_HTTP" not in done.output

    def test_the_tally_is_printed_on_control_c_as_well(
        self, run: Run, store: Store, dozen: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write = writing.write

        def interrupted(store: Store, change: Change) -> Planned:
            if change.domain == "d05.example":
                raise KeyboardInterrupt
            return write(store, change)

        monkeypatch.setattr(many, "write", interrupted)
        done = run("edit", "--all", "--max-age", "1209600", "--yes")
        assert done.exit_code == 130
        assert re.search(r"^\d+ changed, 0 unchanged, 0 refused$", done.stdout, re.MULTILINE)


class TestWhere:
    @pytest.mark.parametrize(
        ("expression", "count"),
        [
            ("domain = müller-söhne.example", 1),
            ("domain = Müller-Söhne.Example.", 1),
            ("domain = contoso.example.", 1),
            ("customer = Contoso", 1),
            ("customer = ", 1),
            ("customer ~ con*", 1),
        ],
    )
    def test_values_are_read_as_names_are(self, run: Run, store: Store, expression: str, count: int) -> None:
        _add(store, "xn--mller-shne-kcb9d.example")
        _add(store, "contoso.example", customer="Contoso")
        assert len(json.loads(run("list", "--where", expression, "--json").stdout)) == count

    @pytest.mark.parametrize(
        "words",
        [
            ("list",),
            ("edit", "--max-age", "1"),
            ("promote",),
            ("retire",),
            ("rollback", "--to", "2026-01-01"),
            ("dns", "show"),
            ("lint",),
            ("plan",),
            ("export", "-", "--to", "csv"),
        ],
    )
    def test_no_match_is_one_sentence(self, run: Run, store: Store, words: tuple[str, ...]) -> None:
        _add(store, "contoso.example")
        done = run(*words, "--where", "domain = nobody.example")
        assert done.exit_code == 1
        assert "No domain matches domain = nobody.example: 'mta-sts list' shows what there is." in done.stderr
        assert "Traceback" not in done.output

    def test_customer_is_an_option_and_a_column_that_is_never_served(self, run: Run, store: Store) -> None:
        assert run("add", "contoso.com", "--mx", "mx.example", "--customer", "Contoso Ltd").exit_code == 0
        (listed,) = json.loads(run("list", "--json").stdout)
        assert listed["customer"] == "Contoso Ltd"
        assert "Contoso Ltd" in run("show", "contoso.com").stdout
        assert run("edit", "--where", "customer = contoso ltd", "--customer", "Fabrikam").exit_code == 0
        row = store.policies.get("contoso.com")
        assert row
        assert (row.customer, len(store.history.revisions("contoso.com"))) == ("Fabrikam", 1)


class TestUndo:
    def test_a_slip_over_all_domains_is_put_back(
        self, run: Run, store: Store, dozen: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        time.sleep(1.1)  # a revision's key has whole seconds
        before = datetime.now(UTC)
        time.sleep(1.1)
        assert run("edit", "--all", "--mode", "testing", "--note", "a slip", "--yes").exit_code == 0
        assert run("edit", "--all", "--max-age", "1209600", "--yes").exit_code == 0
        monkeypatch.setattr(session, "lookup", lambda *_, **__: _World())
        words = ("rollback", "--to", f"{before:%Y-%m-%dT%H:%M:%S}", "--all")
        shown = run(*words, "--dry-run")
        assert "12 domains: mode testing -> enforce, max_age 1209600 -> 604800" in shown.stdout
        assert run(*words).exit_code == 2
        done = run(*words, "--yes")
        assert done.exit_code == 0, done.output
        assert set(_modes(store).values()) == {"enforce"}
        assert len({revision.id for revision in store.history.revisions(dozen[0])}) == 4
        again = run(*words, "--yes")
        assert (again.exit_code, again.stdout.splitlines()[-1]) == (0, "0 changed, 12 unchanged, 0 refused")

    def test_a_removed_row_comes_back_and_a_new_one_is_refused(
        self, run: Run, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _add(store, "contoso.com")
        time.sleep(1.1)
        before = datetime.now(UTC)
        time.sleep(1.1)
        assert run("remove", "contoso.com", "--force", "--note", "a slip").exit_code == 0
        _add(store, "new.example")
        monkeypatch.setattr(session, "lookup", lambda *_, **__: _World())
        done = run("rollback", "--to", f"{before:%Y-%m-%dT%H:%M:%S}", "--all")
        assert done.exit_code == 1
        assert "new.example was not changed: it was not here at" in done.stderr
        assert _modes(store) == {"contoso.com": "testing", "new.example": "testing"}

    def test_an_mx_host_that_the_old_text_lacks_stands_against_it(
        self, run: Run, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _add(store, "contoso.com", "enforce")
        time.sleep(1.1)
        before = datetime.now(UTC)
        time.sleep(1.1)
        assert run("edit", "contoso.com", "--add-mx", "new.example").exit_code == 0
        monkeypatch.setattr(session, "lookup", lambda *_, **__: _World(("new.example",)))
        done = run("rollback", "--to", f"{before:%Y-%m-%dT%H:%M:%S}", "contoso.com")
        assert done.exit_code == 1
        assert "no pattern matches the MX host new.example" in done.stderr


def _World(hosts: tuple[str, ...] = ("mx1.example.com",)) -> Any:  # noqa: N802 - stands for the class
    from tests.changes.world import World

    return World(hosts)


def test_control_characters_never_reach_a_terminal(
    run: Run, store: Store, tables: tuple[TableClient, TableClient]
) -> None:
    """Of notes, customers, names and keys that somebody wrote into the tables."""
    _add(store, "contoso.com")
    evil = "\x1b[31mred\u202e"
    tables[0].update_entity({"PartitionKey": "contoso.com", "RowKey": "policy", "note": evil, "customer": evil})
    row = {"PartitionKey": f"evil{evil[-1]}.example", "RowKey": "policy", "mode": "testing", "mx": "a.example"}
    tables[0].create_entity(row | {"max_age": 604800})
    key = "20200101000000Z"
    tables[1].create_entity(
        {"PartitionKey": "contoso.com", "RowKey": key, "id": "1", "text": f"mode: {evil}", "by": evil, "note": evil}
    )
    for words in (
        ("list",),
        ("show", "contoso.com"),
        ("history", "contoso.com"),
        ("diff", "contoso.com", "1"),
        ("plan",),
        ("lint",),
        ("audit",),
        ("edit", "--all", "--max-age", "1209600", "--dry-run", "--verbose"),
    ):
        done = run(*words)
        assert not {"\x1b", "\u202e"} & set(done.output), words


def test_threads_end_with_the_command(run: Run, store: Store, dozen: list[str]) -> None:
    before = threading.active_count()
    assert run("edit", "--all", "--max-age", "1209600", "--yes").exit_code == 0
    assert threading.active_count() <= before + 1
