"""`mta-sts check`: which domains, how it ends, what it writes, and what it says of the store; the lab has the rest."""

import csv
import io
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from azure.data.tables import TableClient
from typer.testing import CliRunner, Result

from dev.azurite import ACCOUNT, ACCOUNT_KEY
from dev.schema import FILE, schema
from policy_store.cli import app, screen
from policy_store.cli.errors import DONE, PROBLEM, UNREACHABLE, WRONG_USE
from policy_store.policy import Policy
from policy_store.tables.store import Store
from tests.lab.name_server import NameServer
from tests.lab.situation import MxHost, PolicyHost, Situation, Values
from tests.lab.world import World

_SCREEN = Path(__file__).parents[1] / "data" / "screens" / "check.txt"
_WORLD_DOMAIN = "good.example"
_ROUNDS = 3

type Check = Callable[..., Result]


def _situation(name: str, **more: Any) -> Situation:
    return Situation(
        name=name, source="made up", verdict="verified", if_enforced="verified", findings=frozenset(), **more
    )


_SITUATIONS = [
    _situation("good"),
    _situation("other", policy=PolicyHost(mx=("mx.{domain}", "old.{domain}")), hosts={"mx": MxHost(kind="other_name")}),
    _situation("testing", policy=PolicyHost(mode="testing")),
    _situation("in-the-clear", policy=PolicyHost(mode="testing"), hosts={"mx": MxHost(kind="no_starttls")}),
    _situation("refusing", hosts={"mx": MxHost(kind="nobody")}),
    _situation("parked", dns={"@": {"MX": ["0 ."]}}, hosts={}),
]


@pytest.fixture(scope="module")
def options() -> Iterator[list[str]]:
    """The options that lead the command into a lab with the situations."""
    with World(_SITUATIONS) as world:
        yield [*world.options, "--allow-private"]


@pytest.fixture
def check(options: list[str], monkeypatch: pytest.MonkeyPatch) -> Check:
    """Run the command in the lab as on a terminal, without a store: `check("good.example", input="...")`."""
    monkeypatch.setattr(screen, "on_terminal", lambda: True)
    return _Runner(options)


class _Runner:
    def __init__(self, options: list[str]) -> None:
        self._options = options

    def __call__(self, *words: str, stdin: str = "") -> Result:
        return CliRunner().invoke(app, ["check", *words, *self._options], input=stdin, prog_name="mta-sts")


def _domains(result: Result) -> list[str]:
    return [item["domain"] for item in json.loads(result.stdout)]


class TestEnd:
    @pytest.mark.parametrize(
        ("domain", "code"),
        [
            ("good.example", DONE),
            ("testing.example", DONE),
            ("refusing.example", DONE),  # what the network here forbids is no error
            ("parked.example", DONE),  # no mail gets there, and none is to
            ("other.example", PROBLEM),
            ("in-the-clear.example", PROBLEM),
        ],
    )
    def test_deferred_or_an_error_is_a_problem(self, check: Check, domain: str, code: int) -> None:
        assert check(domain).exit_code == code
        assert check(domain, "--json").exit_code == code

    def test_nothing_looked_up_is_never_green(self, check: Check) -> None:
        words = ("--resolver", "127.0.0.1:9", "--dns-seconds", "0.5", "--junit", "junit.xml")
        result = CliRunner().invoke(app, ["check", "good.example", "testing.example", *words])
        assert result.exit_code == UNREACHABLE
        assert "Of 2 of 2 domains nothing could be looked up" in result.stderr
        suite = ElementTree.parse("junit.xml").getroot()  # noqa: S314 - the command's own
        assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "0", "2")
        assert all(case.find("error") is not None for case in suite.findall("testcase"))

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            ((), "Name the domains, or give --all or --file"),
            (("--all",), "POLICY_STORE"),
            (("not a domain",), "is not a host name"),
            (("--file", "gone.txt"), "gone.txt does not exist: name a file"),
            (("good.example", "--resolver", "dns.example"), "is not ADDRESS[:PORT]"),
            (("good.example", "--ca-file", "gone.pem"), "--ca-file gone.pem"),
            (("good.example", "--ca-file", "empty.pem"), "--ca-file empty.pem contains no certificates"),
            (("good.example", "--junit", "gone/junit.xml"), "cannot be written"),
            (("good.example", "--junit", "junit.xml", "--watch", "5"), "give one of them"),
        ],
    )
    def test_wrong_use_is_one_sentence(
        self, options: list[str], check: Check, words: tuple[str, ...], sentence: str
    ) -> None:
        Path("empty.pem").touch()
        result = CliRunner().invoke(app, ["check", *options, *words])
        assert result.exit_code == WRONG_USE
        assert sentence in result.stderr
        assert "Traceback" not in result.stderr


class TestDomains:
    def test_come_from_arguments_in_their_order_each_once(self, check: Check) -> None:
        result = check("testing.example", "GOOD.example.", "testing.example", "--json")
        assert _domains(result) == ["testing.example", "good.example"]

    def test_come_from_standard_input(self, check: Check) -> None:
        result = check("--file", "-", "--json", stdin="# customers\ngood.example\r\n\n  testing.example \n")
        assert _domains(result) == ["good.example", "testing.example"]

    def test_come_from_a_file_that_windows_wrote(self, check: Check) -> None:
        Path("domains.txt").write_text("good.example\r\ntesting.example\r\n", encoding="utf-8-sig")
        assert _domains(check("--file", "domains.txt", "--json")) == ["good.example", "testing.example"]

    def test_come_from_the_store(self, store: Store, tables: tuple[TableClient, TableClient], check: Check) -> None:
        store.policies.add("good.example", Policy(mode="none", max_age=86400))
        tables[0].create_entity({"PartitionKey": "testing.example", "RowKey": "policy", "mode": "?"})
        result = check("--all", "--json", "--store", _connection(store))
        assert _domains(result) == ["good.example", "testing.example"]

    def test_an_empty_store_has_none(self, store: Store, check: Check) -> None:
        result = check("--all", "--json", "--store", _connection(store))
        assert (result.exit_code, json.loads(result.stdout)) == (DONE, [])

    def test_all_needs_a_store_that_answers(self, check: Check) -> None:
        assert check("--all", "--store", _DEAD_STORE).exit_code == UNREACHABLE


class TestOutput:
    def test_people_see_a_screen_a_domain_the_worst_first(self, check: Check) -> None:
        """After a wanted change delete the file and run the test twice."""
        result = check("good.example", "other.example", "in-the-clear.example", "refusing.example")
        lines = [line.rstrip() for line in result.stdout.splitlines()]
        assert max(map(len, lines)) <= 80
        seen = "\n".join(["$ mta-sts check …", *lines, f"[{result.exit_code}]", ""])
        if not _SCREEN.exists():
            _SCREEN.write_text(seen, encoding="utf-8")
            pytest.fail(f"{_SCREEN} was missing and is written: look at it.")
        assert seen == _SCREEN.read_text(encoding="utf-8")

    def test_many_domains_are_a_line_each_the_details_of_those_with_problems_and_the_totals(self, check: Check) -> None:
        names = [situation.domain for situation in _SITUATIONS]
        lines = check(*names).stdout.splitlines()
        assert [line.split()[0] for line in lines[1:7]] == [
            "other.example",
            "parked.example",
            "in-the-clear.example",
            "testing.example",
            "refusing.example",
            "good.example",
        ]
        details = {line.partition(":")[0] for line in lines[7:] if line and not line[0].isspace() and ": " in line}
        assert details >= {"other.example", "in-the-clear.example"}
        assert not details & {"good.example", "testing.example", "refusing.example", "parked.example"}
        assert lines[-1] == "6 domains: 2 deferred, 2 unprotected, 1 unknown, 1 verified, 2 with problems"
        verbose = check(*names, "--verbose").stdout
        assert all(f"\n{name}: " in verbose for name in names)

    def test_in_a_pipe_there_is_a_line_for_each_domain_in_their_order(
        self, check: Check, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        as_csv = check("other.example", "good.example", "--format", "csv")
        assert as_csv.exit_code == PROBLEM
        other, good = csv.DictReader(io.StringIO(as_csv.stdout))
        assert other.pop("findings").startswith("error smtp_certificate_name: ")
        assert other == {
            "domain": "other.example",
            "verdict": "deferred",
            "if_enforced": "deferred",
            "policy": "enforced",
            "mail_hosts": "0 of 1 verified",
        }
        assert (good["domain"], good["verdict"]) == ("good.example", "verified")
        assert _domains(check("good.example", "--format", "json")) == ["good.example"]
        monkeypatch.setattr(screen, "on_terminal", lambda: False)
        assert check("good.example").stdout.split("\t")[:4] == ["good.example", "verified", "verified", "enforced"]

    def test_what_is_published_and_what_was_checked_are_apart(self, check: Check) -> None:
        found = {
            item["domain"]: item for item in json.loads(check("parked.example", "refusing.example", "--json").stdout)
        }
        parked, refusing = found["parked.example"], found["refusing.example"]
        assert (parked["published"], parked["mail_hosts"]["state"]) == ("enforced", "none")
        assert (refusing["published"], refusing["mail_hosts"]["state"]) == ("enforced", "not checked")
        assert "as where port 25 is blocked" in refusing["mail_hosts"]["why"]

    def test_json_is_as_its_schema_says(self, check: Check) -> None:
        found = json.loads(check(*(situation.domain for situation in _SITUATIONS), "--json").stdout)
        rules = json.loads(FILE.read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(rules)
        jsonschema.validate(found, rules)
        assert all(item["mx"] is not None and item["findings"] is not None and item["schema"] == 2 for item in found)

    def test_the_schema_is_that_of_the_models(self) -> None:
        assert FILE.read_text(encoding="utf-8") == schema(), "run 'python -m dev.schema'"

    def test_a_pipeline_reads_a_test_case_for_each_domain(self, check: Check) -> None:
        check("good.example", "other.example", "--junit", "junit.xml")
        suite = ElementTree.parse("junit.xml").getroot()  # noqa: S314 - the command's own
        assert (suite.tag, suite.get("tests"), suite.get("failures")) == ("testsuite", "2", "1")
        good, other = suite.findall("testcase")
        assert (good.get("name"), good.find("failure")) == ("good.example", None)
        failure = other.find("failure")
        assert failure is not None
        assert str(failure.get("message")).startswith("deferred: ")
        assert "error smtp_certificate_name: " in str(failure.text)


class _Counting(NameServer):
    """Counts the questions on MX records, of which every check asks the same number."""

    def __init__(self, records: dict[str, dict[str, Values]]) -> None:
        super().__init__(records, ())
        self.asked = threading.Semaphore(0)

    def resolve(self, request: Any, handler: Any) -> Any:
        """Return the reply to one query."""
        if request.q.qtype == 15:  # MX
            self.asked.release()
        return super().resolve(request, handler)


@pytest.fixture
def watched() -> Iterator[tuple[dict[str, dict[str, Values]], _Counting, "subprocess.Popen[str]"]]:
    """The command while it watches contoso.com every tenth of a second, and its DNS server with the records."""
    records: dict[str, dict[str, Values]] = {"contoso.com": {"MX": ["0 ."]}}
    with _Counting(records) as names:
        words = ["check", "contoso.com", "--json", "--watch", "0.0017", f"--resolver=127.0.0.1:{names.port}"]
        with subprocess.Popen(
            [Path(sys.executable).with_name("mta-sts"), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            yield records, names, process
            process.kill()


class TestWatch:
    def test_only_changes_are_printed(self, watched: tuple[Any, _Counting, "subprocess.Popen[str]"]) -> None:
        records, names, process = watched
        assert process.stdout
        assert process.stderr
        first = json.loads(process.stdout.readline())
        for _ in range(2 * _ROUNDS + 2):
            assert names.asked.acquire(timeout=30)
        records["_smtp._tls.contoso.com"] = {"TXT": ["v=TLSRPTv1; rua=mailto:a@contoso.com"]}
        second = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=30)
        codes = [{finding["code"] for finding in item["findings"]} for item in (first, second)]
        assert codes[0] - codes[1] == {"tlsrpt_missing"}
        assert rest == ""
        assert "Traceback" not in said


# What only a comparison with a store can find: the lab has none.
STORE_CODES = frozenset({"id_old", "id_unknown", "row_missing", "row_differs", "store_unreachable"})
_DEAD_STORE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=bm9ib2R5;"
    "TableEndpoint=http://127.0.0.1:9/devstoreaccount1;"
)
_LAB_POLICY = Policy(mode="enforce", mx=(f"mx.{_WORLD_DOMAIN}",), max_age=1209600)
_OTHER_POLICY = Policy(mode="testing", mx=("mx.example.net",), max_age=604800)


def _connection(store: Store) -> str:
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};"
        f"TableEndpoint=http://{store.name}/{ACCOUNT};"
    )


def _revisions(store: Store, *policies: Policy) -> list[str]:
    """Put one policy after the other in force for the lab's domain; the ids."""
    row = None
    for policy in policies:
        edit = store.policies.replace
        row = edit(_WORLD_DOMAIN, row.etag, policy) if row else store.policies.add(_WORLD_DOMAIN, policy)
        store.history.record(row, store.policies, by="test")
    return [revision.id for revision in store.history.revisions(_WORLD_DOMAIN)]


def _codes(store: str, id_: str = "20261124000000Z") -> tuple[int, set[str]]:
    """What is found in a lab whose DNS shows the id: the exit code and all codes."""
    txt: dict[str, dict[str, Values]] = {"_mta-sts": {"TXT": [f"v=STSv1; id={id_};"]}}
    with World([_situation("good", dns=txt)]) as world:
        words = ["check", _WORLD_DOMAIN, "--json", "--allow-private", "--store", store, *world.options]
        result = CliRunner().invoke(app, words)
    [item] = json.loads(result.stdout)
    return result.exit_code, {finding["code"] for finding in item["findings"]}


class TestStore:
    """STORE_CODES, one by one."""

    def test_nothing_is_found_where_dns_and_the_policy_host_show_what_the_store_holds(self, store: Store) -> None:
        _, newest = _revisions(store, _OTHER_POLICY, _LAB_POLICY)
        assert _codes(_connection(store), newest) == (DONE, set())

    def test_an_older_id(self, store: Store) -> None:
        older, _ = _revisions(store, _OTHER_POLICY, _LAB_POLICY)
        assert _codes(_connection(store), older) == (PROBLEM, {"id_old"})

    def test_an_unknown_id(self, store: Store) -> None:
        _revisions(store, _LAB_POLICY)
        assert _codes(_connection(store), "1") == (DONE, {"id_unknown"})

    def test_no_row(self, store: Store) -> None:
        assert _codes(_connection(store)) == (DONE, {"row_missing"})

    def test_another_text_than_the_rows(self, store: Store) -> None:
        _, newest = _revisions(store, _LAB_POLICY, _OTHER_POLICY)
        assert _codes(_connection(store), newest) == (PROBLEM, {"row_differs"})

    def test_a_row_edited_by_hand_is_compared_though_it_is_no_revision_yet(
        self, store: Store, tables: tuple[TableClient, TableClient]
    ) -> None:
        [id_] = _revisions(store, _LAB_POLICY)
        tables[0].update_entity({"PartitionKey": _WORLD_DOMAIN, "RowKey": "policy", "max_age": 86400})
        assert _codes(_connection(store), id_) == (PROBLEM, {"row_differs"})

    def test_a_store_out_of_reach_is_a_finding_and_not_the_end(self) -> None:
        assert _codes(_DEAD_STORE) == (DONE, {"store_unreachable"})

    def test_tables_that_are_not_there_are_a_store_out_of_reach(
        self, store: Store, tables: tuple[TableClient, TableClient]
    ) -> None:
        for table in tables:
            table.delete_table()
        assert _codes(_connection(store)) == (DONE, {"store_unreachable"})
