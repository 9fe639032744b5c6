"""promote, retire and plan, on a real table service and a real DNS server, with the clock set by the tests."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.data.tables import TableClient

from policy_store.cli import session
from policy_store.policy import Policy
from policy_store.sender.facts import Facts, Fetched, PolicyHost
from policy_store.sender.limits import Limits
from policy_store.sender.lookup import Lookup
from policy_store.tables.history import Revision
from policy_store.tables.row import Row
from policy_store.tables.store import Store
from policy_store.zone_id import ZoneId
from tests.changes.world import World
from tests.cli.conftest import Run
from tests.end_to_end.senders.names import DnsServer
from tests.lab.azure_dns import SUBSCRIPTION

type Zone = dict[str, dict[str, list[str]]]
type Later = Callable[..., datetime]

_MX = ("mx1.example.com", "*.example.net")


@pytest.fixture
def zone() -> Zone:
    """What DNS holds; a test may change it at any time."""
    return {}


@pytest.fixture
def resolver(zone: Zone) -> Iterator[str]:
    with DnsServer(zone) as server:
        yield f"127.0.0.1:{server.port}"


@pytest.fixture(autouse=True)
def served(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each policy host serves what its row holds; what a host can do otherwise is tried in the lab."""
    found = Lookup.facts

    def facts(self: Lookup, domain: str) -> Facts:
        text = _row(store, domain).policy.text.encode()
        return replace(found(self, domain), policy_host=PolicyHost((("192.0.2.2", Fetched(text)),)))

    monkeypatch.setattr(Lookup, "facts", facts)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Set the commands' clock to so much later than now, in words of timedelta; returns that time."""

    def set_clock(**words: float) -> datetime:
        time = datetime.now(UTC) + timedelta(**words)
        monkeypatch.setattr(session, "now", lambda: time)
        return time

    return set_clock


def _add(store: Store, zone: Zone, domain: str, mode: str = "testing", *, mx: tuple[str, ...] = _MX) -> Revision:
    """Add a policy of which DNS shows the id, with MX records that it covers."""
    policy = Policy.model_validate({"mode": mode, "mx": mx, "max_age": 604800})
    revision = store.history.record(store.policies.add(domain, policy), store.policies, by="test")
    zone[domain] = {"MX": ["10 mx1.example.com.", "20 MX2.Example.Net."]}
    zone["mx1.example.com"] = zone["mx2.example.net"] = {"A": ["192.0.2.1"]}  # which is not asked
    zone[f"_mta-sts.{domain}"] = {"TXT": [f"v=STSv1; id={revision.id};"]}
    return revision


def _row(store: Store, domain: str = "contoso.com") -> Row:
    row = store.policies.get(domain)
    assert row
    return row


class TestPromote:
    def test_after_14_days_with_all_in_order(
        self, run: Run, store: Store, zone: Zone, resolver: str, later: Later
    ) -> None:
        _add(store, zone, "contoso.com")
        later(days=14, minutes=1)
        done = run("promote", "contoso.com", "--resolver", resolver, "--note", "reports are clean")
        assert done.exit_code == 0, done.output
        assert _row(store).policy == Policy(mode="enforce", mx=_MX, max_age=604800)
        revision = store.history.revisions("contoso.com")[-1]
        assert (revision.text, revision.note) == (_row(store).policy.text, "reports are clean")
        assert "-mode: testing\n+mode: enforce" in done.stdout
        assert f"publish TXT _mta-sts.contoso.com v=STSv1; id={revision.id};" in done.stdout

    def test_it_is_refused_with_every_reason(
        self, run: Run, store: Store, zone: Zone, resolver: str, later: Later
    ) -> None:
        _add(store, zone, "contoso.com")
        zone["contoso.com"] = {"MX": ["10 mx.elsewhere.example."]}
        zone["_mta-sts.contoso.com"] = {"TXT": ["v=STSv1; id=old;"]}
        later(days=13)
        done = run("promote", "contoso.com", "--resolver", resolver)
        assert done.exit_code == 1
        for reason in ("testing has lasted since", "mx.elsewhere.example", "TXT record", "--force with --note"):
            assert reason in done.stderr
        assert _row(store).policy.mode == "testing"

    def test_it_is_refused_where_a_sender_finds_no_mx_host_that_passes(
        self,
        run: Run,
        store: Store,
        zone: Zone,
        resolver: str,
        later: Later,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """What a sender finds is tried in the lab; here no host listens on the standard ports."""
        revision = _add(store, zone, "contoso.com")
        later(days=14, minutes=1)
        world = World(("mx1.example.com",), revision.id, revision.text, "no_starttls")
        monkeypatch.setattr(Lookup, "facts", lambda _, domain: world.facts(domain))
        done = run("promote", "contoso.com", "--resolver", resolver)
        assert done.exit_code == 1
        assert "mta-sts check" in done.stderr

    def test_a_mail_host_that_was_too_slow_is_named_with_the_option_for_more_time(
        self,
        run: Run,
        store: Store,
        zone: Zone,
        resolver: str,
        later: Later,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        revision = _add(store, zone, "contoso.com")
        later(days=14, minutes=1)
        world = World(("mx1.example.com",), revision.id, revision.text, "timeout")
        limits = []

        def facts(lookup: Lookup, domain: str) -> Facts:
            limits.append(lookup.limits)
            return world.facts(domain)

        monkeypatch.setattr(Lookup, "facts", facts)
        more = ("--dns-seconds=1", "--https-seconds=2", "--smtp-seconds=3")
        done = run("promote", "contoso.com", "--resolver", resolver, "--dry-run", *more)
        assert done.exit_code == 0, done.output
        assert "contoso.com: mx1.example.com was not checked: " in done.stdout
        assert "--smtp-seconds" in done.stdout
        assert limits == [Limits(1, 2, 3)]

    def test_another_number_of_days(self, run: Run, store: Store, zone: Zone, resolver: str, later: Later) -> None:
        _add(store, zone, "contoso.com")
        later(days=3, minutes=1)
        assert run("promote", "contoso.com", "--resolver", resolver, "--after", "4").exit_code == 1
        assert run("promote", "contoso.com", "--resolver", resolver, "--after", "3").exit_code == 0

    def test_force_is_recorded_with_what_it_overrode(self, run: Run, store: Store, zone: Zone, resolver: str) -> None:
        _add(store, zone, "contoso.com")
        del zone["_mta-sts.contoso.com"]
        done = run("promote", "contoso.com", "--resolver", resolver, "--force", "--note", "asked for by Ann")
        assert done.exit_code == 0, done.output
        revision = store.history.revisions("contoso.com")[-1]
        assert (revision.policy.mode, revision.note) == (
            "enforce",
            "asked for by Ann (forced: too_soon, id_not_current)",
        )

    def test_force_without_a_note_is_wrong_use(self, run: Run, store: Store, zone: Zone) -> None:
        _add(store, zone, "contoso.com")
        done = run("promote", "contoso.com", "--force")
        assert done.exit_code == 2
        assert "--note" in done.stderr

    @pytest.mark.parametrize(("mode", "code"), [("enforce", 0), ("none", 1)])
    def test_only_testing_is_promoted_force_or_not(
        self, run: Run, store: Store, zone: Zone, resolver: str, later: Later, mode: str, code: int
    ) -> None:
        revision = _add(store, zone, "contoso.com", mode)
        later(days=30)
        done = run("promote", "contoso.com", "--resolver", resolver, "--force", "--note", "now")
        assert done.exit_code == code
        assert _row(store).policy.mode == mode
        assert (revision.id in done.stdout) == (mode == "enforce")

    def test_a_dns_server_that_does_not_answer_is_a_reason(
        self, run: Run, store: Store, zone: Zone, later: Later
    ) -> None:
        _add(store, zone, "contoso.com")
        later(days=30)
        done = run("promote", "contoso.com", "--resolver", "127.0.0.1:9")
        assert done.exit_code == 1
        assert "could not be looked up" in done.stderr

    def test_a_dry_run_changes_nothing(self, run: Run, store: Store, zone: Zone, resolver: str, later: Later) -> None:
        _add(store, zone, "contoso.com")
        later(days=30)
        done = run("promote", "contoso.com", "--resolver", resolver, "--dry-run")
        assert done.exit_code == 0
        assert "+mode: enforce" in done.stdout
        assert _row(store).policy.mode == "testing"
        assert len(store.history.revisions("contoso.com")) == 1

    def test_of_several_those_that_are_ready_go(
        self, run: Run, store: Store, zone: Zone, resolver: str, later: Later
    ) -> None:
        _add(store, zone, "contoso.com")
        _add(store, zone, "fabrikam.com", mx=("mx1.example.com",))
        later(days=30)
        done = run("promote", "contoso.com", "fabrikam.com", "nobody.example", "--resolver", resolver)
        assert done.exit_code == 1
        assert done.stdout.endswith("1 promoted, 0 unchanged, 2 refused\n")
        assert _row(store, "contoso.com").policy.mode == "enforce"
        assert _row(store, "fabrikam.com").policy.mode == "testing"
        assert "nobody.example was not promoted: it has no row" in done.stderr

    def test_an_invalid_row_is_mended_first(
        self, run: Run, store: Store, zone: Zone, resolver: str, tables: tuple[TableClient, TableClient]
    ) -> None:
        _add(store, zone, "contoso.com")
        tables[0].upsert_entity({"PartitionKey": "contoso.com", "RowKey": "policy", "mode": "enforced"})
        done = run("promote", "contoso.com", "--resolver", resolver)
        assert done.exit_code == 1
        assert "its row is invalid: mode is 'enforced'" in done.stderr


class TestRetire:
    def test_none_with_the_patterns_kept_and_the_date(self, run: Run, store: Store, zone: Zone) -> None:
        _add(store, zone, "contoso.com", "enforce")
        done = run("retire", "contoso.com", "--note", "the customer left")
        assert done.exit_code == 0, done.output
        assert _row(store).policy == Policy(mode="none", mx=_MX, max_age=86400)
        revision = store.history.revisions("contoso.com")[-1]
        assert revision.note == "the customer left"
        due = revision.since + timedelta(seconds=65 + 604800)
        shown = f"{due + timedelta(seconds=59):%Y-%m-%d %H:%M} UTC"
        assert f"contoso.com: the TXT record and the row have to stay until {shown}" in done.stdout

    def test_again_tells_the_date_and_changes_nothing(self, run: Run, store: Store, zone: Zone) -> None:
        _add(store, zone, "contoso.com", "enforce")
        first = run("retire", "contoso.com").stdout.splitlines()
        revisions = store.history.revisions("contoso.com")
        done = run("retire", "contoso.com")
        assert done.exit_code == 0
        (date,) = (line for line in first if "have to stay until" in line)
        assert date in done.stdout.splitlines()
        assert store.history.revisions("contoso.com") == revisions

    def test_a_dry_run_tells_the_date_and_changes_nothing(self, run: Run, store: Store, zone: Zone) -> None:
        _add(store, zone, "contoso.com", "enforce")
        done = run("retire", "contoso.com", "--dry-run")
        assert done.exit_code == 0
        assert "+mode: none" in done.stdout
        assert f"have to stay until {datetime.now(UTC) + timedelta(days=7):%Y-%m-%d}" in done.stdout
        assert _row(store).policy.mode == "enforce"

    def test_a_domain_without_a_policy_is_refused(self, run: Run) -> None:
        done = run("retire", "nobody.example")
        assert done.exit_code == 1
        assert "nobody.example was not retired" in done.stderr

    @pytest.mark.parametrize(
        ("cells", "mx"),
        [
            ({"mode": "enfroce", "mx": "mx.contoso.com", "max_age": 604800}, ("mx.contoso.com",)),
            ({"mode": "enforce", "mx": " ".join(f"mail{n}.{'a' * 60}.{'b' * 60}.com" for n in range(240))}, ()),
            ({}, ()),
        ],
    )
    def test_a_row_that_was_never_valid_is_withdrawn_too(
        self,
        run: Run,
        store: Store,
        tables: tuple[TableClient, TableClient],
        cells: dict[str, Any],
        mx: tuple[str, ...],
    ) -> None:
        tables[0].create_entity({"PartitionKey": "contoso.com", "RowKey": "policy", **cells})
        done = run("retire", "contoso.com")
        assert done.exit_code == 0, done.output
        assert _row(store).policy == Policy(mode="none", mx=mx, max_age=86400)

    def test_then_it_may_be_removed_at_the_date_and_not_before(
        self, run: Run, store: Store, zone: Zone, later: Later
    ) -> None:
        _add(store, zone, "contoso.com", "enforce")
        run("retire", "contoso.com")
        later(days=7)
        assert run("remove", "contoso.com").exit_code == 1
        later(days=7, minutes=2)
        assert run("remove", "contoso.com").exit_code == 0
        assert store.policies.get("contoso.com") is None


class TestPlan:
    def test_what_people_see_in_80_columns(
        self, run: Run, store: Store, zone: Zone, later: Later, tables: tuple[TableClient, TableClient]
    ) -> None:
        """The broken first, then what is overdue, then the dates."""
        since = _add(store, zone, "testing.example").since
        _add(store, zone, "enforced.example", "enforce")
        _add(store, zone, "gone.example", "enforce")
        tables[0].delete_entity("gone.example", "policy")
        broken = {"PartitionKey": "broken.example", "RowKey": "policy", "mx": "mx.example", "max_age": 86400}
        tables[0].create_entity({**broken, "mode": "on"})
        later(days=1)
        done = run("plan")
        assert done.exit_code == 0, done.output
        due = f"{since + timedelta(days=14, seconds=59):%Y-%m-%d %H:%M} UTC"
        assert [line.rstrip() for line in done.stdout.splitlines()] == [
            "due                   domain           what",
            "now                   broken.example   the row is invalid, nothing is served:",
            "                                       mode is 'on': it must be testing, enforce",
            "                                       or none: fix it with 'mta-sts edit'",
            "now                   gone.example     the row is gone, but senders may keep the",
            "                                       policy: bring it back with 'mta-sts",
            "                                       rollback', then retire it",
            f"{due:20}  testing.example  in testing since {since:%Y-%m-%d}: read the",
            "                                       reports, then promote it",
            "3 tasks",
        ]

    def test_json(self, run: Run, store: Store, zone: Zone, later: Later) -> None:
        since = _add(store, zone, "contoso.com").since
        later(days=1)
        (task,) = json.loads(run("plan", "--json").stdout)
        assert task == {
            "domain": "contoso.com",
            "due": f"{since + timedelta(days=14):%Y-%m-%dT%H:%M:%SZ}",
            "what": f"in testing since {since:%Y-%m-%d}: read the reports, then promote it",
            "waits_for": "date",
            "code": "promote",
        }

    def test_nothing_waits(self, run: Run) -> None:
        assert run("plan").stdout == "Nothing waits.\n"
        assert json.loads(run("plan", "--json").stdout) == []


def test_with_a_delegation_zone_promote_says_that_the_cname_is_missing(
    run: Run, store: Store, zone: Zone, resolver: str, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    _add(store, zone, "contoso.com")
    zone["_mta-sts.contoso.com"] = {"TXT": ["v=STSv1; id=1;"]}
    later(days=20)
    monkeypatch.setenv("POLICY_DNS_ZONE", str(ZoneId(SUBSCRIPTION, "mta-sts", "sts.provider.example")))
    result = run("promote", "contoso.com", "--resolver", resolver)
    assert "the CNAME _mta-sts.contoso.com is missing: set it to _mta-sts.contoso.com.sts.provider.example" in (
        result.stderr
    )
