"""Reports that are posted: stored before the answer, within bounds, and a storage that fails loses none that it can
keep.
"""

import asyncio
import gzip
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from threading import Event
from typing import Any

import azure.functions as func
import pytest
from azure.data.tables import TableClient

from dev.azurite import Azurite
from dev.hostile_reports import HostilePost, hostile_posts
from policy_store import intake
from policy_store.answering import asked_host
from policy_store.intake import Answer, Intake, Post
from policy_store.settings import Settings
from policy_store.tables.connection import open_table
from policy_store.tables.policies import PolicyTable
from policy_store.tables.reports import ReportTable
from tests.tlsrpt.making import LINES, entry, report, yesterday

_DAY = yesterday()
_ENFORCED = tuple(line.replace("testing", "enforce") for line in LINES)


@dataclass
class Place:
    """The intake on tables of its own, which hold contoso.com (testing) and fabrikam.com (enforce)."""

    intake: Intake
    reports: ReportTable
    policies_client: TableClient

    def post(self, body: bytes, **headers: str) -> Answer:
        return asyncio.run(self.intake.take(Post(body, **headers)))

    def stored(self, domain: str = "contoso.com") -> int:
        return len(self.reports.of_domain(domain, _DAY - timedelta(days=3), _DAY))


@pytest.fixture
def place(new_table: Callable[[], TableClient], policies_client: TableClient) -> Place:
    for domain, mode in (("contoso.com", "testing"), ("fabrikam.com", "enforce"), ("contoso.example", "testing")):
        policies_client.create_entity(
            {
                "PartitionKey": domain,
                "RowKey": "policy",
                "mode": mode,
                "mx": "mx1.contoso.com mx2.contoso.com",
                "max_age": 604800,
            }
        )
    reports = ReportTable(new_table())
    return Place(Intake(PolicyTable(policies_client), reports), reports, policies_client)


class TestAnswers:
    def test_a_new_report_is_201_and_a_known_one_200(self, place: Place) -> None:
        octets = report(_DAY, entry(ok=1))
        assert [place.post(each).status for each in (octets, octets, gzip.compress(octets))] == [201, 200, 200]
        assert place.stored() == 1

    @pytest.mark.parametrize("host", ["mta-sts.contoso.com", "MTA-STS.contoso.com:443", "mta-sts."])
    def test_a_policy_host_takes_none(self, place: Place, host: str) -> None:
        assert place.post(report(_DAY, entry(ok=1)), host=host).status == 404
        assert place.stored() == 0

    @pytest.mark.parametrize("host", ["", "app.azurewebsites.net", "tlsrpt.woodgrove.example", "127.0.0.1"])
    def test_every_other_host_takes_them(self, place: Place, host: str) -> None:
        assert place.post(report(_DAY, entry(ok=1)), host=host).status == 201

    def test_behind_a_proxy_the_host_that_the_sender_asked_for_counts(self, place: Place) -> None:
        headers = {"Host": "app.azurewebsites.net", "X-Forwarded-Host": "MTA-STS.contoso.com, inner.example"}
        request = func.HttpRequest("POST", "/v1/tlsrpt", headers=headers, body=report(_DAY, entry(ok=1)))
        for header, status in (("X-Forwarded-Host", 404), ("Host", 201), ("X-Original-Host", 200)):
            host = asked_host(request.headers, header) or ""
            assert asyncio.run(place.intake.respond(request, host)).status_code == status

    def test_a_report_about_strangers_is_404_and_leaves_nothing(self, place: Place) -> None:
        assert place.post(report(_DAY, entry("stranger.example", ok=1))).status == 404
        assert place.stored("stranger.example") == 0

    @pytest.mark.parametrize(
        ("days", "status"), [(35, 201), (36, 400), (-1, 400)], ids=["35 days old", "36 days old", "tomorrow"]
    )
    def test_only_the_last_35_days_count(self, place: Place, days: int, status: int) -> None:
        day = yesterday() + timedelta(days=1 - days) + (timedelta(days=1) if days == -1 else timedelta(0))
        end = f"{day}T23:59:59Z"
        range_: Any = {"start-datetime": f"{day}T23:59:58Z", "end-datetime": end}
        octets = report(day, entry(ok=1), **{"date-range": range_})
        assert place.post(octets).status == status

    def test_what_counts_of_the_sender_is_kept(self, place: Place) -> None:
        place.post(report(_DAY, entry(ok=1)), agent="curl/7.88.1\x1b", forwarded="203.0.113.9, 198.51.100.7:4711")
        (row,) = place.reports.of_domain("contoso.com", _DAY, _DAY)
        assert (row.via, row.client, row.agent) == ("https", "198.51.100.7", "curl/7.88.1")

    @pytest.mark.parametrize(
        ("forwarded", "client"),
        [("2001:db8::1", "2001:db8::1"), ("[2001:db8::1]:443", "2001:db8::1"), ("192.0.2.1", "192.0.2.1"), ("", "")],
    )
    def test_the_address_that_app_service_saw_counts(self, place: Place, forwarded: str, client: str) -> None:
        place.post(report(_DAY, entry(ok=1)), forwarded=forwarded)
        assert place.reports.of_domain("contoso.com", _DAY, _DAY)[0].client == client

    def test_an_invalid_row_is_a_domain_of_ours(self, place: Place) -> None:
        place.policies_client.create_entity({"PartitionKey": "broken.example", "RowKey": "policy", "mode": "what"})
        assert place.post(report(_DAY, entry("broken.example", ok=1))).status == 201


class TestBounds:
    @pytest.mark.parametrize("post", list(hostile_posts()), ids=lambda post: post.name)
    def test_a_hostile_post_gets_the_answer_that_it_is_worth(self, place: Place, post: HostilePost) -> None:
        assert place.post(post.body).status == post.status

    def test_a_domain_gets_200_new_rows_a_day_and_others_go_on(
        self, place: Place, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            for first in range(0, 300, 100):
                answer = place.post(report(_DAY, *(entry(ok=first + number) for number in range(100))))
            again = place.post(report(_DAY, entry(ok=999)))
        assert (answer.status, again.status, again.headers) == (429, 429, {"Retry-After": "600"})
        assert place.stored() == intake.ROWS_OF_A_DOMAIN
        assert place.post(report(_DAY, entry("fabrikam.com", ok=1))).status == 201
        assert len([record for record in caplog.records if "too many reports" in record.message]) == 1

    def test_a_worker_takes_a_number_of_rows_in_all(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(intake, "ROWS_IN_ALL", 2)
        statuses = [place.post(report(_DAY, entry(name, ok=1))).status for name in ("contoso.com", "fabrikam.com")]
        assert (*statuses, place.post(report(_DAY, entry(ok=2))).status) == (201, 201, 429)

    def test_more_bodies_than_may_wait_are_503(self, place: Place) -> None:
        with _slow(place.reports) as (go_on, _):

            async def flood() -> list[int]:
                posts = [
                    asyncio.create_task(place.intake.take(Post(report(_DAY, entry(ok=number)))))
                    for number in range(intake.WAITING + intake.THREADS + 5)
                ]
                await asyncio.sleep(0.2)
                turned_away = [task.result().status for task in posts if task.done()]
                go_on.set()
                await asyncio.gather(*posts)
                return turned_away

            assert asyncio.run(flood()) == [503] * 5


class TestStorage:
    def test_a_slow_storage_is_waited_for(self, place: Place) -> None:
        with _slow(place.reports) as (go_on, threads):

            def go_on_later() -> None:
                time.sleep(1.5)
                go_on.set()

            threads.submit(go_on_later)
            start = time.monotonic()
            assert place.post(report(_DAY, entry(ok=1))).status == 201
            assert time.monotonic() - start >= 1.4

    def test_what_could_not_be_stored_in_time_is_503_and_stored_all_the_same(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """tlsrpt-reporter takes every status for a success, so that what is lost here is lost for good."""
        monkeypatch.setattr(intake, "WAIT", 0.2)
        with _slow(place.reports) as (go_on, _):

            async def take() -> Answer:
                answer = await place.intake.take(Post(report(_DAY, entry(ok=1))))
                go_on.set()
                return answer

            answer = asyncio.run(take())
            assert (answer.status, answer.headers) == (503, {"Retry-After": "600"})
            deadline = time.monotonic() + 10
            while not place.stored() and time.monotonic() < deadline:
                time.sleep(0.05)
        assert place.stored() == 1

    def test_a_missing_table_is_503_and_one_line_in_the_log(
        self, azurite: Azurite, place: Place, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings = Settings.read({"POLICY_STORE": azurite.connection_string})
        nowhere = Intake(
            PolicyTable(place.policies_client), ReportTable(open_table(settings, "nosuchtable", pages=True))
        )
        with caplog.at_level(logging.ERROR):
            assert asyncio.run(nowhere.take(Post(report(_DAY, entry(ok=1))))).status == 503
        assert ["cannot be stored" in record.message for record in caplog.records] == [True]


class TestAlarm:
    @pytest.mark.parametrize(
        ("domain", "lines", "failure", "sounds"),
        [
            ("fabrikam.com", _ENFORCED, ("certificate-expired", "mx2.contoso.com", 14), True),
            ("fabrikam.com", _ENFORCED, ("validation-failure", "old.contoso.com", 1), True),
            ("fabrikam.com", _ENFORCED, ("sts-policy-fetch-error", "", 1), False),
            ("fabrikam.com", _ENFORCED, ("tlsa-invalid", "mx2.contoso.com", 1), False),
            ("fabrikam.com", LINES, ("certificate-expired", "mx2.contoso.com", 1), False),
            ("contoso.com", LINES, ("certificate-expired", "mx2.contoso.com", 1), False),
            ("contoso.com", _ENFORCED, ("certificate-expired", "mx2.contoso.com", 1), False),
        ],
    )
    def test_a_blocking_failure_under_an_enforced_text_is_a_line_in_the_log(
        self, place: Place, caplog: pytest.LogCaptureFixture, domain: str, lines: Any, failure: Any, sounds: bool
    ) -> None:
        octets = report(_DAY, entry(domain, ok=216, lines=lines, failures=[failure]))
        with caplog.at_level(logging.INFO):
            assert place.post(octets).status == 201
            assert place.post(octets).status == 200  # known: no second alarm
        said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("mail is refused")]
        assert len(said) == sounds
        if sounds:
            assert "domain=fabrikam.com" in said[0]
            assert f"mx='{failure[1]}'" in said[0]
            assert "reporter=google.com" in said[0]

    def test_failures_without_details_sound_too(self, place: Place, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.ERROR):
            place.post(report(_DAY, entry("fabrikam.com", ok=2, lines=_ENFORCED, failed=3)))
            place.post(report(_DAY, entry("fabrikam.com", ok=2, lines=(), failed=4)))
        said = [record.getMessage() for record in caplog.records]
        assert ["cause=no-details mx='-' sessions=" in line for line in said] == [True, True]

    def test_without_a_text_the_policy_in_force_says_whether_an_mx_host_is_in_it(
        self, place: Place, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.ERROR):
            failure = ("validation-failure", "old.contoso.com", 1)
            place.post(report(_DAY, entry("fabrikam.com", lines=(), failures=[failure])))
        assert "cause=mx-not-covered" in caplog.text

    def test_each_post_is_one_line_without_control_characters(
        self, place: Place, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO, logger="policy_store.intake"):
            place.post(b"{", agent="x\r\nanswer domain=contoso.com", forwarded="\x1b", media_type="a\nb")
        (line,) = [record.getMessage() for record in caplog.records]
        assert line.startswith("report status=400 domain=- ")
        assert line.isprintable()


@contextmanager
def _slow(reports: ReportTable) -> Iterator[tuple[Event, ThreadPoolExecutor]]:
    """The table's answers are held back until the event is set."""
    go_on, add = Event(), reports.add

    def late(row: Any) -> bool:
        go_on.wait(10)
        return add(row)

    with ThreadPoolExecutor() as threads:
        reports.add = late  # type: ignore[method-assign]
        try:
            yield go_on, threads
        finally:
            go_on.set()
            del reports.add
