"""Posts that an attacker would send to the route for TLS reports, each with the status that it is worth."""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

_DOMAIN = "contoso.example"


class HostilePost(NamedTuple):
    """What is sent, and what the app has to answer."""

    name: str
    body: bytes
    status: int


def hostile_posts(now: datetime | None = None) -> Iterator[HostilePost]:
    """Each kind once; contoso.example is a domain with a policy in testing, and no other is."""
    day = ((now or datetime.now(UTC)) - timedelta(days=1)).date()

    def report(*entries: Any, **members: Any) -> bytes:
        text = {
            "organization-name": "Mallory",
            "date-range": {"start-datetime": f"{day}T00:00:00Z", "end-datetime": f"{day}T23:59:59Z"},
            "contact-info": "m@mallory.example",
            "report-id": "1",
            "policies": list(entries),
            **members,
        }
        return json.dumps(text).encode()

    def lines(text: str) -> dict[str, Any]:
        one = entry()
        one["policy"]["policy-string"] = text
        return one

    def entry(domain: str = _DOMAIN, failures: Any = ()) -> dict[str, Any]:
        return {
            "policy": {"policy-type": "sts", "policy-domain": domain, "policy-string": ["version: STSv1"]},
            "summary": {"total-successful-session-count": 1, "total-failure-session-count": 1},
            "failure-details": failures,
        }

    def failures(number: int) -> list[dict[str, Any]]:
        return [{"result-type": "certificate-expired", "receiving-mx-hostname": f"m{n}"} for n in range(number)]

    zeros = bytes(100_000_000)
    yield HostilePost("an empty body", b"", 400)
    yield HostilePost("2 MB", b"{" + b" " * 2_000_000, 413)
    yield HostilePost("gzip bomb of 100 MB", gzip.compress(zeros), 413)
    yield HostilePost("gzip bomb in gzip", gzip.compress(gzip.compress(zeros)), 413)
    yield HostilePost("gzip of many members", gzip.compress(b"{}") * 40_000, 400)
    yield HostilePost("gzip that ends early", gzip.compress(report(entry()))[:-9], 400)
    yield HostilePost("nested 500,000 deep", b'{"policies":' + b"[" * 500_000, 400)
    yield HostilePost("a number of a million digits", report(entry())[:-1] + b',"x":' + b"9" * 1_000_000 + b"}", 400)
    yield HostilePost("NaN and Infinity", b'{"policies":[{"summary":{"total-failure-session-count":NaN}}]}', 400)
    yield HostilePost("lone surrogates", report(entry(), **{"organization-name": "\ud800"}), 400)
    yield HostilePost("3.9 MB of empty arrays", gzip.compress(b'{"x":[' + b"[]," * 1_290_000 + b"[]]}"), 413)
    yield HostilePost("3.9 MB of empty objects", gzip.compress(b'{"policies":[' + b"{}," * 1_290_000 + b"{}]}"), 413)
    yield HostilePost(
        "190,000 unknown names", gzip.compress(report(entry(), x={str(n): 0 for n in range(190_000)})), 201
    )
    yield HostilePost("11,000 failures", gzip.compress(report(entry(failures=failures(11_000)))), 201)
    yield HostilePost("900 policies of strangers", report(*(entry(f"d{n}.example") for n in range(900))), 404)
    yield HostilePost("12,000 failures", gzip.compress(report(entry(failures=failures(12_000)))), 413)
    yield HostilePost("900 policies of one domain", report(*(lines(str(n)) for n in range(900))), 201)
    yield HostilePost("texts of 4 MB", gzip.compress(report(entry(), **{"report-id": "x" * 3_900_000})), 201)
    yield HostilePost("a policy of a million lines", gzip.compress(report(lines("a\n" * 1_000_000))), 201)
    yield HostilePost("texts that take two units a letter", report(lines("\U0001f512\n" * 30_000)), 201)
    yield HostilePost("lists in a text in a list", report(lines(json.dumps(["[" * 30_000, '["[]"]' * 9]))), 201)
    yield HostilePost("UTF-32 that is none", b"\0\0\0{" + b"\xff" * 999, 400)
    yield HostilePost("one name 60,000 times", report(entry())[:-1] + b',"report-id":"x"' * 60_000 + b"}", 201)
    yield HostilePost(
        "control characters and keys", report(entry("\x1b[2J/#?\\\u202e"), **{"contact-info": "/#?\\\x7f"}), 404
    )
    yield HostilePost("negative and huge counts", report({"summary": {"total-failure-session-count": -(2**63)}}), 400)
    yield HostilePost(
        "a report of 1970", report(entry(), **{"date-range": {"start-datetime": "1970-01-01T00:00:00Z"}}), 400
    )
    yield HostilePost("a report of next year", report(entry(), **{"date-range": {"start-datetime": "2099-01-01"}}), 400)
    yield HostilePost(
        "a range of a century",
        report(entry(), **{"date-range": {"start-datetime": f"{day}", "end-datetime": "2099-01-01"}}),
        400,
    )
    yield HostilePost("random bytes", b"\x1f\x8b" + bytes(range(256)) * 4000, 400)
    yield HostilePost("XML with entities", b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', 400)
