"""How reading commands print: tables for people, data for programs; and what is equal once."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from policy_store.cli import screen
from policy_store.policy import Mode, Policy
from policy_store.tables.store import Store
from tests.cli.conftest import Run

_MTA_STS = Path(sys.executable).parent / "mta-sts"
_LONG = "a-customer-with-a-name-of-so-many-words.that-it-fits-in-no-table-of-80-columns.example"


def _add(store: Store, domain: str, mode: Mode = "testing", mx: str = "mx.contoso.com", note: str = "") -> None:
    policy = Policy(mode=mode, mx=(mx, "*.b.example"), max_age=604800)
    store.history.record(store.policies.add(domain, policy, note), store.policies, by="tests")


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """Standard output is no terminal."""
    del store  # whose fixture says that it is one
    monkeypatch.setattr(screen, "on_terminal", lambda: False)


class TestPiped:
    def test_a_list_in_a_pipe_is_one_unfolded_line_for_each_domain(self, store: Store) -> None:
        for domain in ("b.example", _LONG):
            _add(store, domain, note="two\nlines")
        done = subprocess.run([_MTA_STS, "list"], capture_output=True, text=True, check=True)
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        assert [line[:4] for line in lines] == [
            [_LONG, "testing", "mx.contoso.com *.b.example", "604800"],
            ["b.example", "testing", "mx.contoso.com *.b.example", "604800"],
        ]
        assert {line[7] for line in lines} == {"two lines"}

    @pytest.mark.usefixtures("piped")
    @pytest.mark.parametrize(
        "words", [("list",), ("plan",), ("lint",), ("history", "b.example"), ("dns", "show", "--all")]
    )
    def test_the_domain_comes_first(self, run: Run, store: Store, words: tuple[str, ...]) -> None:
        _add(store, "b.example", "enforce")
        done = run(*words)
        assert done.exit_code == 0, done.output
        assert {line.split("\t")[0] for line in done.stdout.splitlines()} <= {"b.example"}
        assert done.stdout or words == ("plan",)

    @pytest.mark.usefixtures("piped")
    def test_format_says_otherwise(self, run: Run, store: Store) -> None:
        _add(store, "b.example", note="=1+1")
        assert run("list", "--format", "table").stdout.endswith("1 domain\n")
        assert json.loads(run("list", "--format", "json").stdout)[0]["domain"] == "b.example"
        [row] = csv.DictReader(io.StringIO(run("list", "--format", "csv").stdout))
        assert (row["domain"], row["max_age"], row["note"]) == ("b.example", "604800", "'=1+1")

    def test_a_terminal_gets_a_table_unless_format_says_otherwise(self, run: Run, store: Store) -> None:
        _add(store, "b.example")
        assert run("list").stdout.endswith("1 domain\n")
        assert run("list", "--format", "tsv").stdout.startswith("b.example\ttesting\t")


class TestOneDomain:
    def test_show_has_the_columns_of_list_and_some_more(self, run: Run, store: Store) -> None:
        _add(store, "b.example", note="two\nlines")
        (listed,) = run("list", "--format", "tsv").stdout.splitlines()
        (shown,) = run("show", "b.example", "--format", "tsv").stdout.splitlines()
        assert shown.split("\t")[:10] == listed.split("\t")
        [row] = csv.DictReader(io.StringIO(run("show", "b.example", "--format", "csv").stdout))
        assert (row["domain"], row["max_age"], row["note"], row["by"]) == ("b.example", "604800", "two\nlines", "tests")
        assert json.loads(run("show", "b.example", "--format", "json").stdout)["domain"] == "b.example"
        assert json.loads(run("show", "b.example", "--json").stdout)["domain"] == "b.example"

    @pytest.mark.usefixtures("piped")
    def test_show_in_a_pipe_is_data(self, run: Run, store: Store) -> None:
        _add(store, "b.example")
        assert run("show", "b.example").stdout.startswith("b.example\ttesting\tmx.contoso.com *.b.example\t604800\t")
        assert run("show", "b.example", "--format", "table").stdout.startswith("domain ")

    @pytest.mark.usefixtures("piped")
    def test_diff_stays_a_difference_in_a_pipe_and_has_a_line_for_each_change_on_demand(
        self, run: Run, store: Store
    ) -> None:
        _add(store, "b.example")
        assert run("edit", "b.example", "--max-age", "8w").exit_code == 0
        assert "-max_age: 604800\n+max_age: 4838400\n" in run("diff", "b.example").stdout
        old, new = (revision.id for revision in store.history.revisions("b.example"))
        rows = list(csv.DictReader(io.StringIO(run("diff", "b.example", "--format", "csv").stdout)))
        assert [tuple(row.values()) for row in rows] == [
            ("b.example", old, new, "removed", "max_age: 604800"),
            ("b.example", old, new, "added", "max_age: 4838400"),
        ]
        assert run("diff", "b.example", new, new, "--format", "tsv").stdout == ""
        assert json.loads(run("diff", "b.example", "--format", "json").stdout)["after"] == new


class TestGroups:
    def test_lint_prints_what_several_domains_have_once_the_worst_first_and_the_totals_last(
        self, run: Run, store: Store
    ) -> None:
        for number in range(12):
            _add(store, f"d{number:02}.example", "enforce")
        _add(store, "wrong.example", mx="*.mx.microsoft")
        lines = run("lint").stdout.splitlines()
        assert lines[0] == "wrong.example"
        assert lines[1].startswith("  error mx_matches_nothing")
        assert sum("max_age_under_two_weeks" in line for line in lines) == 1
        assert any(line.startswith("12 places: d00.example, d01.example") for line in lines)
        assert lines[-1] == "13 policies, error: 1, warning: 0, info: 12"

    def test_plan_prints_what_is_to_be_done_for_several_domains_once(self, run: Run, store: Store) -> None:
        for number in range(12):
            _add(store, f"d{number:02}.example")
        lines = run("plan").stdout.splitlines()
        assert sum("12 domains:" in line for line in lines) == 1
        assert lines[-1] == "12 tasks"


class TestNames:
    @pytest.mark.parametrize("words", [("show",), ("history",), ("edit", "--max-age", "8w")])
    def test_a_name_one_letter_away_is_asked_for(self, run: Run, store: Store, words: tuple[str, ...]) -> None:
        _add(store, "alpine-dental.example")
        done = run(words[0], "alpine-denta.example", *words[1:])
        assert done.exit_code == 1
        assert "did you mean alpine-dental.example?" in done.stderr

    @pytest.mark.parametrize("name", ["contoso", "localhost", "contoso.example\u200bfabrikam.example"])
    def test_what_is_no_domain_is_not_added(self, run: Run, store: Store, name: str) -> None:
        assert run("add", name, "--mx", "mx.contoso.com").exit_code == 2
        assert list(store.policies.rows()) == []

    def test_the_policy_host_is_added_as_its_domain(self, run: Run, store: Store) -> None:
        assert run("add", "mta-sts.contoso.com", "--mx", "mx.contoso.com").exit_code == 0
        assert [row.domain for row in store.policies.rows()] == ["contoso.com"]

    def test_a_pattern_of_two_hosts_in_one_is_refused_and_named(self, run: Run) -> None:
        done = run("add", "contoso.com", "--mx", "mx1.contoso.com\u200bmx2.contoso.com")
        assert (done.exit_code, "U+200B" in done.stderr) == (2, True)


class TestSeconds:
    def test_days_and_weeks_are_read_and_said_beside_the_seconds(self, run: Run, store: Store) -> None:
        assert run("add", "contoso.com", "--mx", "mx.contoso.com", "--max-age", "60d").exit_code == 0
        row = store.policies.get("contoso.com")
        assert row
        assert row.policy.max_age == 60 * 86400

    def test_less_than_a_day_in_enforce_needs_force(self, run: Run, store: Store) -> None:
        words = ("add", "contoso.com", "--mx", "mx.contoso.com", "--mode", "enforce", "--max-age", "60")
        refused = run(*words)
        assert refused.exit_code == 1
        assert "max_age is 60 (1 minute), less than a day" in refused.stderr
        assert list(store.policies.rows()) == []
        assert run(*words, "--force", "--note", "a test").exit_code == 0
        assert run("edit", "contoso.com", "--max-age", "30").exit_code == 1
        assert run("edit", "contoso.com", "--max-age", "90").exit_code == 0

    def test_what_add_and_promote_make_is_clean(self, run: Run, store: Store) -> None:
        assert run("add", "contoso.com", "--mx", "mx.contoso.com").exit_code == 0
        assert run("edit", "contoso.com", "--mode", "enforce", "--force", "--note", "a test").exit_code == 0
        assert run("lint", "contoso.com").stdout == "1 policy, error: 0, warning: 0, info: 0\n"


def test_several_addresses_for_reports_may_stand_in_one_option(run: Run, store: Store) -> None:
    _add(store, "contoso.com")
    done = run("dns", "show", "contoso.com", "--rua", "mailto:a@b.example,mailto:c@d.example", "--format", "tsv")
    assert "v=TLSRPTv1; rua=mailto:a@b.example,mailto:c@d.example;" in done.stdout


def test_the_counts_of_a_log_are_one_table(run: Run, tmp_path: Path) -> None:
    line = "answer domain={} outcome={} status={} version=- ms={} host='mta-sts.x.example' agent='a/1'\r\n"
    lines = [line.format("contoso.com", "fresh", 200, 1500), line.format("-", "unknown", 404, 1)]
    (tmp_path / "log.txt").write_text("".join(lines), encoding="utf-8")
    done = run("stats", str(tmp_path / "log.txt"), "--format", "csv")
    rows = [{name: cell for name, cell in row.items() if cell} for row in csv.DictReader(io.StringIO(done.stdout))]
    assert rows == [
        {"domain": "contoso.com", "table": "fetches", "sender": "a", "count": "1", "unavailable": "0"},
        {"domain": "mta-sts.x.example", "table": "unknown_hosts", "count": "1"},
        {"domain": "contoso.com", "table": "slow", "outcome": "fresh", "count": "1", "slowest_ms": "1500"},
    ]
    assert "2 answers in 2 lines" in done.stderr
    assert run("stats", str(tmp_path / "log.txt"), "--format", "tsv").stdout.startswith("contoso.com\tfetches\ta\t")
    assert json.loads(run("stats", str(tmp_path / "log.txt"), "--format", "json").stdout)["answers"] == 2


def test_a_log_in_utf_16_is_counted(run: Run, tmp_path: Path) -> None:
    line = (
        "answer domain=contoso.com outcome=fresh status=200 version=20261124193000Z ms=1 "
        "host='mta-sts.contoso.com' agent='x'\r\n"
    )
    (tmp_path / "log.txt").write_bytes((line * 20).encode("utf-16"))
    assert run("stats", str(tmp_path / "log.txt")).stdout.startswith("20 answers in 20 lines")
    (tmp_path / "log.xlsx").write_bytes(b"PK\x03\x04")
    done = run("stats", str(tmp_path / "log.xlsx"))
    assert (done.exit_code, "an Excel workbook" in done.stderr) == (2, True)


def test_a_policy_in_utf_16_is_linted_by_line(run: Run, tmp_path: Path) -> None:
    text = "version: STSv1\r\nmode: enforced\r\nmx: mx.contoso.com\r\nmax_age: 1209600\r\n"
    (tmp_path / "mta-sts.txt").write_bytes(text.encode("utf-16"))
    found = json.loads(run("lint", str(tmp_path / "mta-sts.txt"), "--json").stdout)
    assert {(one["code"], one["line"]) for one in found} == {("utf16", 1), ("mode_value", 2)}
