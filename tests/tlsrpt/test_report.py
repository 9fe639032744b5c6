"""A report is what its sender meant by it, however the keys and values are written."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from policy_store.tlsrpt.reading import NotAReport, read
from policy_store.tlsrpt.report import Report
from tests.tlsrpt.making import LINES, entry, report

_DAY = date(2026, 11, 25)


def _with(**changes: Any) -> Report:
    """A report with other members than usual."""
    return read(report(_DAY, entry(ok=1), **changes))


def _range(start: object, end: object = None) -> dict[str, object]:
    return {"date-range": {"start-datetime": start, "end-datetime": end}}


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

    @pytest.mark.parametrize(
        ("known", "written"),
        [
            ("policy-domain", "Policy_Domain"),
            ("date-range", "DATE-RANGE"),
            ("policies", " policies "),
            ("policy-type", "policyType"),
            ("summary", "Summary"),
            ("total-successful-session-count", "total-successful-sessions-count"),
            ("total-failure-session-count", "total-failed-session-count"),
            ("result-type", "resultType"),
            ("failed-session-count", "failed-sessions-count"),
            ("failure-details", "failure_detail"),
        ],
    )
    def test_a_misspelt_key_loses_nothing(self, known: str, written: str) -> None:
        plain = report(_DAY, entry(ok=3, failures=[("certificate-expired", "mx1.contoso.com", 2)]))
        assert read(plain.replace(f'"{known}"'.encode(), f'"{written}"'.encode())) == read(plain)

    @pytest.mark.parametrize("nothing", [None, "", []])
    @pytest.mark.parametrize("name", ["policy", "summary", "failure-details"])
    def test_null_an_empty_text_and_an_empty_list_are_absent(self, name: str, nothing: object) -> None:
        one = entry(ok=1)
        one[name] = nothing
        without = {key: value for key, value in one.items() if key != name}
        assert read(report(_DAY, one)) == read(report(_DAY, without))

    @pytest.mark.parametrize("nothing", [None, ""])
    @pytest.mark.parametrize("name", ["date-range", "policies"])
    def test_what_is_required_and_null_is_missing(self, name: str, nothing: object) -> None:
        with pytest.raises(NotAReport, match=f"{name}: Field required"):
            _with(**{name: nothing})

    def test_a_value_that_stands_in_a_list_of_its_own_is_that_value(self) -> None:
        one = entry(ok=3, failures=[("certificate-expired", "mx1.contoso.com", 2)])
        other = json.loads(json.dumps(one))
        for part in (other["policy"], other["summary"], other["failure-details"][0]):
            for name, value in part.items():
                if name != "policy-string":
                    part[name] = [value]
        id_in_a_list: Any = {"report-id": ["1"]}
        assert read(report(_DAY, other, **id_in_a_list)) == read(report(_DAY, one, **{"report-id": "1"}))

    @pytest.mark.parametrize(
        "written",
        [
            "\r\n".join(LINES),
            "\n".join(LINES) + "\n",
            "\\r\\n".join(LINES),
            [" " + line + " " for line in LINES] + ["", None],
            [list(LINES)],
            json.dumps(LINES),
            [json.dumps(LINES)],
            ["\r\n".join(LINES)],
        ],
        ids=["CRLF", "LF", "escaped", "spaces", "list in list", "JSON", "JSON in a list", "one text in a list"],
    )
    def test_a_policy_is_its_lines_whatever_they_are_packed_into(self, written: object) -> None:
        one = entry()
        one["policy"]["policy-string"] = written
        assert read(report(_DAY, one)).policies[0].policy.lines == LINES

    def test_brackets_that_are_no_list_are_a_line(self) -> None:
        one = entry(lines=["[half", "[" * 10_000, '[{"a": 1}]'])
        assert read(report(_DAY, one)).policies[0].policy.lines[0] == "[half"

    def test_the_largest_policy_that_a_row_can_keep_is_read_whole(self) -> None:
        lines = [f"mx: {number:027}.example" for number in range(800)]
        assert read(report(_DAY, entry(lines=lines))).policies[0].policy.lines == tuple(lines)

    @pytest.mark.parametrize("count", [-1, 7.5, 2**31, 2**64, 1e300, "seven", "1,234", {}])
    def test_what_is_no_number_of_sessions_is_a_problem_with_its_place(self, count: object) -> None:
        one = entry(failures=[("certificate-expired", "mx1.contoso.com", 2)])
        one["summary"]["total-failure-session-count"] = one["failure-details"][0]["failed-session-count"] = count
        with pytest.raises(NotAReport) as refused:
            read(report(_DAY, one))
        assert [problem.partition(":")[0] for problem in refused.value.problems] == [
            "policies[0].summary.total-failure-session-count",
            "policies[0].failure-details[0].failed-session-count",
        ]

    def test_of_a_name_that_stands_twice_the_last_counts(self) -> None:
        """RFC 7493 forbids it, RFC 8259 leaves it open; readers of JSON take the last."""
        plain = report(_DAY, entry(ok=2))
        twice = plain.replace(b'"total-successful-session-count": 2', b'"total-successful-session-count": 9, \\0')
        twice = twice.replace(b"\\0", b'"total-successful-session-count": 2')
        assert read(twice) == read(plain)

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
            (1795564800.5, None),
            (1795564800000, 1795651199000),
            ("1795564800", "1795651199"),
            # zones in every way to write them, and an end that is none
            ("2026-11-25T00:00:00+0000", ""),
            ("2026-11-25T00:00:00 +00:00", None),
            ("2026-11-25T00:00:00-00:00", None),
            ("2026-11-25T00:00:00 UTC", None),
            ("2026-11-25T00:00:00GMT", None),
            ("2026-11-25 00:00:00 +0000 UTC", "2026-11-25 23:59:59 +0000 UTC"),
            ("2026-11-25 01:00:00 +0100 CET", None),
            ("2026-11-25T01:00:00+01:00[Europe/Berlin]", None),
            ("2026-11-24T23:00:00\N{MINUS SIGN}01:00", None),
            ("2026-11-25T05:30:00+05:30", "2026-11-26T05:29:59+05:30"),
            ("20261125T000000Z", None),
            ("2026-11-25", None),
            ("2026-11-25T00:00:00.123456789Z", None),
            (["2026-11-25T00:00:00Z"], None),
        ],
        ids=repr,
    )
    def test_every_way_to_write_a_day_is_that_day(self, start: object, end: object) -> None:
        assert _with(**_range(start, end)).range.day == _DAY

    @pytest.mark.parametrize(
        ("start", "end", "problem"),
        [
            ("2026-11-25T00:00:00EST", None, "is not a date and time"),
            ("2026-11-25T00:00:00+25:00", None, "is not a date and time"),
            (["2026-11-25", "2026-11-26"], None, "date-range.start-datetime"),
            (1e300, None, "date-range.start-datetime"),
            ("9" * 100_000, None, "is not a date and time"),
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
