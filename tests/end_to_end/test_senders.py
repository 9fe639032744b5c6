"""Real senders accept what is served, each by its own code, from the TXT record over verified TLS to the policy."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables import TableClient

from dev.azurite import Azurite
from policy_store.tables.history import TABLE, History
from tests.end_to_end.conftest import HostProcess
from tests.end_to_end.senders.asking import RUNNERS, SenderWorld
from tests.end_to_end.senders.names import Records

_SAMPLES = json.loads((Path(__file__).parents[2] / "dev" / "sample_policies.json").read_text(encoding="utf-8"))
_DOMAINS = [sample["domain"] for sample in _SAMPLES]


@pytest.fixture(scope="module")
def host(azurite: Azurite, start_host: Callable[[Mapping[str, str]], HostProcess]) -> HostProcess:
    return start_host({"POLICY_STORE": azurite.connection_string})


@pytest.fixture(scope="module")
def ids(azurite: Azurite) -> dict[str, str]:
    """Return the id of each sample domain's newest revision, which is what its operator puts into DNS."""
    with TableClient.from_connection_string(azurite.connection_string, TABLE) as client:
        return {domain: History(client).revisions(domain)[-1].id for domain in _DOMAINS}


@pytest.fixture(scope="module")
def records(ids: dict[str, str]) -> Records:
    policy_hosts = {f"mta-sts.{domain}": {"A": ["127.0.0.1"]} for domain in ids}
    return policy_hosts | {f"_mta-sts.{domain}": {"TXT": [f"v=STSv1; id={id_};"]} for domain, id_ in ids.items()}


@pytest.fixture(scope="module")
def world(host: HostProcess, records: Records) -> Iterator[SenderWorld]:
    with SenderWorld(records, ("127.0.0.1", host.port)) as world:
        yield world


@pytest.fixture(scope="module", params=RUNNERS)
def answers(request: pytest.FixtureRequest, world: SenderWorld) -> dict[str, dict[str, Any]]:
    """Return what one sender, in one process, found for every sample domain."""
    return world.ask(request.param, _DOMAINS)


@pytest.mark.parametrize("sample", _SAMPLES, ids=_DOMAINS)
def test_mode_mx_and_max_age_arrive_as_the_table_says(
    answers: dict[str, dict[str, Any]], sample: dict[str, Any], ids: dict[str, str]
) -> None:
    assert answers[sample["domain"]] == {
        "id": ids[sample["domain"]],
        "mode": sample["mode"],
        "mx": sample["mx"],
        "max_age": sample["max_age"],
    }


@pytest.mark.parametrize("domain", _DOMAINS)
def test_the_id_in_dns_is_the_time_of_the_revision(ids: dict[str, str], domain: str) -> None:
    assert re.fullmatch(r"20[0-9]{12}Z", ids[domain])


@pytest.mark.parametrize("sender", RUNNERS)
def test_a_certificate_for_another_name_is_refused(sender: str, host: HostProcess, records: Records) -> None:
    """The certificate is from the CA that the sender trusts, and wrong in nothing but the name."""
    domain = _DOMAINS[0]
    with SenderWorld(records, ("127.0.0.1", host.port), lambda _: "mta-sts.another.example") as world:
        answer = world.ask(sender, [domain])[domain]
    assert answer.keys() == {"error"}
    assert re.search("certificate is not valid for|does not match certificate's altnames", answer["error"])
