"""import and export, on a real table service."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ServiceResponseError
from azure.data.tables import TableClient
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import Result

from policy_store.exchange.sources import proposals
from policy_store.exchange.targets import Target, write_policies
from policy_store.policy import Policy
from policy_store.tables.history import History, Revision
from policy_store.tables.policies import PolicyTable
from policy_store.tables.row import Row
from policy_store.tables.store import Store
from tests.cli.conftest import Run
from tests.strategies import policies as any_policy

_MTA_STS = Path(sys.executable).with_name("mta-sts")
_IMPORTS = Path(__file__).parents[1] / "data" / "imports"


def _rows(store: Store) -> dict[str, Row]:
    return {row.domain: row for row in store.policies.rows() if isinstance(row, Row)}


def _problems(done: Result) -> list[str]:
    """The lines for people without the store's name and what comes next."""
    return [line for line in done.stderr.splitlines() if not line.startswith(("Store: ", "Next: "))]


def _place(line: str) -> str:
    """The line of the file in a line that is printed: `line 3` of `…/a.csv line 3: a.example: …`."""
    return " ".join(line.partition(": ")[0].split()[-2:])


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    """Write a file and give its path."""

    def write(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


class TestCsv:
    def test_each_line_becomes_a_row_with_its_revision(self, run: Run, store: Store, file: Callable[..., str]) -> None:
        source = file(
            "policies.csv",
            "domain,mode,mx,max_age,note\n"
            'contoso.com,enforce,"a.example, *.b.example",1209600,\n'
            'fabrikam.com,testing,c.example d.example,604800,"two\nlines"\n',
        )
        done = run("import", source)
        assert done.exit_code == 0, done.output
        rows = _rows(store)
        assert rows["contoso.com"].policy == Policy(mode="enforce", mx=("a.example", "*.b.example"), max_age=1209600)
        assert rows["fabrikam.com"].note == "two\nlines"
        for domain, row in rows.items():
            assert [revision.text for revision in store.history.revisions(domain)] == [row.policy.text]
        assert done.stdout.endswith("2 added, 0 changed, 0 unchanged, 0 left out, 0 with problems\n")

    def test_what_the_file_leaves_out_is_as_add_would_have_it(
        self, run: Run, store: Store, file: Callable[..., str]
    ) -> None:
        assert run("import", file("policies.csv", "domain,mx,mode\ncontoso.com,a.example,\n")).exit_code == 0
        assert _rows(store)["contoso.com"].policy == Policy(mode="testing", mx=("a.example",), max_age=1209600)

    @pytest.mark.parametrize(
        "content",
        [
            b"\xef\xbb\xbfDomain;Mode;MX;MaxAge\r\nContoso.com;Testing;a.example, b.example;604800\r\n",
            "Domain\tmode\tmx\tmax age\ncontoso.com\ttesting\ta.example;b.example\t604800\n".encode("utf-16"),
            "Domain,mode,mx,max_age\ncontoso.com,testing,a.example b.example,604800\n".encode("utf-16-le"),
            b"sep=;\r\ndomain;mode;mx;max_age\r\n\r\n contoso.com. ;TESTING;A.example b.example.;604800\r\n",
            b'PartitionKey,RowKey,Timestamp,mode,mode@type,mx,max_age\ncontoso.com,policy,2026,testing,x,"a.example,b.example",604800',
        ],
        ids=[
            "excel in Germany",
            "UTF-16 with tabs",
            "UTF-16 without a mark",
            "sep= and blank lines",
            "Storage Explorer",
        ],
    )
    def test_what_excel_and_others_write_is_read(
        self, run: Run, store: Store, file: Callable[..., str], content: bytes
    ) -> None:
        done = run("import", file("policies.csv", content))
        assert done.exit_code == 0, done.output
        assert _rows(store)["contoso.com"].policy == Policy(
            mode="testing", mx=("a.example", "b.example"), max_age=604800
        )

    def test_every_problem_names_its_line_and_the_others_come_in(
        self, run: Run, store: Store, file: Callable[..., str]
    ) -> None:
        source = file(
            "policies.csv",
            "domain,mode,mx,max_age,note\n"
            "good.example,testing,a.example,604800,\n"
            "broken.example,enforced,a..example,a week,\n"
            "not a domain,testing,a.example,604800,\n"
            '"two.example",testing,a.example,604800,"on\ntwo lines"\n'
            "cells.example,testing,a.example,b.example,604800,\n"
            "twice.example,testing,a.example,604800,\n"
            "lint.example,testing,*.mx.microsoft,604800,\n"
            "nomx.example,testing,,604800,\n"
            "Twice.example,enforce,a.example,604800,\n",
        )
        done = run("import", source)
        assert done.exit_code == 1
        assert set(_rows(store)) == {"good.example", "two.example"}
        places = [_place(line) for line in _problems(done)]
        assert places == [
            *["line 3"] * 3, "line 4", "line 7", "line 8", "line 9", "line 10", "line 11",
        ]  # fmt: skip
        assert done.stdout.endswith("2 added, 0 changed, 0 unchanged, 0 left out, 7 with problems\n")

    def test_a_dry_run_reports_the_same_and_writes_nothing(
        self, run: Run, store: Store, file: Callable[..., str]
    ) -> None:
        source = file("policies.csv", "domain,mx\ncontoso.com,a.example\nbroken.example,*\n")
        done = run("import", source, "--dry-run")
        assert done.exit_code == 1
        assert "line 3: broken.example: " in done.stderr
        assert done.stdout == (
            f"{source} line 2: contoso.com: new, mode testing, max_age 1209600, mx a.example\n"
            "1 would be added, 0 would be changed, 0 unchanged, 0 left out, 1 with problems\n"
        )
        assert list(store.policies.rows()) == []
        assert list(store.history.all_revisions()) == []

    @pytest.mark.parametrize(
        ("name", "content", "said"),
        [
            ("a.csv", "mode,mx\ntesting,a.example\n", "no column is named domain"),
            ("a.csv", "domain,Domain name,mx\n", "two columns are for domain"),
            ("a.csv", b"domain,note\ncontoso.com,M\xfcller\n", "UTF-8"),
            ("a.csv", "", "there is no domain in it"),
            ("a.json", '[{"domain": "contoso.com"', "not JSON"),
            ("a.json", '[{"domain": "contoso.com", "mx": "a.example"}', "not JSON"),
        ],
    )
    def test_a_file_that_cannot_be_read_is_a_problem(
        self, run: Run, store: Store, file: Callable[..., str], name: str, content: str | bytes, said: str
    ) -> None:
        done = run("import", file(name, content))
        assert done.exit_code == 1
        assert said in done.stderr
        assert list(store.policies.rows()) == []

    def test_a_file_that_is_not_there_is_wrong_use(self, run: Run) -> None:
        done = run("import", "nowhere.csv")
        assert (done.exit_code, "nowhere.csv does not exist" in done.stderr) == (2, True)


class TestSources:
    def test_several_files_come_in_and_each_domain_is_said_with_its_place(
        self, run: Run, store: Store, file: Callable[..., str]
    ) -> None:
        one, two = (
            file("a.csv", "domain,mx\na.example,mx.a.example\n"),
            file("b.json", '[{"domain": "b.example", "mx": "mx.b.example"}]'),
        )
        for dry in (("--dry-run",), ()):
            done = run("import", one, two, *dry)
            assert done.exit_code == 0, done.output
            assert f"{one} line 2: a.example: new, mode testing" in done.stdout
            assert f"{two} line 1: b.example: new, mode testing" in done.stdout
        assert set(_rows(store)) == {"a.example", "b.example"}

    def test_a_domain_in_two_files_with_two_policies_comes_in_from_neither(
        self, run: Run, store: Store, file: Callable[..., str]
    ) -> None:
        one, two = (
            file("a.csv", "domain,mx\na.example,mx.a.example\n"),
            file("b.csv", "domain,mx\na.example,mx.b.example\n"),
        )
        done = run("import", one, two)
        assert done.exit_code == 1
        assert done.stderr.count("(domain_twice)") == 2
        assert _rows(store) == {}

    def test_a_pipe_is_read(self, store: Store) -> None:
        done = subprocess.run(
            [_MTA_STS, "import", "-"], input=b"domain,mx\na.example,mx.a.example\n", capture_output=True, check=True
        )
        assert done.stdout.decode().startswith("standard input line 2: a.example: new, mode testing")
        assert set(_rows(store)) == {"a.example"}

    def test_the_customer_comes_from_the_file_or_else_from_the_option(
        self, run: Run, store: Store, file: Callable[..., str]
    ) -> None:
        source = file("a.csv", "domain,mx,customer\na.example,mx.a.example,0815\nb.example,mx.b.example,\n")
        assert run("import", source, "--customer", "Contoso").exit_code == 0
        assert {domain: row.customer for domain, row in _rows(store).items()} == {
            "a.example": "0815",
            "b.example": "Contoso",
        }

    def test_microsofts_own_domains_of_every_cloud_are_left_out_in_one_line(
        self, run: Run, store: Store, file: Callable[..., str]
    ) -> None:
        names = (
            "c.onmicrosoft.com",
            "c.mail.onmicrosoft.com",
            "c.onmicrosoft.us",
            "c.onmicrosoft.de",
            "c.partner.onmschina.cn",
        )
        done = run("import", file("a.txt", "\n".join(names)))
        assert done.exit_code == 0, done.output
        assert all(f"{name} (" in done.stdout.splitlines()[0] for name in names)
        assert _rows(store) == {}


class TestExistingRows:
    @pytest.mark.parametrize("words", [(), ("--dry-run",), ("--json",)])
    def test_columns_that_are_not_read_are_said_and_are_no_problem(
        self, run: Run, file: Callable[..., str], words: tuple[str, ...]
    ) -> None:
        path = file("a.csv", "domain,mx,owner\na.example,mx.a.example,ann\n")
        done = run("import", path, *words)
        assert done.exit_code == 0
        assert f"{path}: nothing reads 'owner': what is in there does not come in.\n" in done.stderr

    @pytest.mark.parametrize("words", [(), ("--dry-run",)])
    def test_more_patterns_than_a_cell_of_the_history_holds_are_refused_before_anything_is_written(
        self, run: Run, store: Store, file: Callable[..., str], words: tuple[str, ...]
    ) -> None:
        patterns = " ".join(f"mx{number}.a.example" for number in range(2000))
        done = run("import", file("a.csv", f"domain,mx\na.example,{patterns}\n"), *words)
        assert (done.exit_code, _rows(store)) == (1, {})
        assert "line 2: a.example: the text has 42939 characters, and 32768 can be kept: remove patterns" in done.stderr

    def test_the_same_again_is_unchanged(self, run: Run, store: Store, file: Callable[..., str]) -> None:
        source = file("policies.csv", "domain,mx\ncontoso.com,a.example\n")
        assert run("import", source).exit_code == 0
        etag = _rows(store)["contoso.com"].etag
        done = run("import", source)
        assert done.stdout == "0 added, 0 changed, 1 unchanged, 0 left out, 0 with problems\n"
        assert _rows(store)["contoso.com"].etag == etag

    def test_another_policy_is_a_problem_unless_it_is_to_be_updated(
        self, run: Run, store: Store, file: Callable[..., str]
    ) -> None:
        assert (
            run("import", file("old.csv", "domain,mx,mode,note\ncontoso.com,a.example,enforce,kept\n")).exit_code == 0
        )
        source = file("new.csv", "domain,max_age\ncontoso.com,4w\n")
        refused = run("import", source)
        assert refused.exit_code == 1
        assert "line 2: contoso.com: it is here already" in refused.stderr
        assert "--update" in refused.stderr
        assert run("import", source, "--update").exit_code == 0
        row = _rows(store)["contoso.com"]
        assert row.policy == Policy(mode="enforce", mx=("a.example",), max_age=2419200)
        assert row.note == "kept"

    def test_an_update_is_no_way_round_promote(self, run: Run, store: Store, file: Callable[..., str]) -> None:
        assert run("import", file("old.csv", "domain,mx\ncontoso.com,a.example\n")).exit_code == 0
        done = run("import", file("new.csv", "domain,mode\ncontoso.com,enforce\n"), "--update")
        assert done.exit_code == 1
        assert "mta-sts promote contoso.com" in done.stderr

    def test_a_row_without_a_revision_gets_one(self, run: Run, store: Store, file: Callable[..., str]) -> None:
        store.policies.add("contoso.com", Policy(mode="testing", mx=("a.example",), max_age=604800))
        assert run("import", file("policies.csv", "domain,mx\ncontoso.com,a.example\n")).exit_code == 0
        assert len(store.history.revisions("contoso.com")) == 1


def test_a_connection_that_breaks_between_row_and_revision_is_made_good(
    run: Run, store: Store, file: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record, breaks = History.record, iter([ServiceResponseError("Connection reset by peer")])

    def record_or_break(self: History, row: Row, policies: PolicyTable, **words: Any) -> Revision:
        for error in breaks:
            raise error
        return record(self, row, policies, **words)

    monkeypatch.setattr(History, "record", record_or_break)
    done = run("import", file("policies.csv", "domain,mx\ncontoso.com,a.example\n"))
    assert done.exit_code == 0, done.output
    assert [revision.text for revision in store.history.revisions("contoso.com")] == [
        _rows(store)["contoso.com"].policy.text
    ]


class TestJson:
    def test_what_list_prints_comes_in_again(self, run: Run, store: Store, file: Callable[..., str]) -> None:
        assert run("add", "contoso.com", "--mx", "a.example b.example", "--note", "nöte").exit_code == 0
        listed = run("list", "--json").stdout
        policy = _rows(store)["contoso.com"].policy
        assert run("import", file("listed.json", listed)).stdout.startswith("0 added, 0 changed, 1 unchanged")
        for row in _rows(store).values():
            store.policies.delete(row.domain, row.etag)
        assert run("import", file("listed.json", listed)).exit_code == 0
        assert (_rows(store)["contoso.com"].policy, _rows(store)["contoso.com"].note) == (policy, "nöte")

    def test_every_problem_names_the_line_on_which_its_object_begins(
        self, run: Run, store: Store, file: Callable[..., str]
    ) -> None:
        source = file(
            "policies.json",
            '[\n  {"domain": "contoso.com",\n   "mx": ["a.example"], "max_age": 604800.5},\n  7,\n'
            '  {"domain": "fabrikam.com", "mx": ["a.example"]},\n  {"mx": "a.example"}\n]\n',
        )
        done = run("import", source)
        assert done.exit_code == 1
        assert [_place(line) for line in _problems(done)] == ["line 2", "line 4", "line 6"]
        assert set(_rows(store)) == {"fabrikam.com"}


class TestTexts:
    def test_the_domain_is_in_the_path(self, run: Run, store: Store, file: Callable[..., str], tmp_path: Path) -> None:
        for number, place in enumerate(
            (
                "a.example.txt",
                "b.example/mta-sts.txt",
                "mta-sts.c.example/.well-known/mta-sts.txt",
                "d.example/.well-known/mta-sts.txt",
                "MTA-STS.E.example.txt",
                "a-repository/.well-known/mta-sts.txt",
                "mta-sts.g.example/mta-sts.txt",
                "h.example/home/.well-known/mta-sts.txt",
                "mta-sts.i.example/home/.well-known/mta-sts.txt",
            )
        ):
            file(place, f"version: STSv1\nmode: testing\nmx: mx{number}.example\nmax_age: 604800\n")
        file("a-repository/CNAME", "mta-sts.f.example\n")
        file("a-repository/robots.txt", "User-agent: *\n")
        done = run("import", str(tmp_path))
        assert done.exit_code == 0, done.output
        patterns = {domain: row.policy.mx[0] for domain, row in _rows(store).items()}
        assert patterns == {
            "a.example": "mx0.example",
            "b.example": "mx1.example",
            "c.example": "mx2.example",
            "d.example": "mx3.example",
            "e.example": "mx4.example",
            "f.example": "mx5.example",
            "g.example": "mx6.example",
            "h.example": "mx7.example",
            "i.example": "mx8.example",
        }

    def test_a_folder_that_is_not_named_after_a_domain_is_told(
        self, run: Run, store: Store, file: Callable[..., str], tmp_path: Path
    ) -> None:
        file("public/.well-known/mta-sts.txt", "version: STSv1\nmode: testing\nmx: a.example\nmax_age: 604800\n")
        done = run("import", str(tmp_path))
        assert done.exit_code == 1
        assert "public/.well-known/mta-sts.txt: no folder above it is named after a domain" in done.stderr
        assert _rows(store) == {}

    def test_a_text_that_is_no_policy_is_told_by_file_and_line(
        self, run: Run, store: Store, file: Callable[..., str], tmp_path: Path
    ) -> None:
        file("a.example.txt", "version: STSv1\nmode: enforced\nmx: a.example.\nmax_age: 604800\n")
        done = run("import", str(tmp_path))
        assert done.exit_code == 1
        assert [line.partition(": ")[0] for line in _problems(done)] == [
            f"{tmp_path}/a.example.txt line 2",
            f"{tmp_path}/a.example.txt line 3",
        ]
        assert _rows(store) == {}


class TestExport:
    @pytest.mark.parametrize("name", ["all.csv", "all.json", "texts"])
    def test_what_goes_out_comes_in_the_same(
        self, run: Run, store: Store, tmp_path: Path, tables: tuple[TableClient, TableClient], name: str
    ) -> None:
        for number, mode in enumerate(("enforce", "testing", "none")):
            policy = Policy.model_validate(
                {"mode": mode, "mx": (f"mx{number}.example", "*.b.example"), "max_age": 604800 + number}
            )
            note = "" if name == "texts" else 'über, "quotes"; and\nlines'
            store.policies.add(f"d{number}.example", policy, note)
        before = {row.domain: (row.policy, row.note) for row in _rows(store).values()}
        exported = run("export", str(tmp_path / name))
        assert exported.exit_code == 0, exported.output
        for row in _rows(store).values():
            store.policies.delete(row.domain, row.etag)
        imported = run("import", str(tmp_path / name))
        assert imported.exit_code == 0, imported.output
        assert {row.domain: (row.policy, row.note) for row in _rows(store).values()} == before

    def test_a_row_without_a_policy_is_left_out_and_told(
        self, run: Run, tables: tuple[TableClient, TableClient], tmp_path: Path
    ) -> None:
        tables[0].create_entity({"PartitionKey": "contoso.com", "RowKey": "policy", "mode": "enforced"})
        done = run("export", str(tmp_path / "all.json"))
        assert done.exit_code == 1
        assert "contoso.com is left out" in done.stderr
        assert json.loads((tmp_path / "all.json").read_text()) == []

    def test_where_and_standard_output(self, run: Run, store: Store) -> None:
        for domain in ("a.example", "b.example"):
            store.policies.add(domain, Policy(mode="testing", mx=("mx.example",), max_age=604800))
        done = run("export", "-", "--to", "csv", "--where", "domain = b.example")
        assert done.exit_code == 0, done.output
        assert done.stdout.splitlines() == [
            "domain,mode,mx,max_age,customer,note",
            "b.example,testing,mx.example,604800,,",
        ]

    def test_a_file_that_exists_is_overwritten_by_force_only(
        self, run: Run, store: Store, file: Callable[..., str]
    ) -> None:
        store.policies.add("a.example", Policy(mode="testing", mx=("mx.example",), max_age=604800))
        precious = file("all.csv", "precious")
        refused = run("export", precious)
        assert (refused.exit_code, "--force" in refused.stderr) == (2, True)
        assert Path(precious).read_text() == "precious"
        assert run("export", precious, "--force").exit_code == 0

    def test_excel_gets_the_separator_of_the_language(
        self, run: Run, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        row = store.policies.add("a.example", Policy(mode="testing", mx=("mx.example",), max_age=604800))
        store.history.record(row, store.policies, by="tests")
        monkeypatch.setattr("policy_store.cli.bulk.list_separator", lambda: ";")
        assert run("export", str(tmp_path / "all.csv"), "--excel").exit_code == 0
        assert (tmp_path / "all.csv").read_bytes().startswith(b"\xef\xbb\xbfdomain;mode;mx;max_age;customer;note\r\n")
        assert run("import", str(tmp_path / "all.csv")).stdout.startswith("0 added, 0 changed, 1 unchanged")
        assert run("export", str(tmp_path / "all.json"), "--excel").exit_code == 2

    def test_a_folder_that_holds_something_is_left_alone(
        self, run: Run, store: Store, file: Callable[..., str], tmp_path: Path
    ) -> None:
        file("texts/old.example.txt", "")
        done = run("export", str(tmp_path / "texts"))
        assert (done.exit_code, "not empty" in done.stderr) == (2, True)

    def test_a_name_that_says_nothing_needs_to(self, run: Run, tmp_path: Path) -> None:
        done = run("export", str(tmp_path / "all.xlsx"))
        assert (done.exit_code, "--to csv" in done.stderr) == (2, True)

    @settings(max_examples=60, deadline=timedelta(seconds=5))
    @given(policy=any_policy(), note=st.text(st.characters(codec="utf-8", exclude_characters="\0")))
    @pytest.mark.parametrize("kind", ["csv", "json", "texts"])
    def test_every_policy_is_read_as_it_was_written(self, kind: Target, policy: Policy, note: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / ("texts" if kind == "texts" else f"all.{kind}")
            row = Row("contoso.com", policy, note, "", datetime(2026, 11, 24, tzinfo=UTC))
            write_policies(path, kind, [row])
            (read,) = proposals(path)
        assert read.problems == ()
        assert (read.domain, read.mode, read.mx or (), read.max_age) == (
            "contoso.com", policy.mode, policy.mx, policy.max_age,
        )  # fmt: skip
        if kind != "texts" and note.strip():
            assert read.note == note


def _on_a_terminal(*words: str, stdout: int | None = None) -> tuple[str, bytes]:
    """Run the command on a terminal, standard output too unless told: what came there, and what went to the pipe."""
    terminal, end = os.openpty()
    with os.fdopen(terminal, "rb", buffering=0) as seen:
        process = subprocess.Popen([_MTA_STS, *words], stdin=subprocess.DEVNULL, stdout=stdout or end, stderr=end)
        os.close(end)
        came = b""
        with suppress(OSError):  # how a terminal without anybody at its other end closes
            while part := seen.read(4096):
                came += part
        piped = process.communicate(timeout=60)[0] or b""
    return came.decode(), piped


def _screen(came: str) -> list[str]:
    """The lines that a terminal shows, which goes back to the beginning of a line at each carriage return."""
    lines = []
    for line in came.replace("\r\n", "\n").split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


@pytest.mark.parametrize(
    "words",
    [
        ("import", "rows.csv", "--dry-run"),
        ("edit", "--all", "--max-age", "1209600", "--dry-run"),
        ("export", "-", "--to", "csv"),
        ("dns", "--all", "--format", "zone"),
        ("list", "--format", "table"),
    ],
    ids=lambda words: words[0],
)
def test_a_terminal_shows_what_a_pipe_gets_with_nothing_of_the_progress_left(
    store: Store, tmp_path: Path, words: tuple[str, ...]
) -> None:
    for name in "ab":
        store.policies.add(f"{name}.example", Policy(mode="testing", mx=(f"mx.{name}.example",), max_age=604800))
    rows = ["domain,mode,mx,max_age", "c.example,testing,mx.c.example,604800", "d.example,testing,,604800"]
    (tmp_path / "rows.csv").write_text("\n".join([*rows, "e.example,wrong,mx.e.example,604800", ""]))
    piped = subprocess.run([_MTA_STS, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout
    came, _ = _on_a_terminal(*words)
    assert sorted(_screen(came)) == sorted(line.rstrip() for line in [*piped.decode().splitlines(), ""])


def test_progress_is_on_the_terminal_and_what_is_printed_in_the_file(store: Store) -> None:
    store.policies.add("contoso.com", Policy(mode="testing", mx=("a.example",), max_age=604800))
    came, piped = _on_a_terminal("export", "-", "--to", "json", stdout=subprocess.PIPE)
    assert [policy["domain"] for policy in json.loads(piped)] == ["contoso.com"]
    assert "exporting 1" in came
    assert "contoso.com" not in came
    assert _screen(came) == [""]


class TestAcceptedDomains:
    """What Exchange Online gives: domains and no patterns."""

    def test_without_patterns_each_line_says_what_is_missing(self, run: Run, store: Store) -> None:
        done = run("import", str(_IMPORTS / "accepted_domains_powershell.csv"))
        assert done.exit_code == 1
        unread, *problems = _problems(done)
        assert "nothing reads 'DomainType', 'MatchSubDomains'" in unread
        assert [_place(line) for line in problems] == ["line 4", "line 5"]
        assert "--mx-from-dns" in done.stderr
        assert "left out, because Microsoft runs their DNS" in done.stdout
        assert f"contoso.onmicrosoft.com ({_IMPORTS / 'accepted_domains_powershell.csv'} line 3)\n" in done.stdout
        assert _rows(store) == {}
