"""DNS records as people take them over."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from policy_store.dns_records import DnsRecord, records_to_delegate, records_to_publish
from policy_store.record_texts import CSV_COLUMNS, block, csv_row, letter, state

_NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
_ZONE = "sts.provider.example"
_LONG = "a" * 60


@pytest.fixture
def records() -> list[DnsRecord]:
    host = f"{_LONG}.westeurope-01.azurewebsites.net"
    return records_to_delegate("contoso.com", delegate=_ZONE, app_host=host, verification_id="AB" * 32)


def test_type_name_and_value_have_lines_of_their_own_however_long_they_are(records: list[DnsRecord]) -> None:
    assert block(records[1]) == (
        f"Type:   CNAME\nName:   mta-sts.contoso.com\nValue:  {_LONG}.westeurope-01.azurewebsites.net"
    )
    long = DnsRecord("a.example", "a.example", f"_mta-sts.{_LONG}.{_LONG}.a.example", "TXT", "v=STSv1; id=1;", _NOON)
    assert block(long).splitlines() == [
        "Type:   TXT",
        f"Name:   _mta-sts.{_LONG}.{_LONG}.a.example",
        "Value:  v=STSv1; id=1;",
        "From:   2026-11-26 12:00 UTC",
    ]


def test_a_row_of_the_csv_has_every_column_and_comes_back_as_it_was(records: list[DnsRecord]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS)
    writer.writeheader()
    writer.writerows(csv_row(record, customer="Contoso, Ltd.", state="publish") for record in records)
    read = list(csv.DictReader(io.StringIO(text.getvalue())))
    assert read[2] == {
        "customer": "Contoso, Ltd.",
        "domain": "contoso.com",
        "zone": "contoso.com",
        "type": "CNAME",
        "name": "_mta-sts.contoso.com",
        "value": f"_mta-sts.contoso.com.{_ZONE}",
        "ttl": "300",
        "not_before": "",
        "state": "publish",
    }


def test_the_state_says_whether_there_is_something_to_do() -> None:
    (cname, txt) = records_to_publish("contoso.com", policy_id="1", not_before=_NOON, delegate=_ZONE)
    assert csv_row(txt, customer="", state="wait")["not_before"] == "2026-11-26T12:00:00Z"
    assert [state(record, _NOON, _ZONE) for record in (cname, txt)] == ["publish", "published by the app"]
    assert state(txt, _NOON - timedelta(seconds=1)) == "wait"
    assert state(txt, _NOON) == "publish"


class TestLetter:
    def test_it_has_every_record_whole_and_says_what_to_mind(self, records: list[DnsRecord]) -> None:
        text = letter(records)
        assert text.startswith("Subject: DNS records for contoso.com\n\nHello,\n")
        for record in records:
            assert f"    Name:   {record.name}\n    Value:  {record.value}\n" in text
        assert "Record 4 of 4" in text
        assert "ask us first. A CNAME" in text
        assert "leave ours out" in text

    def test_several_domains_of_a_customer_are_one_letter(self) -> None:
        domains = ("contoso.com", "fabrikam.com")
        records = [record for domain in domains for record in records_to_delegate(domain, delegate=_ZONE)]
        assert letter(records).startswith("Subject: DNS records for 2 domains\n")

    def test_its_lines_fit_a_mail_but_for_names_and_values(self, records: list[DnsRecord]) -> None:
        lines = letter(records).splitlines()
        assert max(len(line) for line in lines if not line.startswith("    ")) <= 88
