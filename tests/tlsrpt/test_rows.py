"""What is kept of a report: the domain of each entry, one key for one report, the worst failures."""

import gzip
import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_store.tables.report_row import LARGEST_RAW, ReportRow
from policy_store.tlsrpt.mails import find
from policy_store.tlsrpt.reading import NotAReport, parse
from policy_store.tlsrpt.rows import MOST_ENTRIES, MOST_FAILURES, Source, reporter_of, rows_of
from tests.tlsrpt.making import LINES, SAMPLES, entry, report, rows, yesterday

_DAY = yesterday()


class TestDomains:
    def test_only_entries_of_our_domains_are_kept(self) -> None:
        kept = rows(report(_DAY, entry("contoso.com", ok=1), entry("fabrikam.com", ok=1)), ours="contoso.com")
        assert [row.domain for row in kept] == ["contoso.com"]
        assert rows(report(_DAY, entry("fabrikam.com", ok=1)), ours="contoso.com") == []

    def test_a_domain_is_read_as_a_person_meant_it(self) -> None:
        for written in ("Contoso.COM.", " contoso.com"):
            assert rows(report(_DAY, entry(written)), ours="contoso.com")
        assert rows(report(_DAY, entry("b\u00fccher.example")), ours="xn--bcher-kva.example")

    def test_an_entry_about_an_mx_host_goes_to_the_domain_that_the_others_name(self) -> None:
        tlsa = entry("mx1.contoso.com", type_="tlsa", ok=2, lines=["3 1 1 AA"])
        nameless = entry("", type_="no-policy-found", ok=1, lines=[])
        kept = rows(report(_DAY, entry(ok=1), tlsa, nameless), ours="contoso.com")
        assert [(row.domain, row.type) for row in kept] == [
            ("contoso.com", "sts"),
            ("contoso.com", "tlsa"),
            ("contoso.com", "no-policy-found"),
        ]
        assert rows(report(_DAY, tlsa), ours="contoso.com") == []

    @pytest.mark.parametrize(
        "report_id", ["2019-04-14T00:00:00Z_contoso.com", "1335+contoso.com", "d_idx1_contoso.com"]
    )
    def test_a_report_that_names_no_domain_is_about_the_one_in_its_id(self, report_id: str) -> None:
        nameless = report(_DAY, entry("", type_="no-policy-found", lines=[]), **{"report-id": report_id})
        assert [row.domain for row in rows(nameless, ours="contoso.com")] == ["contoso.com"]

    def test_an_id_names_the_domain_of_what_else_names_only_an_mx_host_and_never_that_of_a_stranger(self) -> None:
        """As Postfix 3.10 with tlsrpt-reporter writes it for a domain without a policy, whose MX hosts have TLSA."""
        tlsa = entry("mx1.contoso.com", type_="tlsa", ok=2, lines=["3 1 1 AA"])
        nameless = entry("", type_="no-policy-found", ok=1, lines=[])
        named = {"report-id": f"{_DAY}T00:00:00Z_idx1_contoso.com"}
        kept = rows(report(_DAY, tlsa, nameless, **named), ours="contoso.com")
        assert [(row.domain, row.type) for row in kept] == [("contoso.com", "tlsa"), ("contoso.com", "no-policy-found")]
        assert rows(report(_DAY, entry("stranger.example"), **named), ours="contoso.com") == []

    def test_a_stranger_makes_us_look_for_20_domains_at_most(self) -> None:
        plain = report(_DAY, *(entry(f"d{number}.example") for number in range(500)))
        asked: list[str] = []

        def is_ours(domain: str) -> bool:
            asked.append(domain)
            return False

        assert rows_of(parse(plain), Source("https", datetime.now(UTC)), plain, is_ours) == []
        assert len(asked) == 20


class TestKeys:
    def test_a_report_has_one_key_however_it_is_written_and_sent(self) -> None:
        one = entry(ok=3, failures=[("certificate-expired", "mx1.contoso.com", 1), ("validation-failure", "mx2", 2)])
        other = json.loads(json.dumps(one, sort_keys=True))
        other["failure-details"].reverse()
        other["policy"]["policy-string"] = [f" {line} " for line in reversed(LINES)] + [""]
        other["policy"]["policy-domain"] = "CONTOSO.com."
        (first,), (second,) = rows(report(_DAY, one)), rows(gzip.compress(report(_DAY, other)), via="imported")
        assert (first.partition, first.key) == (second.partition, second.key)

    @pytest.mark.parametrize(
        "change",
        [{"ok": 4}, {"failed": 9}, {"type_": "tlsa"}, {"lines": LINES[:-1]}, {"failures": [("starttls", "mx", 1)]}],
        ids=str,
    )
    def test_what_says_something_else_has_another_key(self, change: dict[str, object]) -> None:
        (first,), (second,) = rows(report(_DAY, entry(ok=3))), rows(report(_DAY, entry(**{"ok": 3, **change})))  # type: ignore[arg-type]
        assert first.key != second.key

    def test_two_reports_of_one_day_with_the_same_counts_stay_two(self) -> None:
        (first,), (second,) = (rows(report(_DAY, entry(ok=1), **{"report-id": name})) for name in ("a", "b"))
        assert first.key != second.key

    def test_an_entry_that_stands_in_a_report_twice_counts_once(self) -> None:
        assert len(rows(report(_DAY, entry(ok=1), entry(ok=1)))) == 1

    @pytest.mark.parametrize("name", ["policy-domain", "mx-host"])
    def test_entries_about_two_mx_hosts_with_the_same_counts_stay_two(self, name: str) -> None:
        tlsa = [entry("mx0.contoso.com", type_="tlsa", ok=2, lines=["3 1 1 AA"]) for _ in range(2)]
        for number, each in enumerate(tlsa, 1):
            each["policy"][name] = f"mx{number}.contoso.com"
        kept = rows(report(_DAY, entry(ok=1), *tlsa), ours="contoso.com")
        assert [row.type for row in kept] == ["sts", "tlsa", "tlsa"]

    @pytest.mark.parametrize(
        ("contact", "organization", "reporter"),
        [
            ("smtp-tls-reporting@google.com", "Google Inc.", "google.com"),
            ("tls_support@corp.mail.ru", "Mail.ru", "mail.ru"),
            ("a@mx.example.co.uk", "", "example.co.uk"),
            ("mailto:tls@sender.example", "", "sender.example"),
            ("", "sender1.example", "sender1.example"),
            ("", "Company-X & Söhne!", "company-x-s-hne"),
            ("192.0.2.1", "", "unknown"),
            ("x@" + "a" * 300, "/\\#?\x7f", "unknown"),
        ],
    )
    def test_a_reporter_is_a_registrable_domain(self, contact: str, organization: str, reporter: str) -> None:
        assert reporter_of(contact, organization) == reporter

    def test_a_key_fits_a_table_whatever_is_written(self) -> None:
        domain = ".".join(["a" * 63] * 3 + ["b" * 61])
        (row,) = rows(
            report(_DAY, entry(domain), **{"contact-info": "/#?\\@" + "x" * 900, "organization-name": "!" * 900})
        )
        assert len(row.key) <= 400
        assert not set(row.key) & set("/\\#?")
        assert row.key.count("!") == 2


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
_PLACES = [
    (),
    *((name,) for name in ("organization-name", "date-range", "contact-info", "report-id", "policies")),
    *(("date-range", name) for name in ("start-datetime", "end-datetime")),
    *(("policies", 0, name) for name in ("policy", "summary", "failure-details")),
    *(("policies", 0, "policy", name) for name in ("policy-type", "policy-string", "policy-domain", "mx-host")),
    *(("policies", 0, "summary", f"total-{name}-session-count") for name in ("successful", "failure")),
    *(
        ("policies", 0, "failure-details", 0, name)
        for name in ("result-type", "receiving-mx-hostname", "failure-reason-code", "failed-session-count")
    ),
]


@given(st.sampled_from(_PLACES), _ANYTHING)
def test_whatever_stands_where_in_a_report_it_is_refused_or_makes_rows_that_a_table_takes(
    place: tuple[str | int, ...], value: object
) -> None:
    whole: Any = {"report": json.loads(report(_DAY, entry(ok=1, failures=[("certificate-expired", "mx1", 2)])))}
    inside = whole
    for name in ("report", *place)[:-1]:
        inside = inside[name]
    inside[("report", *place)[-1]] = value
    found = []
    with suppress(NotAReport):
        found = rows(json.dumps(whole["report"]).encode())
    for row in found:
        assert not set(row.key) & set("/\\#?\t\r\n")
        assert len(row.key) <= 512
        texts = [cell for cell in row.entity.values() if isinstance(cell, str)]
        assert all(len(text.encode("utf-16-le")) <= 65_536 for text in texts)
        assert 0 <= row.ok < 2**31
        assert 0 <= row.failed < 2**31
        assert ReportRow.read({**row.entity, "raw": row.raw}) == row


class TestContents:
    def test_failures_are_folded_and_the_worst_are_kept(self) -> None:
        harmless = [("sts-policy-fetch-error", "", 1000, f"reason {number}") for number in range(30)]
        worst = [("certificate-expired", "mx1.contoso.com", 1), ("certificate-expired", "mx1.contoso.com", 2)]
        (row,) = rows(report(_DAY, entry(failures=[*harmless, *worst])))
        assert len(row.failures) == MOST_FAILURES
        assert (row.failures[0].type, row.failures[0].sessions) == ("certificate-expired", 3)
        assert row.more == 11_000

    def test_a_failure_without_a_count_is_one_session_and_one_of_none_is_none(self) -> None:
        one = entry(failures=[("certificate-expired", "mx1", 0), ("starttls-not-supported", "mx2", 7)])
        del one["failure-details"][1]["failed-session-count"], one["summary"]
        (row,) = rows(report(_DAY, one))
        assert [(failure.mx_host, failure.sessions) for failure in row.failures] == [("mx2", 1)]
        assert row.failed == 1

    def test_entries_beyond_100_are_left_out(self) -> None:
        assert len(rows(report(_DAY, *(entry(ok=number) for number in range(150))))) == MOST_ENTRIES

    def test_the_report_itself_is_kept_once_where_it_is_small_enough(self) -> None:
        plain = report(_DAY, entry(ok=1), entry(ok=2))
        kept = rows(plain)
        assert [gzip.decompress(row.raw) if row.raw else b"" for row in kept] == [plain, b""]
        assert kept[0].whole == kept[1].whole
        failures = [
            ("certificate-expired", f"{number * 7919 % 100_003:x}.contoso.com", number) for number in range(10_000)
        ]
        (large,) = rows(report(_DAY, entry(failures=failures)))
        assert large.raw == b"" or len(large.raw) <= LARGEST_RAW

    def test_local_days_of_a_sender_fall_on_the_right_day(self) -> None:
        (found,) = find(SAMPLES / "halon.eml")
        assert {row.partition for row in rows(found.octets)} == {"20261125"}
