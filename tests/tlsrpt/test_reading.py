"""The reader takes what real senders write, and refuses what is no report with everything that is wrong."""

import base64
import gzip
import json
import zlib
from contextlib import suppress
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_store.policy import Policy
from policy_store.tlsrpt.reading import (
    LARGEST_REPORT,
    NotAReport,
    TooLarge,
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
    "half a character in UTF-16": b'\xff\xfe{\0"\0\0\xd8"\0}\0',
    "gzip three times": gzip.compress(gzip.compress(gzip.compress(report(_DAY, entry())))),
    "zlib": zlib.compress(report(_DAY, entry())),
    "base64": base64.b64encode(report(_DAY, entry())),
    "a list of reports": b"[" + report(_DAY, entry()) + b"]",
    "two reports": report(_DAY, entry()) * 2,
    "JSON with a comment": report(_DAY, entry())[:-1] + b"/* x */}",
    "Latin-1": report(_DAY, entry()).replace(b"Google Inc.", b"M\xfcller"),
    "not UTF-8": b'{"a":"\xff"}',
    "deep": b'{"a":' + b"[" * 100_000,
    "not a number": b'{"a":NaN}',
    "half a character": b'{"a":"\\ud800"}',
    "an organization that is an object": b'{"organization-name":{},' + _START + b',"policies":[]}',
}


@pytest.mark.parametrize("path", _JSON, ids=lambda path: path.name)
def test_each_real_report_is_read_and_each_sts_text_is_a_policy(path: Any) -> None:
    found = read(path.read_bytes())
    assert found.organization
    assert found.policies
    for each in found.policies:
        if each.policy.type == "sts":
            assert Policy.parse("\n".join(each.policy.lines))


class TestRefused:
    def test_every_problem_is_told(self) -> None:
        wrong = {"date-range": {"start-datetime": "x"}, "policies": [{"summary": {"total-failure-session-count": -1}}]}
        with pytest.raises(NotAReport) as refused:
            read(json.dumps(wrong).encode())
        assert [problem.partition(":")[0] for problem in refused.value.problems] == [
            "date-range.start-datetime",
            "policies[0].summary.total-failure-session-count",
        ]

    def test_twenty_problems_are_told_and_the_others_counted(self) -> None:
        wrong = {"summary": {"total-failure-session-count": -1}}
        with pytest.raises(NotAReport) as refused:
            read(report(_DAY, *[wrong] * 50))
        assert (len(refused.value.problems), refused.value.problems[-1]) == (21, "and 30 more problems")

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
            lambda plain: plain.decode().encode("utf-16-le"),
            lambda plain: gzip.compress(plain.decode().encode("utf-16-be")),
            lambda plain: b"\xfe\xff" + plain.decode().encode("utf-16-be"),
            lambda plain: plain.decode().encode("utf-32"),
            lambda plain: plain + b"\0\0",
            lambda plain: b"\r\n " + plain + b"\n\n",
        ],
        ids=[
            "gzip",
            "twice",
            "line end behind",
            "mark",
            "utf-16",
            "utf-16-le",
            "utf-16-be in gzip",
            "utf-16-be",
            "utf-32",
            "NUL behind",
            "white space",
        ],
    )
    def test_compression_and_encoding_are_seen_in_the_bytes(self, pack: Any) -> None:
        plain = report(_DAY, entry(ok=3))
        assert parse(inflated(pack(plain))) == parse(plain)
