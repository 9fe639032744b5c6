"""`mta-sts dns`: the records to publish, and whether DNS and the policy hosts show them."""

import csv
import io
import json
import shlex
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dns.rdatatype
import dns.zone
import pytest
import trustme
from azure.data.tables import TableClient

from policy_store.cli import session
from policy_store.cli.errors import DONE, PROBLEM, WRONG_USE
from policy_store.life import served_everywhere
from policy_store.policy import Policy
from policy_store.tables.history import Revision
from policy_store.tables.store import Store
from policy_store.txt_records import StsRecord
from policy_store.zone_id import ZoneId
from tests.cli.conftest import Run
from tests.dns_server import DnsServer
from tests.lab.azure_dns import SUBSCRIPTION
from tests.loopback import LoopbackServer
from tests.policy_host import http_answer, policy_hosts

_CASES = json.loads((Path(__file__).parents[1] / "data" / "dns_checks.json").read_text(encoding="utf-8"))
_OLDER = Policy(mode="testing", mx=("mx.example.com",), max_age=86400)
_NEWEST = Policy(mode="testing", mx=("mx.example.com",), max_age=604800)
_OTHER = Policy(mode="enforce", mx=("mx.example.net",), max_age=604800)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour has passed, so that every worker serves what was written."""
    monkeypatch.setattr(session, "now", lambda: datetime.now(UTC) + timedelta(hours=1))


def add(store: Store, domain: str, *policies: Policy) -> list[Revision]:
    """Put one policy after the other in force; the revisions."""
    row = None
    for policy in policies:
        row = store.policies.replace(domain, row.etag, policy) if row else store.policies.add(domain, policy)
        store.history.record(row, store.policies, by="test")
    return store.history.revisions(domain)


def due(revision: Revision) -> str:
    """From when the id may be published, as people see it."""
    return f"{served_everywhere(revision, 60) + timedelta(seconds=59, microseconds=999999):%Y-%m-%d %H:%M} UTC"


class TestRecords:
    def test_json_has_every_record_with_the_time_from_which_it_may_be_published(self, run: Run, store: Store) -> None:
        _, newest = add(store, "contoso.com", _OLDER, _NEWEST)
        options = ("--app-host", "App.azurewebsites.net.", "--rua", "mailto:a@b.example")
        result = run("dns", "show", "contoso.com", *options, "--json")
        assert result.exit_code == DONE
        not_before = served_everywhere(newest, 60)
        assert json.loads(result.stdout) == [
            {
                "domain": "contoso.com",
                "zone": "contoso.com",
                "name": name,
                "type": kind,
                "value": value,
                "strings": [value],
                "not_before": since,
            }
            for name, kind, value, since in [
                ("mta-sts.contoso.com", "CNAME", "app.azurewebsites.net", None),
                ("_mta-sts.contoso.com", "TXT", StsRecord(newest.id).text, f"{not_before:%Y-%m-%dT%H:%M:%SZ}"),
                ("_smtp._tls.contoso.com", "TXT", "v=TLSRPTv1; rua=mailto:a@b.example;", None),
            ]
        ]

    def test_each_record_is_a_block_with_lines_of_its_own(self, run: Run, store: Store, later: None) -> None:
        [revision] = add(store, "contoso.com", _NEWEST)
        result = run("dns", "show", "contoso.com")
        assert result.exit_code == DONE
        assert result.stdout.splitlines() == [
            "Type:   TXT",
            "Name:   _mta-sts.contoso.com",
            f"Value:  v=STSv1; id={revision.id};",
            "",
            "The CNAME at mta-sts.DOMAIN is left out: 'mta-sts bind' finds out the app's",
            "default host name, and --app-host gives it here.",
        ]

    @pytest.mark.parametrize("columns", ["20", "80", "200"])
    def test_no_line_is_folded_at_any_width(
        self, run: Run, store: Store, monkeypatch: pytest.MonkeyPatch, columns: str
    ) -> None:
        monkeypatch.setenv("COLUMNS", columns)
        domain, host = f"{'a' * 50}.{'b' * 50}.example", f"{'c' * 60}.azurewebsites.net"
        add(store, domain, _NEWEST)
        lines = run("dns", "show", domain, "--app-host", host).stdout.splitlines()
        assert {f"Name:   _mta-sts.{domain}", f"Value:  {host}"} <= set(lines)

    def test_a_block_says_from_when_an_id_may_be_published(self, run: Run, store: Store) -> None:
        [revision] = add(store, "contoso.com", _NEWEST)
        shown = run("dns", "show", "contoso.com", "--app-host", "app.example").stdout
        assert f"From:   {due(revision)}" in shown

    def test_one_csv_file_has_all_records_of_all_domains(self, run: Run, store: Store) -> None:
        store.policies.add("fabrikam.com", _NEWEST, customer="Fabrikam, Inc.")
        for domain in ("contoso.com", "fabrikam.com"):
            row = store.policies.get(domain) or store.policies.add(domain, _NEWEST)
            store.history.record(row, store.policies, by="test")
        words = "--app-host", "app.example", "--verification-id", "ABC", "--delegate", "sts.provider.example"
        text = run("dns", "show", "--all", "--format", "csv", *words).stdout
        rows = list(csv.DictReader(io.StringIO(text)))
        assert [(row["type"], row["name"], row["state"]) for row in rows if row["domain"] == "contoso.com"] == [
            ("TXT", "asuid.mta-sts.contoso.com", "publish"),
            ("CNAME", "mta-sts.contoso.com", "publish"),
            ("CNAME", "_mta-sts.contoso.com", "publish"),
            ("CNAME", "_smtp._tls.contoso.com", "publish"),
            ("TXT", "_mta-sts.contoso.com.sts.provider.example", "published by the app"),
        ]
        assert {row["customer"] for row in rows if row["domain"] == "fabrikam.com"} == {"Fabrikam, Inc."}
        assert all(row["ttl"] == "300" for row in rows)

    def test_the_csv_says_which_ids_have_to_wait(self, run: Run, store: Store) -> None:
        [revision] = add(store, "contoso.com", _NEWEST)
        [row] = csv.DictReader(io.StringIO(run("dns", "show", "contoso.com", "--format", "csv").stdout))
        assert (row["state"], row["value"]) == ("wait", f"v=STSv1; id={revision.id};")
        assert row["not_before"].endswith("Z")

    def test_a_letter_has_what_a_customer_sets_once_and_no_id(self, run: Run, store: Store) -> None:
        [revision] = add(store, "contoso.com", _NEWEST)
        words = "--app-host", "app.example", "--verification-id", "ABC", "--delegate", "sts.provider.example"
        text = run("dns", "show", "contoso.com", "--letter", *words).stdout
        assert text.startswith("Subject: DNS records for contoso.com\n")
        assert "Record 4 of 4" in text
        assert revision.id not in text

    def test_the_zone_of_the_setting_is_the_one_to_delegate_to(
        self, run: Run, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add(store, "contoso.com", _NEWEST)
        assert run("dns", "show", "contoso.com", "--letter").exit_code == WRONG_USE
        monkeypatch.setenv("POLICY_DNS_ZONE", str(ZoneId(SUBSCRIPTION, "mta-sts", "sts.provider.example")))
        assert "_mta-sts.contoso.com.sts.provider.example" in run("dns", "show", "contoso.com", "--letter").stdout
        monkeypatch.setenv("POLICY_DNS_ZONE", "sts.provider.example")
        assert "POLICY_DNS_ZONE: 'sts.provider" in run("dns", "show", "contoso.com").stderr

    def test_the_app_host_may_be_a_setting(self, run: Run, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POLICY_APP_HOST", "app.example")
        add(store, "contoso.com", _NEWEST)
        assert '"value": "app.example"' in run("dns", "show", "contoso.com", "--json").stdout

    def test_a_zone_file_of_all_domains_is_read_back(self, run: Run, store: Store, later: None) -> None:
        ids = {
            domain: add(store, domain, _OLDER, _NEWEST)[-1].id for domain in ("contoso.com", "xn--bcher-kva.example")
        }
        text = run("dns", "show", "--all", "--format", "zone", "--app-host", "app.example").stdout
        zone = dns.zone.from_text(text, ".", check_origin=False, relativize=False)
        rdatas: Iterable[tuple[Any, int, Any]] = zone.iterate_rdatas()
        texts = {name.to_text(): rdata.strings for name, _, rdata in rdatas if rdata.rdtype == dns.rdatatype.TXT}
        assert texts == {f"_mta-sts.{domain}.": (f"v=STSv1; id={id_};".encode(),) for domain, id_ in ids.items()}
        assert text.count("IN CNAME app.example.") == 2

    def test_a_zone_file_says_what_must_wait_and_until_when(self, run: Run, store: Store) -> None:
        [revision] = add(store, "contoso.com", _NEWEST)
        result = run("dns", "show", "contoso.com", "--format", "zone")
        assert result.stdout.splitlines() == [
            f"; publish from {due(revision)} on, not before:",
            f'_mta-sts.contoso.com. 300 IN TXT "v=STSv1; id={revision.id};"',
        ]
        assert result.stderr.startswith(f"Publish this from {due(revision)} on: ")

    def test_wait_returns_once_all_may_be_published(
        self, run: Run, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        [revision] = add(store, "contoso.com", _NEWEST)
        clock = [revision.since]
        monkeypatch.setattr(session, "now", lambda: clock[0])
        monkeypatch.setattr(time, "sleep", lambda seconds: clock.append(clock.pop() + timedelta(seconds=seconds)))
        result = run("dns", "show", "contoso.com", "--format", "zone", "--wait")
        assert clock == [served_everywhere(revision, 60)]
        assert result.stdout == f'_mta-sts.contoso.com. 300 IN TXT "v=STSv1; id={revision.id};"\n'
        assert result.stderr.startswith(f"Waiting until {due(revision)}, 65 s: ")

    def test_az_commands_are_a_shell_script(self, run: Run, store: Store, later: None) -> None:
        [revision] = add(store, "mail.contoso.com", _NEWEST)
        words = "--format", "az", "--zone", "contoso.com", "--app-host", "app.example"
        cname, txt = run("dns", "show", "mail.contoso.com", *words, "-g", "my group").stdout.splitlines()
        assert cname == (
            "az network dns record-set cname set-record -g 'my group' -z contoso.com -n mta-sts.mail --ttl 300 "
            "-c app.example"
        )
        assert f'"v=STSv1; id={revision.id};"' in shlex.split(txt)[-1]
        assert "/resourceGroups/my group/" in shlex.split(txt)[-3]
        assert '-g "$RESOURCE_GROUP" ' in run("dns", "show", "mail.contoso.com", *words).stdout

    def test_an_invalid_row_leaves_the_last_good_id(
        self, run: Run, store: Store, tables: tuple[TableClient, TableClient]
    ) -> None:
        [revision] = add(store, "contoso.com", _NEWEST)
        tables[0].upsert_entity({"PartitionKey": "contoso.com", "RowKey": "policy", "mode": "?"})
        assert f"id={revision.id};" in run("dns", "show", "contoso.com", "--json").stdout


class TestDelegation:
    def test_the_providers_zone_has_the_ids_and_the_tenant_one_cname(self, run: Run, store: Store, later: None) -> None:
        revisions = {domain: add(store, domain, _OLDER) for domain in ("contoso.com", "fabrikam.com")}
        words = "dns", "show", "--all", "--delegate", "sts.provider.example", "--format", "zone"
        before = run(*words).stdout.splitlines()
        row = store.policies.get("contoso.com")
        assert row
        store.history.record(store.policies.replace("contoso.com", row.etag, _NEWEST), store.policies, by="test")
        after = run(*words).stdout.splitlines()
        cname = "; in the zone {0}: _mta-sts.{0}. 300 IN CNAME _mta-sts.{0}.sts.provider.example."
        reports = "; in the zone {0}: _smtp._tls.{0}. 300 IN CNAME _smtp._tls.sts.provider.example."
        txt = '_mta-sts.{}.sts.provider.example. 300 IN TXT "v=STSv1; id={};"'
        revisions["contoso.com"] = store.history.revisions("contoso.com")
        for lines, at in ((before, 0), (after, -1)):
            assert lines == [
                line
                for domain in ("contoso.com", "fabrikam.com")
                for line in (
                    cname.format(domain),
                    reports.format(domain),
                    txt.format(domain, revisions[domain][at].id),
                )
            ]
        zone = dns.zone.from_text("\n".join(after), "sts.provider.example", check_origin=False)
        assert len(list(zone.iterate_rdatas())) == 2

    def test_json_tells_which_zone_a_record_belongs_in(self, run: Run, store: Store) -> None:
        [revision] = add(store, "contoso.com", _NEWEST)
        items = json.loads(run("dns", "show", "contoso.com", "--delegate", "sts.provider.example", "--json").stdout)
        target = "_mta-sts.contoso.com.sts.provider.example"
        assert [(item["zone"], item["name"], item["type"], item["value"]) for item in items] == [
            ("contoso.com", "_mta-sts.contoso.com", "CNAME", target),
            ("contoso.com", "_smtp._tls.contoso.com", "CNAME", "_smtp._tls.sts.provider.example"),
            ("sts.provider.example", target, "TXT", f"v=STSv1; id={revision.id};"),
        ]

    def test_az_commands_for_the_tenants_zones_are_comments(self, run: Run, store: Store, later: None) -> None:
        add(store, "contoso.com", _NEWEST)
        words = ("dns", "show", "contoso.com", "--delegate", "sts.provider.example", "--format", "az")
        lines = run(*words).stdout.splitlines()
        assert lines[0].startswith("# in the zone contoso.com: az network dns record-set cname set-record ")
        assert lines[2].startswith("az rest --method put ")


class TestProblems:
    def test_a_row_changed_by_hand_shows_the_recorded_id_and_is_a_problem(
        self, run: Run, store: Store, tables: tuple[TableClient, TableClient]
    ) -> None:
        [revision] = add(store, "contoso.com", _NEWEST)
        tables[0].update_entity({"PartitionKey": "contoso.com", "RowKey": "policy", "max_age": 86400})
        result = run("dns", "show", "contoso.com", "--json")
        assert result.exit_code == PROBLEM
        assert [item["value"] for item in json.loads(result.stdout)] == [f"v=STSv1; id={revision.id};"]
        assert "has no id yet: 'mta-sts audit' records it" in result.stderr

    def test_a_row_without_a_revision_has_no_id_yet(self, run: Run, store: Store) -> None:
        store.policies.add("contoso.com", _NEWEST)
        result = run("dns", "show", "contoso.com", "--json")
        assert (result.exit_code, json.loads(result.stdout)) == (PROBLEM, [])
        assert "has no id yet" in result.stderr

    def test_an_invalid_row_without_a_revision_is_to_be_mended(
        self, run: Run, store: Store, tables: tuple[TableClient, TableClient]
    ) -> None:
        tables[0].create_entity({"PartitionKey": "contoso.com", "RowKey": "policy", "mode": "?"})
        result = run("dns", "show", "--all", "--json")
        assert (result.exit_code, json.loads(result.stdout)) == (PROBLEM, [])
        assert "the row is invalid, nothing is served" in result.stderr

    def test_a_row_that_vanished_keeps_its_record_and_is_a_problem(self, run: Run, store: Store) -> None:
        [revision] = add(store, "contoso.com", _NEWEST)
        row = store.policies.get("contoso.com")
        assert row
        store.policies.delete("contoso.com", row.etag)
        result = run("dns", "show", "--all", "--json")
        assert result.exit_code == PROBLEM
        assert f"id={revision.id};" in result.stdout
        assert "bring it back with 'mta-sts rollback', then retire it" in result.stderr

    def test_a_domain_that_was_removed_needs_no_records(self, run: Run, store: Store) -> None:
        add(store, "contoso.com", _NEWEST, Policy(mode="none", mx=("mx.example.com",), max_age=86400))
        row = store.policies.get("contoso.com")
        assert row
        store.policies.delete("contoso.com", row.etag)
        assert json.loads(run("dns", "show", "--all", "--json").stdout) == []
        result = run("dns", "show", "contoso.com")
        assert result.exit_code == PROBLEM
        assert "contoso.com was removed: it needs no records" in result.stderr

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            ((), "Name the domains, or give --all"),
            (("contoso.com", "--all"), "Name the domains, or give --all"),
            (("contoso.com", "--json", "--format", "az"), "give one of them"),
            (("contoso.com", "-g", "dns"), "--resource-group is for --format az"),
            (("contoso.com", "--rua", "a@b.example"), "--rua: the report address 'a@b.example' is neither"),
            (("contoso.com", "--app-host", "https://app.example"), "is not a host name"),
            (("contoso.com", "--delegate", "_sts.example"), "is not a host name"),
        ],
    )
    def test_wrong_use_is_one_sentence(self, run: Run, words: tuple[str, ...], sentence: str) -> None:
        result = run("dns", "show", *words)
        assert result.exit_code == WRONG_USE
        assert sentence in " ".join(result.stderr.split())
        assert result.stdout == ""

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            ((), "Name the domains, or give --all"),
            (("contoso.com", "--resolver", "dns.example"), "--resolver"),
            (("contoso.com", "--ca-file", "gone.pem"), "--ca-file gone.pem cannot be read"),
        ],
    )
    def test_wrong_use_of_the_check_is_one_sentence(self, run: Run, words: tuple[str, ...], sentence: str) -> None:
        result = run("dns", "check", *words)
        assert result.exit_code == WRONG_USE
        assert sentence in result.stderr

    def test_a_domain_outside_the_zone_is_left_out(self, run: Run, store: Store) -> None:
        add(store, "contoso.com", _NEWEST)
        result = run("dns", "show", "contoso.com", "--zone", "fabrikam.com", "--json")
        assert (result.exit_code, json.loads(result.stdout)) == (PROBLEM, [])
        assert "contoso.com does not lie in the zone fabrikam.com" in result.stderr

    def test_a_domain_that_is_not_there_is_named(self, run: Run) -> None:
        result = run("dns", "show", "contoso.com")
        assert (result.exit_code, result.stdout) == (PROBLEM, "")
        assert "contoso.com is not in the store" in result.stderr


class World:
    """A DNS server and policy hosts that show what the cases say; `words` leads the command to them."""

    def __init__(self, cases: list[dict[str, Any]], store: Store, ca: trustme.CA, folder: Path) -> None:
        self.revisions = {case["domain"]: add(store, case["domain"], _OLDER, _NEWEST) for case in cases}
        self._ca = ca
        self._stack = ExitStack()
        self.records = records = dict[str, dict[str, Any]]()
        answers: dict[str, bytes] = {}
        for case in cases:
            self._show(case, records, answers)
        trusted = [f"mta-sts.{case['domain']}" for case in cases if case["http"] != "wrong certificate"]
        hosts = self._stack.enter_context(LoopbackServer(policy_hosts(answers, ca, trusted)))
        server = self._stack.enter_context(DnsServer(records))
        ca_file = folder / "ca.pem"
        ca.cert_pem.write_to_path(str(ca_file))
        self.words = (
            *("--resolver", f"127.0.0.1:{server.port}"),
            *("--https-port", str(hosts.port), "--ca-file", str(ca_file), "--allow-private"),
        )

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def filled(self, value: Any, domain: str) -> Any:
        """`value` with the ids of the domain in their places."""
        if isinstance(value, list):
            return [self.filled(part, domain) for part in value]
        older, newest = self.revisions[domain]
        places = {"older": older.id, "newest": newest.id, "newest_since": f"{newest.since:%Y-%m-%d %H:%M} UTC"}
        for place, text in {**places, "domain": domain}.items():
            value = value.replace(f"{{{place}}}", text)
        return value

    def _show(self, case: dict[str, Any], records: dict[str, dict[str, Any]], answers: dict[str, bytes]) -> None:
        domain = case["domain"]
        name = f"_mta-sts.{domain}"
        if "cname" in case:
            target = self.filled(case["cname"], domain)
            records[name] = {"CNAME": [target]}
            name = target
        if "txt" in case:
            records[name] = {"TXT": self.filled(case["txt"], domain)}
        if "servfail" in case:
            records[name] = {"SERVFAIL": []}
        if case["http"]:
            host = f"mta-sts.{domain}"
            records[host] = {"A": ["127.0.0.1"]}
            answers[host] = {
                "newest": http_answer(_NEWEST.text.encode()),
                "newest, LF": http_answer(_NEWEST.text.replace("\r", "").encode()),
                "older": http_answer(_OLDER.text.encode()),
                "other": http_answer(_OTHER.text.encode()),
                "page": http_answer(b"<html>"),
                "404": http_answer(b"", "404 Not Found"),
                "redirect": http_answer(b"", "301 Moved", "Location: https://contoso.com/"),
                "wrong certificate": b"",
            }[case["http"]]


@pytest.fixture
def numbered_cases() -> list[dict[str, Any]]:
    """The cases, each with a domain of its own, in the order of the domains."""
    return [{**case, "domain": f"case{number:02}.example"} for number, case in enumerate(_CASES)]


@pytest.fixture
def world(numbered_cases: list[dict[str, Any]], store: Store, tmp_path: Path) -> Iterator[World]:
    with World(numbered_cases, store, trustme.CA(), tmp_path) as world:
        yield world


class TestCheck:
    def test_every_case_gets_its_word_and_its_reason(
        self, run: Run, world: World, numbered_cases: list[dict[str, Any]], later: None
    ) -> None:
        result = run("dns", "check", "--all", "--json", *world.words)
        assert result.exit_code == PROBLEM
        found = json.loads(result.stdout)
        assert [item["domain"] for item in found] == [case["domain"] for case in numbered_cases]
        for item, case in zip(found, numbered_cases, strict=True):
            older, newest = world.revisions[case["domain"]]
            assert (item["status"], item["served"]) == (case["status"], case["served"]), case["name"]
            detail = world.filled(case["detail"], case["domain"])
            assert detail in item["detail"] if detail else item["detail"] == "", case["name"]
            assert item["detail"].isprintable()
            assert item["id"] == newest.id
            shown = {"right": newest, "not served": newest, "older revision": older}.get(case["status"])
            if shown:
                assert (item["dns_id"], item["dns_since"]) == (shown.id, f"{shown.since:%Y-%m-%dT%H:%M:%SZ}")
            cname = case.get("cname")
            assert item["cname"] == (world.filled(cname, case["domain"]) if cname else None), case["name"]

    def test_the_cases_have_every_word(self) -> None:
        assert {case["status"] for case in _CASES} == {
            *("right", "not served", "older revision", "unknown id", "missing", "two records", "wrong syntax"),
            "lookup failed",
        }
        assert {case["served"] for case in _CASES} == {"newest text", "older text", "other text", "not fetched"}

    def test_people_see_a_line_for_each_domain_and_the_counts(
        self, run: Run, world: World, numbered_cases: list[dict[str, Any]], later: None
    ) -> None:
        result = run("dns", "check", "--all", *world.words)
        assert result.exit_code == PROBLEM
        lines = result.stdout.splitlines()
        assert lines[:2] == [
            "domain          status          detail                                          ",
            "case00.example  right                                                           ",
        ]
        assert max(map(len, lines)) <= 80
        assert f"\n{len(numbered_cases)} domains: 7 not served, 5 right, 3 missing, " in result.stdout
        assert all(map(str.isprintable, lines))

    def test_all_right_is_done(self, run: Run, world: World, later: None) -> None:
        result = run("dns", "check", "case00.example", "case01.example", *world.words)
        assert result.exit_code == DONE
        assert result.stdout.endswith("\n2 domains: 2 right\n")

    def test_an_id_that_must_wait_comes_with_the_time(self, run: Run, world: World) -> None:
        older = next(number for number, case in enumerate(_CASES) if case["status"] == "older revision")
        domain = f"case{older:02}.example"
        [item] = json.loads(run("dns", "check", domain, "--json", *world.words).stdout)
        newest = world.revisions[domain][-1]
        assert item["detail"].endswith(f"publish 'v=STSv1; id={newest.id};' from {due(newest)} on")

    def test_with_a_zone_a_missing_cname_is_the_reason_and_a_right_one_leaves_the_rest_to_the_app(
        self, run: Run, world: World, later: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        statuses = [(number, case) for number, case in enumerate(_CASES) if case["status"] == "older revision"]
        bare = next(f"case{number:02}.example" for number, case in statuses if "cname" not in case)
        monkeypatch.setenv("POLICY_DNS_ZONE", str(ZoneId(SUBSCRIPTION, "mta-sts", "sts.provider.example")))
        [item] = json.loads(run("dns", "check", bare, "--json", *world.words).stdout)
        target = f"_mta-sts.{bare}.sts.provider.example"
        assert f"the CNAME _mta-sts.{bare} is missing: set it to {target} once" in item["detail"]
        world.records[target] = world.records[f"_mta-sts.{bare}"]
        world.records[f"_mta-sts.{bare}"] = {"CNAME": [target]}
        [item] = json.loads(run("dns", "check", bare, "--json", *world.words).stdout)
        assert f"the app publishes it by itself; 'mta-sts dns publish {bare} --wait' does it now" in item["detail"]

    def test_a_row_changed_by_hand_leaves_dns_behind(
        self, run: Run, world: World, tables: tuple[TableClient, TableClient], later: None
    ) -> None:
        tables[0].update_entity({"PartitionKey": "case00.example", "RowKey": "policy", "max_age": 1209600})
        result = run("dns", "check", "case00.example", "--json", *world.words)
        [item] = json.loads(result.stdout)
        assert (result.exit_code, item["status"], item["served"]) == (PROBLEM, "older revision", "older text")
        assert item["detail"].endswith("the row was changed by hand and has no id yet: run 'mta-sts audit'")
