"""What the command finds where a store is at hand: DNS and the policy host of a domain beside what its row says."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableServiceClient

from dev.azurite import Azurite
from policy_store.cli.session import open_store
from policy_store.policy import Policy
from policy_store.sender.rules import RULES
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.history import Revision
from policy_store.tables.policies import TABLE as POLICY_TABLE
from policy_store.tables.store import Store
from tests.lab.situation import Situation, load
from tests.lab.test_situations import check
from tests.lab.world import World

_STORE_CODES = {"row_missing", "row_differs", "id_old", "id_unknown", "store_unreachable"}
_NOWHERE = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=Yg==;TableEndpoint=http://127.0.0.1:1/a;"


@pytest.fixture(scope="module")
def store(azurite: Azurite) -> Iterator[Store]:
    """Two empty tables."""
    with TableServiceClient.from_connection_string(azurite.connection_string) as service:
        for name in (POLICY_TABLE, HISTORY_TABLE):
            with suppress(ResourceNotFoundError):
                service.delete_table(name)
            service.create_table(name)
        yield open_store(azurite.connection_string)


def served(domain: str, max_age: int = 1209600) -> Policy:
    """What the policy host of a situation serves; with another `max_age` what it does not serve."""
    return Policy(mode="enforce", mx=(f"mx.{domain}",), max_age=max_age)


def put(store: Store, domain: str, *policies: Policy) -> list[Revision]:
    """Put one policy after the other in force; the revisions."""
    row = None
    for policy in policies:
        row = store.policies.replace(domain, row.etag, policy) if row else store.policies.add(domain, policy)
        store.history.record(row, store.policies, by="test")
    return store.history.revisions(domain)


def situation(name: str, policy_id: str) -> Situation:
    """A good domain that shows this id."""
    return Situation(
        name=name,
        source="RFC 8461 section 3.1: the id tells senders to fetch again",
        dns={"_mta-sts": {"TXT": [f"v=STSv1; id={policy_id};"]}},
        verdict="verified",
        if_enforced="verified",
        findings=frozenset(),
    )


def codes(answers: list[dict[str, Any]]) -> dict[str, set[str]]:
    """Domain -> the codes found."""
    return {answer["domain"]: {finding["code"] for finding in answer["findings"]} for answer in answers}


@pytest.fixture(scope="module")
def found(azurite: Azurite, store: Store) -> list[dict[str, set[str]]]:
    """The codes found of some domains with a store, and with one that cannot be reached."""
    (newest,) = put(store, "as-the-row-says.example", served("as-the-row-says.example"))
    older, _ = put(store, "id-old.example", served("id-old.example", 86400), served("id-old.example"))
    put(store, "id-unknown.example", served("id-unknown.example"))
    (other,) = put(store, "row-differs.example", served("row-differs.example", 86400))
    situations = [
        situation("as-the-row-says", newest.id),
        situation("id-old", older.id),
        situation("id-unknown", "1"),
        situation("row-differs", other.id),
        situation("row-missing", "1"),
        situation("wrong", "-"),
    ]
    domains = [each.domain for each in situations]
    with World(situations) as world, ThreadPoolExecutor() as threads:

        def ask(address: str) -> dict[str, set[str]]:
            return codes(check(world, domains, "allow_private", f"--store={address}"))

        return list(threads.map(ask, [azurite.connection_string, _NOWHERE]))


def test_dns_and_the_policy_host_are_held_against_the_store(found: list[dict[str, set[str]]]) -> None:
    assert found[0] == {
        "as-the-row-says.example": set(),
        "id-old.example": {"id_old"},
        "id-unknown.example": {"id_unknown"},
        "row-differs.example": {"row_differs"},
        "row-missing.example": {"row_missing"},
        "wrong.example": {"row_missing", "txt_syntax"},
    }


def test_a_store_that_cannot_be_reached_is_a_finding_beside_the_others(found: list[dict[str, set[str]]]) -> None:
    assert found[1]["as-the-row-says.example"] == {"store_unreachable"}
    assert found[1]["wrong.example"] == {"store_unreachable", "txt_syntax"}


def test_every_code_of_the_checker_occurs_in_the_lab() -> None:
    found = {code for each in load() for code in each.findings}
    assert set(RULES) - found == _STORE_CODES
