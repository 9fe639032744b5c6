"""`mta-sts dns publish`: ids into the delegation zone and into the domains' own zones, as the operator."""

import json
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from azure.data.tables import TableClient

from policy_store.cli import session
from policy_store.cli.errors import DONE, PROBLEM, UNREACHABLE, WRONG_USE
from policy_store.policy import Policy
from policy_store.tables.store import Store
from tests.cli.conftest import Run
from tests.lab.azure_dns import OWNER, SUBSCRIPTION, AzureDns

_ZONE = "sts.provider.example"
_POLICY = Policy(mode="testing", mx=("mx.example.com",), max_age=604800)
_NONE = Policy(mode="none", mx=("mx.example.com",), max_age=86400)


@pytest.fixture
def azure(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[AzureDns]:
    """An Azure DNS with the delegation zone and two of customers, which the command finds as its operator."""
    del run
    with AzureDns(_ZONE, "contoso.com", "fabrikam.com", allowed=OWNER) as service:
        for name, value in service.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("POLICY_DNS_ZONE", service.zone_id(_ZONE))
        yield service


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[timedelta]:
    """Ten minutes later; sleeping passes at once."""
    ahead = [timedelta(minutes=10)]
    now = session.now
    monkeypatch.setattr(session, "now", lambda: now() + ahead[0])

    def sleep(seconds: float) -> None:
        ahead[0] += timedelta(seconds=seconds)

    monkeypatch.setattr(time, "sleep", sleep)
    return ahead


def add(store: Store, domain: str, policy: Policy = _POLICY) -> str:
    """Put a policy in force; the TXT record with its id."""
    row = store.policies.add(domain, policy)
    return f"v=STSv1; id={store.history.record(row, store.policies, by='test').id};"


def drop(store: Store, *domains: str) -> None:
    """Delete rows by hand."""
    for domain in domains:
        row = store.policies.get(domain)
        assert row
        store.policies.delete(domain, row.etag)


@pytest.mark.usefixtures("later")
class TestDelegationZone:
    def test_an_id_is_published_and_said(self, run: Run, store: Store, azure: AzureDns) -> None:
        text = add(store, "contoso.com")
        result = run("dns", "publish", "contoso.com")
        assert (result.exit_code, result.stdout.splitlines()) == (
            DONE,
            [f"published TXT _mta-sts.contoso.com.{_ZONE} {text}", "1 published"],
        )
        assert azure.texts(_ZONE, "_mta-sts.contoso.com") == [text]
        assert run("dns", "publish", "contoso.com").stdout == "1 right already\n"

    def test_a_dry_run_writes_nothing(self, run: Run, store: Store, azure: AzureDns) -> None:
        text = add(store, "contoso.com")
        assert f"publish TXT _mta-sts.contoso.com.{_ZONE} {text}" in run("dns", "publish", "--all", "--dry-run").stdout
        assert azure.names(_ZONE) == []

    def test_many_are_asked_for(self, run: Run, store: Store, azure: AzureDns) -> None:
        for number in range(11):
            add(store, f"d{number:02}.example")
        result = run("dns", "publish", "--all")
        assert result.exit_code == WRONG_USE
        assert f"11 TXT records in the zone {_ZONE}" in result.stderr
        assert azure.names(_ZONE) == []
        assert run("dns", "publish", "--all", "--yes").stdout.endswith("11 published\n")
        assert len(azure.names(_ZONE)) == 11

    def test_json_has_every_domain(self, run: Run, store: Store, azure: AzureDns) -> None:
        text = add(store, "contoso.com")
        azure.set_texts(_ZONE, "_mta-sts.contoso.com", "v=STSv1; id=1;")
        [item] = json.loads(run("dns", "publish", "--where", "domain = contoso.com", "--json").stdout)
        since = item.pop("not_before")
        assert since.endswith("Z")
        assert item == {
            "domain": "contoso.com",
            "zone": _ZONE,
            "name": f"_mta-sts.contoso.com.{_ZONE}",
            "state": "published",
            "before": ["v=STSv1; id=1;"],
            "value": text,
            "detail": "",
        }

    def test_too_many_requests_are_waited_for(
        self, run: Run, store: Store, azure: AzureDns, later: list[timedelta]
    ) -> None:
        add(store, "contoso.com")
        azure.faults.extend([429, 429])
        before = later[0]
        result = run("dns", "publish", "contoso.com")
        assert result.exit_code == DONE
        assert result.stderr.count("waiting for 7 s") == 2
        assert later[0] - before == timedelta(seconds=14)

    def test_one_that_fails_is_that_ones_and_the_others_are_published(
        self, run: Run, store: Store, azure: AzureDns
    ) -> None:
        add(store, "contoso.com")
        add(store, "fabrikam.com")
        azure.set_cname(_ZONE, "_mta-sts.contoso.com", "elsewhere.example")
        result = run("dns", "publish", "--all")
        assert result.exit_code == PROBLEM
        assert "contoso.com: Azure DNS refuses" in result.stderr
        assert result.stdout.splitlines()[-1] == "1 failed, 1 published"

    def test_without_a_role_nothing_is_published(self, run: Run, store: Store, azure: AzureDns) -> None:
        add(store, "contoso.com")
        azure.allowed = frozenset()
        result = run("dns", "publish", "contoso.com")
        assert result.exit_code == UNREACHABLE
        assert "needs a role" in result.stderr

    def test_a_row_that_is_not_recorded_is_a_problem(
        self, run: Run, store: Store, azure: AzureDns, tables: tuple[TableClient, TableClient]
    ) -> None:
        tables[0].create_entity(
            {"PartitionKey": "contoso.com", "RowKey": "policy", "mode": "testing", "mx": "mx.example.com", "max_age": 1}
        )
        result = run("dns", "publish", "contoso.com")
        assert (result.exit_code, azure.names(_ZONE)) == (PROBLEM, [])
        assert "run 'mta-sts audit'" in result.stderr

    def test_the_record_of_a_domain_that_was_removed_is_deleted_if_it_was_the_domains(
        self, run: Run, store: Store, azure: AzureDns
    ) -> None:
        text = add(store, "contoso.com", _NONE)
        azure.set_texts(_ZONE, "_mta-sts.contoso.com", text)
        add(store, "fabrikam.com", _NONE)
        azure.set_texts(_ZONE, "_mta-sts.fabrikam.com", "v=STSv1; id=theirs;")
        drop(store, "contoso.com", "fabrikam.com")
        shown = run("dns", "publish", "--all", "--dry-run").stdout
        assert f"delete TXT _mta-sts.contoso.com.{_ZONE}" in shown
        result = run("dns", "publish", "--all")
        assert f"deleted TXT _mta-sts.contoso.com.{_ZONE}" in result.stdout
        assert "fabrikam.com: it has no row, and its record was never published for it" in result.stderr
        assert azure.names(_ZONE) == ["_mta-sts.fabrikam.com"]

    def test_a_domain_that_was_removed_with_its_record_is_right(self, run: Run, store: Store, azure: AzureDns) -> None:
        add(store, "contoso.com", _NONE)
        drop(store, "contoso.com")
        for words in (("contoso.com",), ("--all",)):
            result = run("dns", "publish", *words)
            assert (result.exit_code, result.stdout) == (DONE, "1 right already\n")

    def test_a_domain_that_never_was_is_a_problem(self, run: Run, azure: AzureDns) -> None:
        result = run("dns", "publish", "contosso.com")
        assert result.exit_code == PROBLEM
        assert "contosso.com has no row" in result.stderr

    def test_the_record_stays_as_long_as_some_sender_may_hold_an_older_policy(
        self, run: Run, store: Store, azure: AzureDns, later: list[timedelta]
    ) -> None:
        add(store, "contoso.com")
        assert run("remove", "contoso.com", "--force", "--note", "sold").exit_code == DONE
        text = f"v=STSv1; id={store.history.revisions('contoso.com')[-1].id};"
        azure.set_texts(_ZONE, "_mta-sts.contoso.com", text)
        result = run("dns", "publish", "contoso.com", "--wait")
        assert result.exit_code == DONE
        assert f"TXT _mta-sts.contoso.com.{_ZONE} may be deleted from" in result.stdout
        assert azure.texts(_ZONE, "_mta-sts.contoso.com") == [text]
        later[0] += timedelta(days=8)
        assert run("dns", "publish", "contoso.com").stdout.endswith("1 deleted\n")
        assert azure.names(_ZONE) == []

    def test_a_few_domains_are_looked_up_one_by_one_and_not_the_whole_zone(
        self, run: Run, store: Store, azure: AzureDns
    ) -> None:
        add(store, "contoso.com")
        run("dns", "publish", "contoso.com")
        assert azure.requests == ["GET TXT _mta-sts.contoso.com 404", "PUT TXT _mta-sts.contoso.com 201"]


_REPORTS = "v=TLSRPTv1; rua=mailto:tls@provider.example;"


@pytest.mark.usefixtures("later")
class TestTheRecordForReports:
    @pytest.fixture
    def wanted(self, azure: AzureDns, monkeypatch: pytest.MonkeyPatch) -> None:
        """The setting, as the app has it."""
        del azure
        monkeypatch.setenv("POLICY_REPORTS_RECORD", _REPORTS)

    @pytest.mark.usefixtures("wanted")
    def test_it_is_put_right_with_the_ids(self, run: Run, store: Store, azure: AzureDns) -> None:
        text = add(store, "contoso.com")
        azure.set_texts(_ZONE, "_smtp._tls", "v=TLSRPTv1; rua=mailto:somebody@else.example")
        words = [f"TXT _smtp._tls.{_ZONE} {_REPORTS}", f"TXT _mta-sts.contoso.com.{_ZONE} {text}"]
        planned = run("dns", "publish", "contoso.com", "--dry-run").stdout
        assert planned.splitlines() == [*(f"publish {word}" for word in words), "2 would be published"]
        assert azure.texts(_ZONE, "_smtp._tls") != [_REPORTS]
        done = run("dns", "publish", "contoso.com")
        assert done.stdout.splitlines() == [*(f"published {word}" for word in words), "2 published"]
        assert azure.texts(_ZONE, "_smtp._tls") == [_REPORTS]
        assert run("dns", "publish", "--all").stdout == "2 right already\n"

    @pytest.mark.usefixtures("wanted")
    def test_in_json_it_is_of_no_domain(self, run: Run, store: Store) -> None:
        add(store, "contoso.com")
        item, _ = json.loads(run("dns", "publish", "--all", "--json").stdout)
        assert (item["domain"], item["name"], item["value"]) == ("", f"_smtp._tls.{_ZONE}", _REPORTS)
        assert item["not_before"] is None

    @pytest.mark.usefixtures("wanted")
    def test_one_that_is_refused_holds_up_no_id(self, run: Run, store: Store, azure: AzureDns) -> None:
        add(store, "contoso.com")
        azure.set_cname(_ZONE, "_smtp._tls", "elsewhere.example")
        done = run("dns", "publish", "--all")
        assert (done.exit_code, azure.names(_ZONE)) == (PROBLEM, ["_mta-sts.contoso.com"])
        assert f"_smtp._tls.{_ZONE}: Azure DNS refuses" in done.stderr

    @pytest.mark.usefixtures("wanted")
    def test_domains_own_zones_keep_theirs(self, run: Run, store: Store, azure: AzureDns) -> None:
        add(store, "contoso.com")
        assert run("dns", "publish", "--all", "--subscription", SUBSCRIPTION).exit_code == DONE
        assert azure.names("contoso.com") == ["_mta-sts"]
        assert azure.names(_ZONE) == []

    def test_a_wrong_setting_is_said_before_anything_is_done(
        self, run: Run, store: Store, azure: AzureDns, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add(store, "contoso.com")
        monkeypatch.setenv("POLICY_REPORTS_RECORD", "mailto:tls@provider.example")
        done = run("dns", "publish", "--all")
        assert (done.exit_code, azure.requests) == (WRONG_USE, [])
        assert "POLICY_REPORTS_RECORD: it must begin with 'v=TLSRPTv1;'" in done.stderr

    @pytest.mark.usefixtures("wanted")
    def test_that_of_another_store_is_not_published(
        self, run: Run, store: Store, azure: AzureDns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add(store, "contoso.com")
        file = tmp_path / "config.toml"
        address = json.dumps(os.environ["POLICY_STORE"])
        file.write_text(f'[stores.ours]\naddress = {address}\ndns-zone = "{azure.zone_id(_ZONE)}"\n', encoding="utf-8")
        monkeypatch.setenv("POLICY_CONFIG", str(file))
        assert run("dns", "publish", "--all", "--store", "ours").stdout.endswith("1 published\n")
        assert azure.names(_ZONE) == ["_mta-sts.contoso.com"]
        with file.open("a", encoding="utf-8") as opened:
            opened.write(f'reports-record = "{_REPORTS}"\n')
        assert run("dns", "publish", "--all", "--store", "ours").stdout.endswith("1 published, 1 right already\n")
        assert azure.texts(_ZONE, "_smtp._tls") == [_REPORTS]


class TestWaiting:
    def test_an_id_that_is_not_due_waits(self, run: Run, store: Store, azure: AzureDns) -> None:
        add(store, "contoso.com")
        result = run("dns", "publish", "contoso.com")
        assert (result.exit_code, azure.names(_ZONE)) == (DONE, [])
        assert "may be published from" in result.stdout

    def test_with_wait_it_is_published_once_it_is_due(
        self, run: Run, store: Store, azure: AzureDns, later: list[timedelta]
    ) -> None:
        later[0] = timedelta()
        text = add(store, "contoso.com")
        result = run("dns", "publish", "contoso.com", "--wait")
        assert result.stdout.splitlines()[-1] == "1 published"
        assert azure.texts(_ZONE, "_mta-sts.contoso.com") == [text]
        assert timedelta(seconds=90) < later[0] < timedelta(seconds=100)


@pytest.mark.usefixtures("later")
class TestOwnZones:
    def test_each_domain_is_published_in_the_zone_that_holds_it(self, run: Run, store: Store, azure: AzureDns) -> None:
        texts = {domain: add(store, domain) for domain in ("contoso.com", "mail.contoso.com", "fabrikam.com")}
        add(store, "elsewhere.example")
        result = run("dns", "publish", "--all", "--subscription", SUBSCRIPTION)
        assert result.exit_code == PROBLEM
        assert "elsewhere.example: no zone in Azure DNS that you may see holds it" in result.stderr
        assert azure.texts("contoso.com", "_mta-sts") == [texts["contoso.com"]]
        assert azure.texts("contoso.com", "_mta-sts.mail") == [texts["mail.contoso.com"]]
        assert azure.texts("fabrikam.com", "_mta-sts") == [texts["fabrikam.com"]]
        assert azure.names(_ZONE) == []


class TestWrongUse:
    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            (("--all", "-g", "mta-sts"), "give --subscription too"),
            (("--all", "--wait", "--dry-run"), "do not go together"),
            ((), "Name the domains"),
        ],
    )
    def test_it_is_said_and_nothing_is_done(
        self, run: Run, azure: AzureDns, words: tuple[str, ...], sentence: str
    ) -> None:
        result = run("dns", "publish", *words)
        assert result.exit_code == WRONG_USE
        assert sentence in result.stderr
        assert azure.requests == []

    def test_without_a_zone_it_says_what_to_do(self, run: Run, store: Store) -> None:
        add(store, "contoso.com")
        result = run("dns", "publish", "contoso.com")
        assert result.exit_code == WRONG_USE
        assert "POLICY_DNS_ZONE is not set" in result.stderr


class TestWhatOtherCommandsSay:
    def test_add_has_the_records_that_a_customer_sets_once(self, run: Run, azure: AzureDns) -> None:
        shown = run("add", "contoso.com", "--mx", "mx.contoso.com").stdout
        assert "the app publishes the id" in shown
        assert f"Name:   _mta-sts.contoso.com\nValue:  _mta-sts.contoso.com.{_ZONE}\n" in shown
        assert f"Name:   _smtp._tls.contoso.com\nValue:  _smtp._tls.{_ZONE}\n" in shown

    def test_an_edit_says_that_the_app_publishes_the_id(self, run: Run, store: Store, azure: AzureDns) -> None:
        add(store, "contoso.com")
        shown = run("edit", "contoso.com", "--max-age", "86400").stdout
        assert f"in {_ZONE} by itself, from " in shown
        assert "Set once" not in shown
        again = run("edit", "contoso.com", "--max-age", "86400").stdout
        assert "contoso.com is unchanged: the app publishes the id" in again
