"""The texts of the TXT records for MTA-STS and TLS reports: what is written is read, and read strictly."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_store.txt_records import RecordSyntaxError, StsRecord, TlsrptRecord, sts_records, tlsrpt_records
from tests.conftest import load_cases

_IDS = st.text(st.sampled_from("abcXYZ0189"), min_size=1, max_size=32)


class TestStsRecord:
    @given(_IDS)
    def test_what_is_written_is_read_again(self, id_: str) -> None:
        assert StsRecord.parse(StsRecord(id_).text) == StsRecord(id_)

    @pytest.mark.parametrize("case", load_cases("sts_records.json"))
    def test_a_record_is_read_strictly(self, case: dict[str, str]) -> None:
        if "id" in case:
            assert StsRecord.parse(case["text"]).id == case["id"]
            return
        with pytest.raises(RecordSyntaxError, match=re.escape(case["error"])) as caught:
            StsRecord.parse(case["text"])
        assert str(caught.value).isprintable()

    @given(st.text(max_size=60))
    def test_any_text_is_a_record_or_a_syntax_error(self, text: str) -> None:
        with suppress(RecordSyntaxError):
            assert StsRecord.parse(f"v=STSv1;{text}").id in text

    def test_only_records_that_begin_with_the_version_count(self) -> None:
        texts = ["v=spf1 -all", "v=STSv1; id=1;", "v=STSv1 ; id=2;", "v=STSv12; id=3;", "v=STSv1;"]
        assert sts_records(texts) == ["v=STSv1; id=1;", "v=STSv1;"]


class TestTlsrptRecord:
    def test_several_addresses_stand_in_one_field(self) -> None:
        record = TlsrptRecord(("mailto:tls@contoso.com", "https://reports.example/v1?key=1"))
        assert record.text == "v=TLSRPTv1; rua=mailto:tls@contoso.com,https://reports.example/v1?key=1;"
        assert TlsrptRecord.parse(record.text) == record

    def test_white_space_around_commas_and_unknown_fields_are_allowed(self) -> None:
        record = TlsrptRecord.parse("v=TLSRPTv1;rua=mailto:a@b.example , mailto:c@d.example; x=1")
        assert record.rua == ("mailto:a@b.example", "mailto:c@d.example")

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("v=TLSRPTv1", "no address"),
            ("v=TLSRPTv1; x=1", "no address"),
            ("v=TLSRPTv1; rua=", "the value of rua"),
            ("v=TLSRPTv1; rua=mailto:a@b.example,", "forbidden"),
            ("v=TLSRPTv1; rua=mailto:a@b.example; rua=mailto:c@d.example", "twice"),
            ("v=TLSRPTv1; rua=mailto:a@b.example!10m", "%21"),
            ("v=TLSRPTv1; rua=mailto:a", "neither mailto:"),
            ("v=TLSRPTv1; rua=a@b.example", "neither mailto:"),
            ("v=TLSRPTv1; rua=http://reports.example", "neither mailto:"),
            ("v=TLSRPTv1; rua=https:reports", "neither mailto:"),
            ("v=TLSRPTv1; rua=https://[", "neither mailto:"),
            ("v=TLSRPTv2; rua=mailto:a@b.example", "must begin"),
        ],
    )
    def test_a_wrong_record_is_refused_with_the_reason(self, text: str, reason: str) -> None:
        with pytest.raises(RecordSyntaxError, match=reason):
            TlsrptRecord.parse(text)

    def test_only_records_that_begin_with_the_version_count(self) -> None:
        assert tlsrpt_records(["v=TLSRPTv1; rua=mailto:a@b.c", "v=TLSRPTv1", "x"]) == ["v=TLSRPTv1; rua=mailto:a@b.c"]
