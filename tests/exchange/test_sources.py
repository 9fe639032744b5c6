"""What files say of domains: nothing is lost, merged or taken for something else without a problem with its place."""

import io
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_store.exchange.lists import read_list
from policy_store.exchange.objects import read_objects
from policy_store.exchange.proposal import Proposal
from policy_store.exchange.sources import proposals, together, unread_lines
from policy_store.exchange.targets import target_of, write_policies
from policy_store.lint.findings import RULES
from policy_store.policy import Policy
from policy_store.tables.row import Row
from tests.conftest import load_cases

type Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file and give its path."""

    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def _good(found: list[Proposal]) -> list[str | None]:
    return [proposal.domain for proposal in found if not proposal.problems]


class TestLists:
    @pytest.mark.parametrize("case", load_cases("sources.json"))
    def test_domains_come_in_and_problems_have_their_lines(self, case: dict[str, Any], write: Write) -> None:
        path = write(case.get("file", "list.csv"), case["text"].encode(case.get("encoding", "utf-8")))
        found = list(proposals(path))
        problems = [[problem.line, problem.code] for proposal in found for problem in proposal.problems]
        assert (_good(found), problems) == (case["domains"], case["problems"])
        assert {problem.file for proposal in found for problem in proposal.problems} <= {str(path)}

    def test_a_header_that_names_no_domain_is_shown(self, write: Write) -> None:
        [found] = proposals(write("a.csv", "mode,Kunde\u200b,\ntesting,x,\n"))
        assert "the first line names 'mode', 'Kunde'" in found.sentences[0]

    def test_a_sentence_has_place_domain_code_and_remedy(self, write: Write) -> None:
        path = write("a.csv", "domain,mx\na.example,*\n")
        [found] = proposals(path)
        assert found.sentences[0].startswith(f"{path} line 2: a.example: mx is '*': '*' matches no MX host")
        assert f"(mx_value): {RULES['mx_value'].remedy}" in found.sentences[0]

    def test_cells_are_read_as_rows_are(self, write: Write) -> None:
        [found] = proposals(
            write(
                "a.csv",
                "Domain;Mode;MX;MaxAge;Customer;Notes\nB.example;ENFORCE;mx1.B.example, *.c.example;8w;0815;x\n",
            )
        )
        assert found == Proposal(
            found.file, 2, "b.example", "enforce", ("mx1.b.example", "*.c.example"), 8 * 604800, "0815", "x"
        )

    def test_what_is_no_text_is_named(self, write: Write) -> None:
        for start, kind in (
            (b"PK\x03\x04", ".xlsx"),
            (b"\xd0\xcf\x11\xe0", ".xls"),
            (b"%PDF-1.7", "PDF"),
            (b"\x1f\x8b", "gzip"),
        ):
            [found] = proposals(write("a.csv", start + bytes(100)))
            assert [problem.code for problem in found.problems] == ["unreadable"]
            assert kind in found.sentences[0]

    def test_a_file_that_is_not_there_is_a_problem(self, tmp_path: Path) -> None:
        [found] = proposals(tmp_path / "nowhere.csv")
        assert "nowhere.csv: it cannot be read: No such file" in found.sentences[0]

    def test_a_pipe_is_read_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"domain,mx\na.example,mx.a.example\nb,x.example\n"))
        )
        good, wrong = together(["-"])
        assert (good.domain, good.place) == ("a.example", "standard input line 2")
        assert wrong.place == "standard input line 3"

    def test_json_that_is_nested_deeply_is_a_problem(self, write: Write) -> None:
        [found] = proposals(write("a.json", "[" * 200_000))
        assert [problem.code for problem in found.problems] == ["json_syntax"]

    @given(st.text(st.sampled_from("ab.,;\t\"'\n\r#-{}[]: \ufeff\u200b1") | st.characters(codec="utf-8"), max_size=80))
    def test_no_text_is_too_strange(self, text: str) -> None:
        for found in (*read_list(text, "x"), *read_objects(text, "x")):
            assert found.domain or found.problems

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["domain", "value", "mx", "id"]), inner, max_size=3)
            ),
        )
    )
    def test_no_json_is_too_strange(self, value: Any) -> None:
        for found in read_objects(json.dumps(value), "x"):
            assert found.domain or found.problems


class TestWhatIsNotRead:
    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("domain,owner,mx,Ticket no\na.example,ann,mx.a.example,7\n", "'owner', 'Ticket no'"),
            ("domain,owner\na.example,\nb.example,ben\n", "'owner'"),
            ("domain,owner,mx,\na.example,,mx.a.example,\n", ""),
            ("domain,,mx\na.example,mx2.a.example,mx.a.example\n", "column 2, which has no name"),
            ("Id,Name,mx\n17,a.example,mx.a.example\n", "'Id'"),
            ('[{"domain": "a.example", "owner": "ann"}, {"domain": "b.example", "x": [], "y": 0}]', "'owner', 'y'"),
            ('{"@odata.context": "x", "value": [{"id": "a.example", "isDefault": true}]}', "'isDefault'"),
            ("domain,notice\na.example,moved\n", "'notice' (did you mean note?)"),
            ("domain,Costumers\na.example,ann\n", "'Costumers' (did you mean customer?)"),
            ("domain,note,notice\na.example,x,moved\n", "'notice'"),
            ("PartitionKey,RowKey,Timestamp,mx,mx@type,change\na.example,policy,2026,mx.a.example,Edm.String,x\n", ""),
            ("domain,mode,mx,max_age,id,since,customer,note,dns,problems\na.example,testing,mx.a,1,7,8,,,x,y\n", ""),
            ("domain,id\na.example,20261124193000Z\n", "'id'"),
            ("a.example # ours\n", ""),
        ],
    )
    def test_columns_with_something_in_them_are_said(self, write: Write, text: str, names: str) -> None:
        path = write("list.txt", text)
        said = list(unread_lines(together([path])))
        assert len(said) == bool(names)
        if names:
            assert said[0].startswith(f"{path}: nothing reads ")
            assert names in said[0]
            assert ("did you mean" in said[0]) == ("did you mean" in names)

    def test_of_many_columns_the_first_are_named(self, write: Write) -> None:
        names = [f"c{number}" for number in range(30)]
        path = write("a.csv", f"domain,{','.join(names)}\na.example,{','.join(names)}\n")
        [said] = unread_lines(together([path]))
        assert "'c8', 'c9' and 20 more: " in said

    @pytest.mark.parametrize("name", ["policies.csv", "policies.json"])
    def test_what_export_writes_is_all_read(self, tmp_path: Path, name: str) -> None:
        policy = Policy(mode="testing", mx=("mx.a.example",), max_age=604800)
        row = Row("a.example", policy, "a note", "", datetime(2026, 1, 1, tzinfo=UTC), customer="ann")
        write_policies(tmp_path / name, target_of(tmp_path / name, None), [row])
        assert list(unread_lines(together([tmp_path / name]))) == []


class TestTogether:
    def test_several_files_are_read_as_one(self, write: Write) -> None:
        found = together([write("a.csv", "domain\na.example\n"), write("b.txt", "b.example\n")])
        assert [(Path(one.file).name, one.domain) for one in found] == [("a.csv", "a.example"), ("b.txt", "b.example")]

    def test_a_domain_that_is_given_again_alike_counts_once(self, write: Write) -> None:
        found = together([write("a.csv", "domain,mx\na.example,mx.a.example\nA.example.,MX.a.example\n")])
        assert [(one.line, one.domain, one.problems) for one in found] == [(2, "a.example", ())]

    def test_a_domain_that_is_given_again_otherwise_counts_nowhere(self, write: Write) -> None:
        one, other = (
            write("a.csv", "domain,mx\na.example,mx.a.example\n"),
            write("b.csv", "domain,mx\na.example,mx.b.example\nc.example,mx.c.example\n"),
        )
        found = together([one, other])
        assert _good(found) == ["c.example"]
        assert [[problem.code for problem in proposal.problems] for proposal in found[:2]] == [["domain_twice"]] * 2
        assert f"{other} line 2 says something else of it" in found[0].sentences[0]

    def test_a_place_that_is_wrong_takes_the_other_with_it(self, write: Write) -> None:
        found = together(
            [write("a.csv", "domain,mode,mx\na.example,testing,mx.a.example\na.example,enforced,mx.a.example\n")]
        )
        assert _good(found) == []


def test_every_rule_about_files_is_one_that_the_tests_see() -> None:
    """Those of folders are held in their own tests."""
    codes = {code for case in load_cases("sources.json") for _, code in case.values[0]["problems"]}
    folders = {"path_domain", "cname_file", "near_text_name", "no_policy_text"}
    about_files = {code for code, rule in RULES.items() if rule.about == "file"}
    assert codes & about_files | folders | {"domain_twice"} == about_files
