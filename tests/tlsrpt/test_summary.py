"""What reports say: no session counted twice, each failure under its cause, each text under its revision."""

from datetime import UTC, datetime, timedelta

from policy_store.policy import Policy
from policy_store.tables.history import Revision, key_of
from policy_store.tables.report_row import ReportRow
from policy_store.tlsrpt.causes import CAUSES, HEADINGS
from policy_store.tlsrpt.mails import find
from policy_store.tlsrpt.summary import Sessions, clashes, failure_groups, revision_of, sender_days, sessions
from tests.tlsrpt.making import LINES, SAMPLES, entry, report, rows, yesterday

_DAY = yesterday()


def _sample(name: str) -> list[ReportRow]:
    (found,) = find(SAMPLES / name)
    return rows(found.octets)


def _revision(mx: str, age: float, mode: str = "testing") -> Revision:
    policy = Policy.model_validate({"mode": mode, "mx": mx.split(), "max_age": 604800})
    key = key_of(datetime.now(UTC) - timedelta(days=age))
    return Revision("contoso.com", key, key, policy.text)


class TestSessions:
    def test_what_microsoft_counts_under_two_policies_counts_once(self) -> None:
        assert sessions(_sample("microsoft_tlsa-first.json")) == Sessions(7, 0)
        assert sessions(_sample("microsoft_sts-and-tlsa.eml")) == Sessions(2, 0)

    def test_two_texts_of_one_day_and_no_policy_add_up(self) -> None:
        assert sessions(_sample("google_2020_two-policies-one-day.json")) == Sessions(1, 13)

    def test_reports_of_several_senders_and_days_add_up(self) -> None:
        found = [
            row
            for day in (_DAY, _DAY - timedelta(days=1))
            for name in ("google.com", "microsoft.com")
            for row in rows(report(day, entry(ok=2), entry(ok=2, type_="tlsa"), reporter=name))
        ]
        assert sessions(found) == Sessions(8, 0)
        lines = sender_days(found, [])
        assert [(line.day, line.reporter, line.sessions.ok) for line in lines] == [
            (_DAY, "google.com", 2),
            (_DAY, "microsoft.com", 2),
            (_DAY - timedelta(days=1), "google.com", 2),
            (_DAY - timedelta(days=1), "microsoft.com", 2),
        ]


class TestRevisions:
    def test_a_text_is_matched_in_whatever_order_it_is_written(self) -> None:
        revisions = [_revision("mx1.contoso.com", 20), _revision("mx2.contoso.com mx1.contoso.com", 10)]
        (row,) = rows(report(_DAY, entry(ok=1, lines=[f"{line} " for line in LINES])))
        assert revision_of(row, revisions) == revisions[1]

    def test_of_two_revisions_with_one_text_the_last_by_then_counts(self) -> None:
        mx = "mx1.contoso.com mx2.contoso.com"
        revisions = [_revision(mx, 20), _revision("a.example", 15), _revision(mx, 10)]
        (old,) = rows(report(_DAY - timedelta(days=16), entry(ok=1)))
        (new,) = rows(report(_DAY, entry(ok=1)))
        assert (revision_of(old, revisions), revision_of(new, revisions)) == (revisions[0], revisions[2])

    def test_a_text_that_is_none_of_ours_has_no_revision(self) -> None:
        (row,) = rows(report(_DAY, entry(ok=1)))
        (fetch_error,) = _sample("mail.ru.eml")
        assert revision_of(row, [_revision("a.example", 20)]) is None
        assert revision_of(fetch_error, [_revision("a.example", 20)]) is None


class TestFailures:
    def test_they_are_grouped_by_cause_and_mx_host_and_those_that_block_come_first(self) -> None:
        failures = [("sts-policy-fetch-error", "", 9), ("certificate-expired", "mx2.contoso.com", 2)]
        found = [
            row for day in (_DAY, _DAY - timedelta(days=1)) for row in rows(report(day, entry(ok=2, failures=failures)))
        ]
        first, second = failure_groups(found, [], _DAY)
        assert (first.cause.code, first.mx_host, first.sessions, len(first.days)) == (
            "certificate-expired",
            "mx2.contoso.com",
            4,
            2,
        )
        assert second.cause.weight == "fetch"

    def test_failures_of_a_week_ago_are_over_once_sessions_of_the_same_sender_passed(self) -> None:
        expired = [("certificate-expired", "mx2.contoso.com", 2)]
        old = rows(report(_DAY - timedelta(days=8), entry(ok=2, failures=expired)))
        passed = rows(report(_DAY - timedelta(days=7), entry(ok=2)))
        others = rows(report(_DAY, entry(ok=2), reporter="microsoft.com"))
        recent = rows(report(_DAY - timedelta(days=6), entry(ok=2, failures=expired)))
        today = _DAY + timedelta(days=1)
        for found, over in (
            (old + passed, True),
            (old, False),
            (old + others, False),
            (old + recent, False),
            (recent + rows(report(_DAY, entry(ok=2))), True),
        ):
            assert [group.over for group in failure_groups(found, [], today)] == [over]
        assert not failure_groups(recent + others, [], today - timedelta(days=1))[0].over

    def test_the_causes_of_the_real_reports(self) -> None:
        causes = {
            path.name: [group.cause.code for group in failure_groups(_sample(path.name), [], _DAY)]
            for path in sorted(SAMPLES.iterdir())
            if path.name != "README.md"
        }
        assert {name: found for name, found in causes.items() if found} == {
            "google_2020_two-policies-one-day.json": ["validation-failure-without-reason"],
            "google_2024_partial.json": ["mx-not-covered"],
            "google_certificate-expired.eml": ["certificate-expired"],
            "halon.eml": ["certificate-expired"],
            "mail.ru.eml": ["sts-policy-fetch-error"],
            "microsoft_https.json": ["unknown"],
            "rfc_appendix_b.json": ["starttls-not-supported", "certificate-expired", "validation-failure"],
            "tlsrpt-reporter.eml": ["validation-failure"],
        }

    def test_every_cause_has_words_and_a_heading(self) -> None:
        for cause in CAUSES.values():
            assert cause.weight in HEADINGS
            assert cause.what
            assert cause.remedy.endswith((".", "'"))
            assert cause.source


def test_two_contents_under_one_id_are_a_clash() -> None:
    one, other = (rows(report(_DAY, entry(ok=number))) for number in (1, 2))
    assert clashes([*one, *one]) == []
    assert clashes([*one, *other]) == [("google.com", f"{_DAY}T00:00:00Z_google.com")]
    of_another_domain = rows(report(_DAY, entry(ok=1), entry(ok=2)))
    assert clashes(of_another_domain) == []
