"""What `mta-sts dns show --format az` prints, run by a shell and the real Azure CLI against an Azure on loopback."""

import os
import subprocess

import pytest

from policy_store.dns_records import DnsRecord, records_to_publish
from tests.deploy.conftest import SignedIn
from tests.deploy.resource_manager import APP_HOST, Azure


@pytest.fixture
def azure(signed_in: SignedIn) -> Azure:
    """An Azure whose zone is empty."""
    signed_in[0].reset("dedicated")
    return signed_in[0]


def publish(record: DnsRecord, signed_in: SignedIn) -> None:
    """Run the command for the record, as whoever pastes it."""
    line = record.az_command("zones")
    done = subprocess.run(
        ["bash", "-c", line], env={**os.environ, **signed_in[2]}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stderr}"


def records(policy_id: str, rua: str) -> dict[str, DnsRecord]:
    """The records of contoso.com, by their names."""
    found = records_to_publish("contoso.com", policy_id=policy_id, not_before=None, app_host=APP_HOST, rua=(rua,))
    return {record.name: record for record in found}


def test_each_record_is_made_and_later_takes_the_place_of_what_is_there(azure: Azure, signed_in: SignedIn) -> None:
    """An id is exchanged in one step: at no time are there two, or none."""
    azure.names["mta-sts.contoso.com"] = {"CNAME": ["old.example"]}
    azure.names["_smtp._tls.contoso.com"] = {"TXT": ["v=TLSRPTv1; rua=mailto:old@contoso.com;"]}
    for policy_id, rua in (("20261124193000Z", "mailto:a@contoso.com"), ("20261125193000Z", "mailto:b@contoso.com")):
        azure.writes.clear()
        for record in records(policy_id, rua).values():
            publish(record, signed_in)
        assert {name: here for name, here in azure.names.items() if name != APP_HOST} == {
            "mta-sts.contoso.com": {"CNAME": [APP_HOST]},
            "_mta-sts.contoso.com": {"TXT": [f"v=STSv1; id={policy_id};"]},
            "_smtp._tls.contoso.com": {"TXT": [f"v=TLSRPTv1; rua={rua};"]},
        }
        assert sum("/_mta-sts" in write for write in azure.writes) == 1


def test_a_text_longer_than_a_string_keeps_its_order(azure: Azure, signed_in: SignedIn) -> None:
    rua = f"mailto:{'a' * 300}@contoso.com"
    publish(records("1", rua)["_smtp._tls.contoso.com"], signed_in)
    assert azure.names["_smtp._tls.contoso.com"]["TXT"] == [f"v=TLSRPTv1; rua={rua};"]
