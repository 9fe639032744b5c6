"""The records for MTA-STS and TLS reports: which there are, as lines of a zone file and as commands."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dns.rdatatype
import dns.zone
import pytest

from policy_store.delegation import record_name
from policy_store.dns_records import DnsRecord, records_to_delegate, records_to_publish
from policy_store.names import InvalidName
from policy_store.txt_records import TlsrptRecord

_NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
_LONG = ("mailto:" + "x" * 60 + "@reports.example",) * 6


def _published(**options: Any) -> dict[tuple[str, str], str]:
    records = records_to_publish("contoso.com", **{"policy_id": "1", "not_before": _NOON, **options})
    return {(record.name, record.type): record.value for record in records}


class TestRecordsToPublish:
    def test_a_domain_has_its_records_in_its_own_zone(self) -> None:
        assert _published(app_host="app.azurewebsites.net", rua=("mailto:tls@contoso.com",)) == {
            ("mta-sts.contoso.com", "CNAME"): "app.azurewebsites.net",
            ("_mta-sts.contoso.com", "TXT"): "v=STSv1; id=1;",
            ("_smtp._tls.contoso.com", "TXT"): "v=TLSRPTv1; rua=mailto:tls@contoso.com;",
        }

    def test_what_is_not_known_is_left_out(self) -> None:
        assert _published(policy_id=None, not_before=None) == {}

    def test_a_delegated_domain_has_one_cname_and_the_providers_zone_the_id(self) -> None:
        assert _published(delegate="sts.provider.example") == {
            ("_mta-sts.contoso.com", "CNAME"): "_mta-sts.contoso.com.sts.provider.example",
            ("_mta-sts.contoso.com.sts.provider.example", "TXT"): "v=STSv1; id=1;",
        }

    def test_the_cname_of_a_delegated_domain_never_changes(self) -> None:
        before, after = (_published(policy_id=id_, delegate="sts.provider.example") for id_ in ("1", "2"))
        assert {name for name in before if before[name] != after[name]} == {
            ("_mta-sts.contoso.com.sts.provider.example", "TXT")
        }

    def test_only_the_id_has_to_wait(self) -> None:
        records = records_to_publish(
            "contoso.com", policy_id="1", not_before=_NOON, app_host="app.example", rua=("mailto:a@b.example",)
        )
        assert [record.not_before for record in records] == [None, _NOON, None]

    def test_a_name_that_dns_cannot_hold_is_refused(self) -> None:
        domain = ".".join(["a" * 60] * 4)
        with pytest.raises(InvalidName, match="253"):
            records_to_publish(domain, policy_id="1", not_before=None, delegate="sts.provider.example")

    def test_a_zone_that_does_not_hold_the_domain_is_refused(self) -> None:
        with pytest.raises(InvalidName, match=r"does not lie in the zone oso\.com"):
            _published(zone="oso.com")


class TestZoneLines:
    def test_dnspython_reads_them_as_they_were_meant(self) -> None:
        records = records_to_publish(
            "contoso.com",
            policy_id="1",
            not_before=_NOON,
            app_host="app.example",
            rua=("https://x.example/'$\\`", *_LONG),
        )
        zone = dns.zone.from_text(
            "".join(f"{record.zone_line}\n" for record in records), "contoso.com", check_origin=False, relativize=False
        )
        found = {}
        rdatas: Iterable[tuple[Any, int, Any]] = zone.iterate_rdatas()
        for name, _, rdata in rdatas:
            if rdata.rdtype == dns.rdatatype.TXT:
                assert all(len(string) <= 255 for string in rdata.strings)
                value = b"".join(rdata.strings).decode()
            else:
                value = rdata.target.to_text(omit_final_dot=True)
            found[name.to_text(omit_final_dot=True), dns.rdatatype.to_text(rdata.rdtype)] = value
        assert found == {(record.name, record.type): record.value for record in records}
        assert len(records[-1].strings) > 1


class TestAzCommands:
    def test_a_txt_record_is_replaced_whole_by_one_request(self) -> None:
        [record] = records_to_publish("contoso.com", policy_id="1", not_before=_NOON)
        words = shlex.split(record.az_command("rg"))
        assert words[:5] == ["az", "rest", "--method", "put", "--url"]
        assert words[5] == (
            "/subscriptions/{subscriptionId}/resourceGroups/rg/providers/Microsoft.Network/dnsZones/contoso.com/TXT/"
            "_mta-sts?api-version=2018-05-01"
        )
        assert json.loads(words[7]) == {"properties": {"TTL": 300, "TXTRecords": [{"value": ["v=STSv1; id=1;"]}]}}

    def test_a_name_is_relative_to_its_zone(self) -> None:
        [record] = records_to_publish("mail.contoso.com", policy_id="1", not_before=_NOON, zone="contoso.com")
        assert "/dnsZones/contoso.com/TXT/_mta-sts.mail?" in record.az_command("rg")

    def test_a_cname_is_set_in_place_of_the_old_one(self) -> None:
        command = DnsRecord("contoso.com", "contoso.com", "mta-sts.contoso.com", "CNAME", "app.example").az_command(
            "rg"
        )
        assert command == (
            "az network dns record-set cname set-record -g rg -z contoso.com -n mta-sts --ttl 300 -c app.example"
        )

    def test_a_long_text_comes_in_several_strings_and_survives_the_shell(self) -> None:
        text = TlsrptRecord(("https://x.example/$HOME'`id`", *_LONG)).text
        words = shlex.split(DnsRecord("a.example", "a.example", "_smtp._tls.a.example", "TXT", text).az_command("rg"))
        [held] = json.loads(words[-1])["properties"]["TXTRecords"]
        assert "".join(held["value"]) == text
        assert max(map(len, held["value"])) <= 255

    @pytest.mark.parametrize("start", [[], ["old"], ["old", "older"], ["a neighbour", "old"]])
    @pytest.mark.parametrize("failure", ["", "429", "409", "timeout", "timeout after it was done"])
    def test_whatever_fails_there_are_never_two_records_or_none(
        self, tmp_path: Path, start: list[str], failure: str
    ) -> None:
        """By a stand-in for az, each of whose commands fails in turn; without an answer it may have been done."""
        [record] = records_to_publish("contoso.com", policy_id="new", not_before=None)
        new = record.value
        begin = [f"v=STSv1; id={text};" if text != "a neighbour" else text for text in start]
        for step in range(4):
            world = tmp_path / f"{step}.json"
            world.write_text(json.dumps({"texts": begin, "calls": 0, "failure": failure, "step": step}))
            environment = {**os.environ, "PATH": f"{_az(tmp_path)}:{os.environ['PATH']}", "WORLD": str(world)}
            subprocess.run(["sh", "-c", record.az_command("rg")], env=environment, capture_output=True, check=False)
            after = json.loads(world.read_text())
            assert after["texts"] in (begin, [new])
            assert (after["texts"] == [new]) == (step >= after["calls"] or not failure or "done" in failure)


class TestDelegation:
    def test_a_customer_has_three_cname_records_and_the_proof_for_app_service(self) -> None:
        records = records_to_delegate(
            "contoso.com", delegate="sts.provider.example", app_host="app.example", verification_id="ABC"
        )
        assert [(record.name, record.type, record.value) for record in records] == [
            ("asuid.mta-sts.contoso.com", "TXT", "ABC"),
            ("mta-sts.contoso.com", "CNAME", "app.example"),
            ("_mta-sts.contoso.com", "CNAME", "_mta-sts.contoso.com.sts.provider.example"),
            ("_smtp._tls.contoso.com", "CNAME", "_smtp._tls.sts.provider.example"),
        ]
        assert {record.zone for record in records} == {"contoso.com"}

    def test_what_is_not_known_of_the_app_is_left_out(self) -> None:
        names = [record.name for record in records_to_delegate("contoso.com", delegate="sts.provider.example")]
        assert names == ["_mta-sts.contoso.com", "_smtp._tls.contoso.com"]

    def test_the_names_are_those_that_the_app_publishes(self) -> None:
        (_, cname, _) = records_to_delegate("contoso.com", delegate="sts.provider.example", app_host="app.example")
        assert cname.value == f"{record_name('contoso.com')}.sts.provider.example"


def _az(folder: Path) -> Path:
    """The folder of a stand-in for the Azure CLI that keeps the TXT records of one name in the file $WORLD."""
    program = folder / "bin" / "az"
    program.parent.mkdir(exist_ok=True)
    (folder / "az.py").write_text(_AZ)
    words = shlex.join([sys.executable, str(folder / "az.py")])  # a first line `#!` has no spaces in it
    program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    program.chmod(0o700)
    return program.parent


_AZ = """
import json, os, sys

world = json.load(open(os.environ["WORLD"]))
words = sys.argv[1:]
fails = world["failure"] if world["calls"] == world["step"] else ""
world["calls"] += 1
if not fails or "done" in fails:
    value = words[words.index("-v") + 1] if "-v" in words else ""
    if words[0] == "rest":
        records = json.loads(words[words.index("--body") + 1])["properties"]["TXTRecords"]
        world["texts"] = ["".join(record["value"]) for record in records]
    elif "add-record" in words:
        world["texts"].append(value)
    elif "create" in words:
        world["texts"] = []
    elif "update" in words and world["texts"]:
        world["texts"][0] = words[words.index("--set") + 1].partition("=")[2]
    elif "update" in words:
        fails = "ResourceNotFound"
json.dump(world, open(os.environ["WORLD"], "w"))
sys.exit(1 if fails else 0)
"""
