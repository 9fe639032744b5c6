"""The reader takes what real senders write, and refuses what is no report with everything that is wrong."""

import gzip
import json
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_store.policy import Policy
from policy_store.tlsrpt.reading import (
    LARGEST_REPORT,
    LONGEST_TEXT,
    NotAReport,
    Report,
    TooLarge,
    clean,
    inflated,
    parse,
    read,
)
from tests.tlsrpt.making import SAMPLES, entry, report

_DAY = date(2026, 11, 25)
_JSON = sorted(path for path in SAMPLES.iterdir() if path.suffix in (".json", ".gz"))
_START = b'"date-range":{"start-datetime":"2026-11-25T00:00:00Z"}'
_NO_REPORTS = {
    "nothing": b"",
    "null": b"null",
    "an array": b"[]",
    "half": b"{",
    "an empty object": b"{}",
    "a range that is a list": b'{"date-range":[],"policies":[]}',
    "no policies": b"{" + _START + b"}",
    "policies that are a text": b"{" + _START + b',"policies":"none"}',
    "a DMARC report": b'<?xml version="1.0"?><feedback/>',
    "the beginning of gzip": b"\x1f\x8b",
    "broken gzip": b"\x1f\x8b\x08broken",
    "an empty object in gzip": gzip.compress(b"{}"),
    "gzip that ends early": gzip.compress(report(_DAY, entry()))[:-9],
    "two files in gzip": gzip.compress(report(_DAY, entry())) * 2,
    "half of UTF-16": b"\xff\xfe{",
    "not UTF-8": b'{"a":"\xff"}',
    "deep": b'{"a":' + b"[" * 100_000,
    "not a number": b'{"a":NaN}',
    "half a character": b'{"a":"\\ud800"}',
    "an organization that is an object": b'{"organization-name":{},' + _START + b',"policies":[]}',
}


def _with(**changes: Any) -> Report:
    """A report with other members than usual."""
    return read(report(_DAY, entry(ok=1), **changes))


def _range(start: object, end: object = None) -> dict[str, object]:
    return {"date-range": {"start-datetime": start, "end-datetime": end}}


@pytest.mark.parametrize("path", _JSON, ids=lambda path: path.name)
def test_each_real_report_is_read_and_each_sts_text_is_a_policy(path: Any) -> None:
    found = read(path.read_bytes())
    assert found.organization
    assert found.policies
    for each in found.policies:
        if each.policy.type == "sts":
            assert Policy.parse("\n".join(each.policy.lines))


class TestKeys:
    def test_only_a_date_range_and_policies_are_required(self) -> None:
        found = read(b'{"date-range":{"start-datetime":"2026-11-25T00:00:00Z"},"policies":[{}]}')
        assert (found.organization, found.contact, found.id) == ("", "", "")
        assert found.range.until == datetime(2026, 11, 26, tzinfo=UTC)
        assert (found.policies[0].policy.type, found.policies[0].summary.ok) == ("", 0)

    def test_null_is_absent(self) -> None:
        each = {"policy": None, "summary": None, "failure-details": None}
        found = read(
            report(_DAY, None, each, **{"contact-info": None, "organization-name": None, "report-id": None})  # type: ignore[arg-type]
        )
        assert (found.organization, found.contact, found.id, len(found.policies)) == ("", "", "", 1)
        nulls = {
            "policy": {"policy-type": None, "policy-string": None, "policy-domain": None},
            "summary": {"total-successful-session-count": None},
            "failure-details": [None, {"result-type": None, "failed-session-count": None}],
        }
        (one,) = read(report(_DAY, nulls)).policies
        assert (one.policy.lines, one.summary.ok, len(one.details)) == ((), 0, 1)

    def test_a_string_is_a_list_and_so_is_one_object(self) -> None:
        text = "version: STSv1\r\nmode: testing\r\nmx: mx.contoso.com \r\nmax_age: 86400\r\n"
        one = entry(failures=[("certificate-expired", "mx.contoso.com", 1)])
        one["policy"]["policy-string"] = text
        (one["failure-details"],) = one["failure-details"]
        found = read(report(_DAY, policies=one))
        assert found.policies[0].policy.lines == (
            "version: STSv1",
            "mode: testing",
            "mx: mx.contoso.com",
            "max_age: 86400",
        )
        assert found.policies[0].details[0].type == "certificate-expired"

    @pytest.mark.parametrize(
        "key", ["receiving-mx-hostname", "receiving-mx-host-name", "receiving_mx_hostname", "receivingMxHostname"]
    )
    def test_keys_are_known_in_the_spellings_of_senders(self, key: str) -> None:
        one = entry()
        one["failure-details"] = [{key: "MX1.Contoso.com.", "result_type": "CERTIFICATE_EXPIRED"}]
        (detail,) = read(report(_DAY, one)).policies[0].details
        assert (detail.mx_host, detail.type) == ("mx1.contoso.com", "certificate-expired")

    def test_unknown_types_and_members_are_kept_or_left_out_but_never_refused(self) -> None:
        one = entry(type_="Something-New", failures=[("also-new", "mx", 1)])
        found = read(report(_DAY, one, extra={"deep": [1, 2, {"a": None}]}))
        assert found.policies[0].policy.type == "something-new"
        assert found.policies[0].details[0].type == "also-new"

    def test_policies_may_be_empty(self) -> None:
        assert read(report(_DAY)).policies == []

    def test_a_number_may_be_a_text_and_a_text_a_number(self) -> None:
        one = entry()
        one["summary"] = {"total-successful-session-count": "7", "total-failure-count": 2.0}
        found = read(report(_DAY, one, **{"report-id": 12}))  # type: ignore[arg-type]
        assert (found.id, found.policies[0].summary.ok, found.policies[0].summary.failed) == ("12", 7, 2)


class TestDays:
    @pytest.mark.parametrize(
        ("start", "end"),
        [
            ("2026-11-25T00:00:00Z", "2026-11-25T23:59:59Z"),
            ("2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"),
            ("2026-11-25T00:00:00Z", "2026-11-25T24:00:00Z"),
            ("2026-11-25T00:00:00Z", "2026-11-25T23:59:60Z"),
            ("2026-11-25T00:00:00", "2026-11-25T23:59:59"),
            ("2026-11-25 00:00:00", None),
            ("2026-11-25t00:00:00z", None),
            (" 2026-11-25T00:00:00.000Z ", None),
            ("2026-11-25T01:00:00+01:00", "2026-11-26T00:59:59+01:00"),
            # the UTC day in local time, labelled Z: Berlin, New York, Auckland's winter, Honolulu
            ("2026-11-25T01:00:00Z", "2026-11-26T00:59:59Z"),
            ("2026-11-24T19:00:00Z", "2026-11-25T18:59:59Z"),
            ("2026-11-25T11:59:00Z", "2026-11-26T11:58:59Z"),
            ("2026-11-24T14:00:00Z", "2026-11-25T13:59:59Z"),
            # an hour, and a day of its own from the first session on
            ("2026-11-25T23:00:00Z", "2026-11-25T23:59:59Z"),
            ("2026-11-25T08:15:00Z", "2026-11-26T08:15:00Z"),
            (1795564800, 1795651199),
        ],
    )
    def test_every_way_to_write_a_day_is_that_day(self, start: object, end: object) -> None:
        assert _with(**_range(start, end)).range.day == _DAY

    @pytest.mark.parametrize(
        ("start", "end", "problem"),
        [
            ("yesterday", None, "'yesterday' is not a date and time"),
            ("2026-11-25T00:00:00Z", "2026-11-24T00:00:00Z", "it ends before it begins"),
            ("0001-01-01T00:00:00+14:00", None, "a time of this century"),
            ("9999-12-31T00:00:00Z", None, "a time of this century"),
            (True, None, "date-range.start-datetime"),
            (None, None, "date-range.start-datetime"),
            (10**400, None, "date-range.start-datetime"),
        ],
    )
    def test_what_is_no_time_is_a_problem(self, start: object, end: object, problem: str) -> None:
        with pytest.raises(NotAReport, match=problem):
            _with(**_range(start, end))


class TestRefused:
    def test_every_problem_is_told(self) -> None:
        wrong = {"date-range": {"start-datetime": "x"}, "policies": [{"summary": {"total-failure-session-count": -1}}]}
        with pytest.raises(NotAReport) as refused:
            read(json.dumps(wrong).encode())
        assert [problem.partition(":")[0] for problem in refused.value.problems] == [
            "date-range.start-datetime",
            "policies[0].summary.total-failure-session-count",
        ]

    @pytest.mark.parametrize("name", _NO_REPORTS)
    def test_what_is_no_report_is_refused(self, name: str) -> None:
        with pytest.raises(NotAReport) as refused:
            read(_NO_REPORTS[name])
        assert refused.value.problems
        assert all(problem.isprintable() and len(problem) < 500 for problem in refused.value.problems)

    @pytest.mark.parametrize(
        "octets",
        [
            gzip.compress(bytes(100_000_000)),
            gzip.compress(gzip.compress(bytes(100_000_000))),
            b"{" + b" " * LARGEST_REPORT,
            b'{"a":[' + b"{}," * 40_000 + b"{}]}",
            b'{"a":[' + b"0," * 400_000 + b"0]}",
        ],
        ids=["bomb", "bomb in gzip", "long", "objects", "values"],
    )
    def test_what_is_larger_than_any_real_report_is_refused_before_it_is_read(self, octets: bytes) -> None:
        with pytest.raises(TooLarge):
            read(octets)

    def test_ten_thousand_failures_are_taken(self) -> None:
        one = entry(failures=[("certificate-expired", f"mx{number}.contoso.com", 1) for number in range(10_000)])
        assert len(read(report(_DAY, one)).policies[0].details) == 10_000

    @given(st.binary(max_size=200))
    def test_whatever_bytes_come_it_reads_or_refuses(self, octets: bytes) -> None:
        for each in (octets, b"{" + octets, gzip.compress(octets)):
            with suppress(NotAReport):
                read(each)


class TestBytes:
    @pytest.mark.parametrize(
        "pack",
        [
            gzip.compress,
            lambda plain: gzip.compress(gzip.compress(plain)),
            lambda plain: gzip.compress(plain) + b"\r\n",
            lambda plain: b"\xef\xbb\xbf" + plain,
            lambda plain: plain.decode().encode("utf-16"),
            lambda plain: b"\r\n " + plain + b"\n\n",
        ],
        ids=["gzip", "twice", "line end behind", "mark", "utf-16", "white space"],
    )
    def test_compression_and_encoding_are_seen_in_the_bytes(self, pack: Any) -> None:
        plain = report(_DAY, entry(ok=3))
        assert parse(inflated(pack(plain))) == parse(plain)

    def test_texts_lose_what_a_terminal_or_a_page_would_obey_and_are_cut(self) -> None:
        found = _with(**{"organization-name": "\x1b[31mred\u202e\u2028\n\0<b>" + "x" * 10_000})
        assert found.organization.startswith("[31mred")
        assert found.organization.isprintable()
        assert len(found.organization) == LONGEST_TEXT
        assert clean("  B\u00fccher \t\r\n GmbH ") == "B\u00fccher GmbH"

    @given(st.text(max_size=400))
    def test_a_clean_text_is_one_printable_line(self, text: str) -> None:
        cleaned = clean(text)
        assert len(cleaned) <= LONGEST_TEXT
        assert not any(letter in cleaned for letter in "\r\n\x1b\0\u2028")
        assert clean(cleaned) == cleaned
