"""remove, on a real table service: the row, and with a delegation zone its record in Azure DNS."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from policy_store.cli import session
from policy_store.policy import Policy
from policy_store.tables.policies import RowChanged
from policy_store.tables.row import Row
from policy_store.tables.store import Store
from tests.cli.conftest import Run
from tests.lab.azure_dns import APP_ROLE, OWNER, AzureDns

_ZONE = "sts.provider.example"
_RECORD = "_mta-sts.contoso.com"


def _row(store: Store, domain: str) -> Row:
    row = store.policies.get(domain)
    assert row
    return row


def _add(store: Store, domain: str, mode: str = "testing", *, max_age: int = 604800) -> str:
    """Put a policy in force; the TXT record with its id."""
    policy = Policy.model_validate({"mode": mode, "mx": ("mx1.example.com",), "max_age": max_age})
    revision = store.history.record(store.policies.add(domain, policy, "for people"), store.policies, by="test")
    return f"v=STSv1; id={revision.id};"


class TestRemove:
    def test_it_waits_for_retire(self, run: Run, store: Store) -> None:
        _add(store, "contoso.com", "enforce")
        done = run("remove", "contoso.com")
        assert done.exit_code == 1
        assert "mta-sts retire contoso.com" in done.stderr
        assert store.policies.get("contoso.com")

    def test_it_waits_until_no_sender_holds_an_older_text(
        self, run: Run, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _add(store, "contoso.com", "enforce", max_age=1209600)
        assert run("edit", "contoso.com", "--mode", "none").exit_code == 0
        retired = _row(store, "contoso.com").modified
        done = run("remove", "contoso.com")
        assert done.exit_code == 1
        assert f"until {retired + timedelta(seconds=1209600):%Y-%m-%d}" in done.stderr
        monkeypatch.setattr(session, "now", lambda: retired + timedelta(seconds=1209600 + 120))
        assert run("remove", "contoso.com").exit_code == 0
        assert store.policies.get("contoso.com") is None
        assert len(store.history.revisions("contoso.com")) == 2

    def test_force_records_the_reason_and_ends_with_none(self, run: Run, store: Store) -> None:
        _add(store, "contoso.com", "enforce")
        assert run("remove", "contoso.com", "--force", "--note", "sold").exit_code == 0
        last = store.history.revisions("contoso.com")[-1]
        assert (last.policy.mode, last.note) == ("none", "removed by force: sold")
        assert store.policies.get("contoso.com") is None

    def test_a_row_changed_meanwhile_stays(self, run: Run, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        _add(store, "contoso.com", "none")

        def changed(*_: object) -> None:
            raise RowChanged("contoso.com")

        monkeypatch.setattr(session, "now", lambda: _row(store, "contoso.com").modified + timedelta(days=30))
        monkeypatch.setattr("policy_store.tables.policies.PolicyTable.delete", changed)
        done = run("remove", "contoso.com")
        assert done.exit_code == 1
        assert "changed by somebody else" in done.stderr

    def test_without_a_zone_the_record_is_the_operators_to_delete(
        self, run: Run, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _add(store, "contoso.com", "none", max_age=86400)
        monkeypatch.setattr(session, "now", lambda: _LATER)
        done = run("remove", "contoso.com")
        assert done.stdout.splitlines() == [
            "contoso.com is removed.",
            "contoso.com: its TXT record _mta-sts.contoso.com may still be in DNS: delete it",
        ]


_LATER = session.now() + timedelta(days=30)


class TestTheRecordInTheZone:
    @pytest.fixture
    def azure(self, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[AzureDns]:
        """The delegation zone, which an operator may change, a month later."""
        del run
        with AzureDns(_ZONE, allowed=OWNER) as service:
            for name, value in service.environment(tmp_path).items():
                monkeypatch.setenv(name, value)
            monkeypatch.setenv("POLICY_DNS_ZONE", service.zone_id(_ZONE))
            monkeypatch.setattr(session, "now", lambda: _LATER)
            yield service

    @pytest.fixture
    def text(self, store: Store, azure: AzureDns) -> str:
        """What the zone has of a retired domain."""
        text = _add(store, "contoso.com", "none", max_age=86400)
        azure.set_texts(_ZONE, _RECORD, text)
        return text

    @pytest.mark.usefixtures("text")
    def test_it_goes_with_the_row(self, run: Run, store: Store, azure: AzureDns) -> None:
        planned = run("remove", "contoso.com", "--dry-run")
        assert planned.stdout.splitlines() == [
            "contoso.com would be removed.",
            f"contoso.com: its TXT record {_RECORD}.{_ZONE} would be deleted",
        ]
        assert azure.names(_ZONE) == [_RECORD]
        done = run("remove", "contoso.com")
        assert (done.exit_code, done.stdout.splitlines()) == (
            0,
            ["contoso.com is removed.", f"contoso.com: its TXT record {_RECORD}.{_ZONE} is deleted"],
        )
        assert (store.policies.get("contoso.com"), azure.names(_ZONE)) == (None, [])

    @pytest.mark.usefixtures("text")
    def test_where_the_operator_may_not_delete_it_the_row_goes_and_it_says_what_deletes_the_record(
        self, run: Run, store: Store, azure: AzureDns
    ) -> None:
        azure.allowed = APP_ROLE
        (gone,) = json.loads((done := run("remove", "contoso.com", "--json")).stdout)
        assert done.exit_code == 1
        (reason,) = gone["reasons"]
        assert (gone["result"], reason["code"]) == ("changed", "record_stays")
        assert f"its TXT record {_RECORD}.{_ZONE} is still there: Azure DNS refuses" in reason["message"]
        assert reason["remedy"] == "'mta-sts dns publish contoso.com' deletes it"
        azure.allowed = OWNER
        again = run("remove", "contoso.com")
        assert (again.exit_code, azure.names(_ZONE)) == (0, [])
        assert f"its TXT record {_RECORD}.{_ZONE} is deleted" in again.stdout

    def test_one_that_was_never_the_domains_stays(self, run: Run, azure: AzureDns, text: str) -> None:
        azure.set_texts(_ZONE, _RECORD, text, "v=spf1 -all")
        done = run("remove", "contoso.com")
        assert done.exit_code == 0
        assert "was never published for it" in done.stdout
        assert azure.names(_ZONE) == [_RECORD]

    def test_by_force_it_stays_until_no_sender_applies_an_older_text(
        self, run: Run, store: Store, azure: AzureDns
    ) -> None:
        azure.set_texts(_ZONE, _RECORD, _add(store, "contoso.com", "enforce", max_age=8640000))
        planned = run("remove", "contoso.com", "--force", "--note", "sold", "--dry-run").stdout
        assert "is not deleted with it: 'mta-sts dns publish contoso.com' deletes it" in planned
        done = run("remove", "contoso.com", "--force", "--note", "sold", "--yes")
        assert done.exit_code == 0
        assert f"its TXT record {_RECORD}.{_ZONE} has to stay until" in done.stdout
        assert "'mta-sts dns publish contoso.com' deletes it then" in done.stdout
        assert azure.names(_ZONE) == [_RECORD]

    def test_where_azure_dns_fails_the_row_goes_all_the_same(
        self, run: Run, store: Store, azure: AzureDns, text: str
    ) -> None:
        azure.faults.append(500)
        done = run("remove", "contoso.com")
        assert (done.exit_code, azure.texts(_ZONE, _RECORD)) == (1, [text])
        assert f"its TXT record {_RECORD}.{_ZONE} may still be there: " in done.stdout
        assert store.policies.get("contoso.com") is None

    def test_without_a_record_nothing_is_said_of_one(self, run: Run, store: Store, azure: AzureDns) -> None:
        _add(store, "contoso.com", "none", max_age=86400)
        assert run("remove", "contoso.com").stdout == "contoso.com is removed.\n"
        assert azure.requests == [f"GET TXT {_RECORD} 404"]
