"""Ids published from the real table service into an Azure DNS on loopback: what is written and left, and the cost."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from azure.data.tables import TableClient, UpdateMode

from policy_store.azure.publisher import Publisher, Tally, Unusable, open_publisher
from policy_store.azure.zones import open_zone
from policy_store.policy import Policy
from policy_store.settings import Settings
from policy_store.tables.history import History
from policy_store.tables.policies import PolicyTable
from policy_store.zone_id import ZoneId
from tests.azure.conftest import SETTINGS, ZONE, Clock, note_all
from tests.lab.azure_dns import DOCUMENTED_LIMITS, SUBSCRIPTION, AzureDns, Fault

_NAME = "_mta-sts.contoso.com"
_REPORTS = "v=TLSRPTv1; rua=mailto:tls@provider.example;"
_SECONDS_OF_A_RUN = 30

type NewPublisher = Callable[..., Publisher]


@pytest.fixture
def write(policies: PolicyTable, history: History) -> Callable[..., str]:
    """Give a function that writes and records a row, and returns the TXT record with its id."""

    def write_row(domain: str = "contoso.com", max_age: int = 604800, mode: str = "enforce") -> str:
        policy = Policy.model_validate({"mode": mode, "mx": (f"mx.{domain}",), "max_age": max_age})
        found = policies.get(domain)
        row = policies.replace(domain, found.etag, policy) if found else policies.add(domain, policy)
        return f"v=STSv1; id={history.record(row, policies, by='ada').id};"

    return write_row


@pytest.fixture
def run(policies: PolicyTable, history: History) -> Callable[[Publisher], Tally]:
    """Give a function that walks and publishes as the timer does."""

    def walk_and_publish(publisher: Publisher) -> Tally:
        note_all(publisher, policies, history)
        return publisher.run()

    return walk_and_publish


type Run = Callable[[Publisher], Tally]
type Write = Callable[..., str]


class TestWhatIsPublished:
    def test_the_id_of_the_text_in_force_with_a_lifetime_of_300_seconds(
        self, azure: AzureDns, new_publisher: NewPublisher, write: Write, run: Run
    ) -> None:
        text = write()
        assert run(new_publisher()) == Tally(published=1, waiting=0, late=0, record_sets=1)
        assert azure.texts(ZONE, _NAME) == [text]
        assert azure.ttl(ZONE, _NAME) == 300

    def test_a_new_text_takes_the_place_of_the_old_one_in_one_request(
        self, azure: AzureDns, new_publisher: NewPublisher, write: Write, run: Run
    ) -> None:
        publisher = new_publisher()
        write()
        run(publisher)
        azure.requests.clear()
        time.sleep(1)  # an id is a second
        text = write(max_age=86400)
        run(publisher)
        assert azure.texts(ZONE, _NAME) == [text]
        assert azure.requests == [f"PUT TXT {_NAME} 200"]

    def test_not_before_every_worker_serves_the_text(
        self, azure: AzureDns, new_publisher: NewPublisher, write: Write, run: Run, clock: Clock
    ) -> None:
        clock.ahead = timedelta(seconds=80)
        write()
        assert run(new_publisher()) == Tally(published=0, waiting=1, late=0, record_sets=0)
        assert azure.names(ZONE) == []

    def test_not_before_a_text_that_stood_in_the_row_for_a_moment_is_gone_everywhere(
        self,
        azure: AzureDns,
        new_publisher: NewPublisher,
        write: Write,
        run: Run,
        clock: Clock,
        policies_client: TableClient,
    ) -> None:
        """Another text and back within a moment: no revision tells of it, the time of the row does."""
        write()
        entity = policies_client.get_entity("contoso.com", "policy")
        clock.ahead = timedelta(seconds=93)
        time.sleep(3)
        for mode in ("testing", "enforce"):
            policies_client.update_entity({**entity, "mode": mode}, mode=UpdateMode.REPLACE)
        assert run(new_publisher()).waiting == 1
        assert azure.names(ZONE) == []

    def test_a_row_broken_by_hand_keeps_the_id(
        self,
        azure: AzureDns,
        new_publisher: NewPublisher,
        write: Write,
        run: Run,
        policies_client: TableClient,
    ) -> None:
        publisher = new_publisher()
        text = write()
        run(publisher)
        policies_client.update_entity({"PartitionKey": "contoso.com", "RowKey": "policy", "mode": "enforced"})
        assert run(publisher).published == 0
        assert run(new_publisher()).published == 0
        assert azure.texts(ZONE, _NAME) == [text]

    def test_a_text_that_is_not_recorded_has_no_id_yet(
        self, azure: AzureDns, new_publisher: NewPublisher, run: Run, policies: PolicyTable
    ) -> None:
        policies.add("contoso.com", Policy(mode="testing", mx=("mx.contoso.com",), max_age=604800))
        assert run(new_publisher()).published == 0
        assert azure.names(ZONE) == []

    def test_a_retired_domain_is_published_like_any_other_and_keeps_its_record_without_a_row(
        self, azure: AzureDns, new_publisher: NewPublisher, write: Write, run: Run, policies: PolicyTable
    ) -> None:
        publisher = new_publisher()
        text = write(mode="none", max_age=86400)
        run(publisher)
        row = policies.get("contoso.com")
        assert row is not None
        policies.delete("contoso.com", row.etag)
        azure.requests.clear()
        assert run(publisher) == Tally(published=0, waiting=0, late=0, record_sets=1)
        assert (azure.texts(ZONE, _NAME), azure.requests) == ([text], [])

    def test_what_cannot_be_published_is_told_and_the_others_are_published(
        self,
        azure: AzureDns,
        new_publisher: NewPublisher,
        write: Write,
        run: Run,
        policies_client: TableClient,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        long = ".".join(["a" * 56] * 4)
        text = write()
        write(long)
        write("fabrikam.com")
        azure.set_cname(ZONE, "_mta-sts.fabrikam.com", "elsewhere.example")
        policies_client.create_entity({"PartitionKey": "litware.com", "RowKey": "policy", "mode": "enforced"})
        publisher = new_publisher()
        assert run(publisher) == Tally(published=1, waiting=0, late=1, record_sets=1)
        run(publisher)
        told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert len(told) == 3, "each is told once"
        assert any(f"the record of {long} would have a name of more than 253 bytes" in line for line in told)
        assert any("CNAME" in line for line in told)
        assert any("litware.com has no id yet" in line for line in told)
        assert azure.texts(ZONE, _NAME) == [text]

    def test_the_one_record_for_reports(self, azure: AzureDns, new_publisher: NewPublisher, run: Run) -> None:
        publisher = new_publisher(_REPORTS)
        assert run(publisher).published == 1
        assert azure.texts(ZONE, "_smtp._tls") == [_REPORTS]
        assert run(publisher).published == 0

    def test_a_record_for_reports_that_is_refused_holds_up_no_id(
        self, azure: AzureDns, new_publisher: NewPublisher, write: Write, run: Run
    ) -> None:
        azure.set_cname(ZONE, "_smtp._tls", "elsewhere.example")
        text = write()
        assert run(new_publisher(_REPORTS)).published == 1
        assert azure.texts(ZONE, _NAME) == [text]


class TestWhatAPersonChanged:
    @pytest.mark.parametrize(
        ("texts", "ttl"),
        [(("v=STSv1; id=mine;",), 300), (("v=STSv1; id=1;", "v=STSv1; id=2;"), 300), ((), 300), (("right",), 3600)],
    )
    def test_it_is_put_right_by_the_next_look_and_logged(
        self,
        azure: AzureDns,
        new_publisher: NewPublisher,
        write: Write,
        run: Run,
        clock: Clock,
        caplog: pytest.LogCaptureFixture,
        texts: tuple[str, ...],
        ttl: int,
    ) -> None:
        caplog.set_level(logging.INFO)
        publisher = new_publisher()
        right = write()
        run(publisher)
        azure.set_texts(ZONE, _NAME, *(right if text == "right" else text for text in texts), ttl=ttl)
        run(publisher)
        clock.ahead += timedelta(hours=1)
        caplog.clear()
        assert run(publisher).published == 1
        assert (azure.texts(ZONE, _NAME), azure.ttl(ZONE, _NAME)) == ([right], 300)
        assert any(_NAME in record.getMessage() for record in caplog.records)
        assert any("somebody else wrote" in record.getMessage() for record in caplog.records) == bool(texts)

    def test_other_records_of_the_zone_are_left_alone(
        self, azure: AzureDns, new_publisher: NewPublisher, write: Write, run: Run
    ) -> None:
        others = {"@": "a text", "_mta-sts.another.example": "v=STSv1; id=9;", "_smtp._tls": _REPORTS}
        for name, text in others.items():
            azure.set_texts(ZONE, name, text)
        write()
        run(new_publisher())
        assert {name: azure.texts(ZONE, name) for name in others} == {name: [text] for name, text in others.items()}


class TestCost:
    def test_nothing_to_publish_costs_no_request_for_an_hour(
        self, azure: AzureDns, new_publisher: NewPublisher, write: Write, run: Run, clock: Clock
    ) -> None:
        publisher = new_publisher(_REPORTS)
        write()
        run(publisher)
        azure.requests.clear()
        for _ in range(3):
            run(publisher)
        assert azure.requests == []
        clock.ahead += timedelta(hours=1)
        run(publisher)
        assert azure.requests == ["GET TXT 200"]

    def test_a_new_worker_looks_at_the_zone_and_reads_no_row_for_what_is_right(
        self,
        azure: AzureDns,
        new_publisher: NewPublisher,
        write: Write,
        run: Run,
    ) -> None:
        write()
        run(new_publisher())
        azure.requests.clear()

        def read(domain: str) -> object:
            raise AssertionError(domain)

        publisher = new_publisher()
        publisher._read = read  # type: ignore[assignment]
        run(publisher)
        assert azure.requests == ["GET TXT 200"]

    def test_a_run_ends_in_time_whatever_azure_does(
        self, azure: AzureDns, new_publisher: NewPublisher, write: Write, run: Run
    ) -> None:
        for number in range(5):
            write(f"d{number}.example")
        azure.faults.extend(["silent"] * 10)
        start = time.monotonic()
        assert run(new_publisher()).late == 5
        assert time.monotonic() - start < _SECONDS_OF_A_RUN

    @pytest.mark.parametrize("fault", [403, 500, 503, "hang up", "lost answer"])
    def test_a_service_that_fails_is_not_asked_over_and_over(
        self, azure: AzureDns, new_publisher: NewPublisher, write: Write, run: Run, fault: Fault
    ) -> None:
        for number in range(20):
            write(f"d{number:02}.example")
        publisher = new_publisher()
        run_once = len(azure.requests)
        azure.faults.extend([fault] * 100)
        assert run(publisher).published == 0
        assert len(azure.requests) - run_once <= 4
        azure.faults.clear()
        assert run(publisher).late == 0
        assert len(azure.names(ZONE)) == 20

    def test_too_many_requests_pause_the_publisher_and_it_goes_on_where_it_stopped(
        self, azure: AzureDns, new_publisher: NewPublisher, write: Write, run: Run, clock: Clock
    ) -> None:
        for number in range(12):
            write(f"d{number:02}.example")
        azure.limits = {**DOCUMENTED_LIMITS, "write": 5}
        publisher = new_publisher()
        first = run(publisher)
        assert (first.published, first.late) == (5, 7)
        asked = len(azure.requests)
        assert run(publisher).published == 0
        assert len(azure.requests) == asked, "the pause is kept"
        azure.limits = {}
        clock.ahead += timedelta(seconds=61)
        assert run(publisher) == Tally(published=7, waiting=0, late=0, record_sets=12)
        writes = [request for request in azure.requests if request.startswith("PUT") and request.endswith("201")]
        assert len(writes) == 12, "nothing is written twice"

    def test_a_throttled_look_does_not_hold_up_what_is_known(
        self, azure: AzureDns, new_publisher: NewPublisher, write: Write, run: Run, clock: Clock
    ) -> None:
        publisher = new_publisher()
        write()
        run(publisher)
        clock.ahead += timedelta(hours=1)
        write("fabrikam.com")
        azure.faults.append(429)
        assert run(publisher).published == 1

    def test_a_look_that_is_throttled_goes_on_where_it_stopped(
        self, azure: AzureDns, new_publisher: NewPublisher, write: Write, run: Run, clock: Clock
    ) -> None:
        for number in range(350):
            azure.set_texts(ZONE, f"_mta-sts.d{number:03}.example", "v=STSv1; id=1;")
        write()
        publisher = new_publisher()
        azure.limits = {"list": 2}
        assert run(publisher).published == 0
        azure.limits = {}
        clock.ahead += timedelta(seconds=61)
        azure.requests.clear()
        assert run(publisher).published == 1
        assert azure.requests.count("GET TXT 200") == 2, "two pages of four were left"

    def test_a_zone_that_is_nearly_full_is_told(
        self, azure: AzureDns, new_publisher: NewPublisher, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        for number in range(9000):
            azure.set_texts(ZONE, f"_mta-sts.d{number:05}.example", "v=STSv1; id=1;")
        run(new_publisher())
        assert "a zone takes 10000 record sets" in caplog.text


class TestManyAtOnce:
    def test_two_workers_and_a_command_leave_one_right_record_each(
        self,
        azure: AzureDns,
        new_publisher: NewPublisher,
        write: Write,
        policies: PolicyTable,
        history: History,
    ) -> None:
        domains = [f"d{number:02}.example" for number in range(15)]
        publishers = [new_publisher() for _ in range(3)]
        for age in (604800, 86400):
            texts = {domain: write(domain, age) for domain in domains}
            for publisher in publishers:
                note_all(publisher, policies, history)
            threads = [threading.Thread(target=publisher.run) for publisher in publishers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert {domain: azure.texts(ZONE, f"_mta-sts.{domain}") for domain in domains} == {
                domain: [text] for domain, text in texts.items()
            }
            time.sleep(1)
        assert not [request for request in azure.requests if request.endswith((" 400", " 409"))]

    def test_an_edit_and_its_id_published_by_another_right_before_the_write_are_not_undone(
        self, azure: AzureDns, new_publisher: NewPublisher, write: Write, run: Run, clock: Clock
    ) -> None:
        publisher = new_publisher()
        write()
        run(publisher)
        time.sleep(1)
        write(max_age=86400)
        newest: list[str] = []

        def another(path: str) -> None:
            azure.before_write = None
            time.sleep(1)
            newest.append(write(max_age=172800))
            azure.set_texts(ZONE, _NAME, newest[0])

        azure.before_write = another
        run(publisher)
        assert azure.texts(ZONE, _NAME) == newest
        assert f"PUT TXT {_NAME} 412" in azure.requests


class TestSettings:
    @pytest.mark.parametrize(
        ("setting", "value", "reason"),
        [
            (
                "POLICY_DNS_ZONE",
                "sts.provider.example",
                "POLICY_DNS_ZONE: 'sts.provider.example' is not the resource id",
            ),
            ("POLICY_DNS_ZONE", "/subscriptions/x/resourceGroups/g/providers/Microsoft.Network/dnsZones/a.b", "id"),
            (
                "POLICY_DNS_ZONE",
                "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/g/providers/Microsoft.Network/"
                "privateDnsZones/a.b",
                "is not the resource id of a DNS zone",
            ),
            ("POLICY_REPORTS_RECORD", "rua=mailto:a@b.c", "POLICY_REPORTS_RECORD: it must begin"),
        ],
    )
    def test_a_wrong_one_stops_only_the_publishing_and_each_run_says_so(
        self, azure: AzureDns, caplog: pytest.LogCaptureFixture, setting: str, value: str, reason: str
    ) -> None:
        right = {"POLICY_STORE": "UseDevelopmentStorage=true", "POLICY_DNS_ZONE": azure.zone_id(ZONE)}
        publisher = open_publisher(Settings.read({**right, setting: value}))
        assert isinstance(publisher, Unusable)
        publisher.run()
        publisher.run()
        assert caplog.text.count("ids are not published") == 2
        assert reason in caplog.text

    def test_ids_of_azure_are_the_same_in_any_letter_case(self) -> None:
        usual = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.Network/dnsZones/a.b"
        zone = ZoneId.parse(usual.upper())
        assert (zone.group, zone.name) == ("G", "a.b")
        assert ZoneId.parse(str(zone)) == zone

    def test_the_zone_is_found_by_the_apps_identity(self, azure: AzureDns) -> None:
        assert open_zone(ZoneId.parse(azure.zone_id(ZONE)), SETTINGS).page() == ([], "")
