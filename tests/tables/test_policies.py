"""The table `policies`: reading rows as people write them, conditional writes, and listing."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.data.tables import EdmType, EntityProperty, TableClient

from dev.azurite import Azurite
from policy_store.names import InvalidName
from policy_store.policy import Policy
from policy_store.settings import Settings
from policy_store.tables.connection import open_table
from policy_store.tables.policies import PolicyTable, RowChanged, RowExists
from policy_store.tables.row import InvalidRow, Row
from tests.conftest import load_cases

_ROOT = Path(__file__).parents[2]
_POLICY = Policy(mode="testing", mx=("mx.contoso.com",), max_age=604800)
_OTHER = Policy(mode="enforce", mx=("*.contoso.com",), max_age=86400)


def _write(client: TableClient, cells: Mapping[str, Any], domain: str = "contoso.com", row_key: str = "policy") -> None:
    typed = {
        column: EntityProperty(cell[1], EdmType(cell[0])) if isinstance(cell, list) else cell
        for column, cell in cells.items()
    }
    client.upsert_entity({"PartitionKey": domain, "RowKey": row_key, **typed})


class TestGet:
    @pytest.mark.parametrize("case", load_cases("forgiven_rows.json"))
    def test_forgives(self, case: dict[str, Any], policies: PolicyTable, policies_client: TableClient) -> None:
        """Whatever has one meaning only is read as that."""
        _write(policies_client, case["cells"])
        row = policies.get("contoso.com")
        assert row is not None
        assert row.domain == "contoso.com"
        assert row.policy.model_dump(mode="json") == case["policy"]
        assert row.note == case.get("note", "")
        assert row.others == case.get("others", {})

    @pytest.mark.parametrize("case", load_cases("invalid_rows.json"))
    def test_refuses(self, case: dict[str, Any], policies: PolicyTable, policies_client: TableClient) -> None:
        """Everything else is an InvalidRow: on one line every wrong column, its value and what is allowed."""
        domain, row_key = case.get("keys", ["contoso.com", "policy"])
        _write(policies_client, case["cells"], domain, row_key)
        if "keys" in case:
            (invalid,) = policies.rows()
            assert isinstance(invalid, InvalidRow)
            assert not invalid.reachable
            assert policies.get("contoso.com") is None
        else:
            with pytest.raises(InvalidRow) as caught:
                policies.get("contoso.com")
            invalid = caught.value
            assert invalid.reachable
        assert (invalid.domain, invalid.row_key) == (domain, row_key)
        assert [(problem.column, problem.value) for problem in invalid.problems] == [
            (column, value) for column, value, _ in case["problems"]
        ]
        for problem, (column, value, allowed) in zip(invalid.problems, case["problems"], strict=True):
            assert allowed in problem.message
            assert f"{column} is {value}: {problem.message}" in str(invalid)
        assert len(str(invalid).splitlines()) == 1

    def test_version(self, policies: PolicyTable, policies_client: TableClient) -> None:
        """A row carries its ETag and its Timestamp in UTC, valid or not."""
        _write(policies_client, {"mode": "none", "max_age": 1})
        row = policies.get("contoso.com")
        assert row is not None
        assert row.modified.tzinfo is UTC
        assert abs(datetime.now(UTC) - row.modified) < timedelta(minutes=1)
        assert row.etag == policies_client.get_entity("contoso.com", "policy").metadata["etag"]
        _write(policies_client, {"mode": "on"})
        with pytest.raises(InvalidRow) as caught:
            policies.get("contoso.com")
        assert caught.value.etag not in ("", row.etag)
        assert caught.value.modified >= row.modified

    def test_no_row(self, policies: PolicyTable) -> None:
        """A domain without a row has no policy."""
        assert policies.get("contoso.com") is None

    def test_no_table(self, policies: PolicyTable, policies_client: TableClient) -> None:
        """A missing table is a failure, not a missing row."""
        policies_client.delete_table()
        with pytest.raises(ResourceNotFoundError, match="TableNotFound"):
            policies.get("contoso.com")


class TestAdd:
    def test_writes_the_row(self, policies: PolicyTable, policies_client: TableClient) -> None:
        """The row that comes back is the one written, with its version, in the documented columns."""
        row = policies.add("contoso.com", _POLICY, "hello")
        assert row == policies.get("contoso.com")
        assert (row.policy, row.note) == (_POLICY, "hello")
        assert dict(policies_client.get_entity("contoso.com", "policy")) == {
            "PartitionKey": "contoso.com",
            "RowKey": "policy",
            "mode": "testing",
            "mx": "mx.contoso.com",
            "max_age": 604800,
            "note": "hello",
        }

    def test_keeps_the_row_that_is_there(self, policies: PolicyTable) -> None:
        """A domain that has a row keeps it."""
        policies.add("contoso.com", _POLICY)
        with pytest.raises(RowExists, match=r"contoso\.com has a row already"):
            policies.add("contoso.com", _OTHER)
        row = policies.get("contoso.com")
        assert row is not None
        assert row.policy == _POLICY

    def test_keeps_an_invalid_row_that_is_there(self, policies: PolicyTable, policies_client: TableClient) -> None:
        """A broken row is somebody's too."""
        _write(policies_client, {"mode": "on"})
        with pytest.raises(RowExists):
            policies.add("contoso.com", _POLICY)

    @pytest.mark.parametrize("domain", ["contoso.com.", "münchen.example", "a/b", ""])
    def test_writes_no_unreachable_row(self, policies: PolicyTable, domain: str) -> None:
        """A name that no request asks for gets no row."""
        with pytest.raises(InvalidName):
            policies.add(domain, _POLICY)
        assert list(policies.rows()) == []

    def test_no_table(self, policies: PolicyTable, policies_client: TableClient) -> None:
        """A missing table is neither RowExists nor RowChanged."""
        policies_client.delete_table()
        with pytest.raises(ResourceNotFoundError, match="TableNotFound"):
            policies.add("contoso.com", _POLICY)


class TestReplace:
    def test_writes_the_row_anew(self, policies: PolicyTable, policies_client: TableClient) -> None:
        """Every cell that people spelt their way is gone; those of `others` are kept with their types."""
        counter = {"owner": "ann", "ticket": ["Edm.Int64", 2**40]}
        _write(policies_client, {"Mode": "testing", "MX": "mx.contoso.com", "MaxAge": "604800", **counter})
        row = policies.get("contoso.com")
        assert row is not None
        replaced = policies.replace("contoso.com", row.etag, _OTHER, others=row.others)
        assert replaced == policies.get("contoso.com")
        assert (replaced.policy, replaced.note, replaced.others) == (_OTHER, "", row.others)
        assert set(policies_client.get_entity("contoso.com", "policy")) == {
            *("PartitionKey", "RowKey", "mode", "mx", "max_age", "owner", "ticket")
        }

    def test_another_edit_in_between(self, policies: PolicyTable) -> None:
        """Of two edits of one version the second is refused and changes nothing."""
        row = policies.add("contoso.com", _POLICY)
        newer = policies.replace("contoso.com", row.etag, _OTHER)
        with pytest.raises(RowChanged, match=r"contoso\.com was changed by somebody else"):
            policies.replace("contoso.com", row.etag, _POLICY)
        assert policies.get("contoso.com") == newer

    def test_a_removal_in_between(self, policies: PolicyTable) -> None:
        """A row that is gone is not brought back."""
        row = policies.add("contoso.com", _POLICY)
        policies.delete("contoso.com", row.etag)
        with pytest.raises(RowChanged):
            policies.replace("contoso.com", row.etag, _OTHER)
        assert policies.get("contoso.com") is None

    def test_no_table(self, policies: PolicyTable, policies_client: TableClient) -> None:
        """A missing table is not RowChanged."""
        row = policies.add("contoso.com", _POLICY)
        policies_client.delete_table()
        with pytest.raises(ResourceNotFoundError, match="TableNotFound"):
            policies.replace("contoso.com", row.etag, _OTHER)


class TestDelete:
    def test_deletes_the_version(self, policies: PolicyTable) -> None:
        """The version that was seen is deleted."""
        policies.delete("contoso.com", policies.add("contoso.com", _POLICY).etag)
        assert policies.get("contoso.com") is None

    def test_keeps_another_version(self, policies: PolicyTable) -> None:
        """A version that nobody saw is kept."""
        row = policies.add("contoso.com", _POLICY)
        newer = policies.replace("contoso.com", row.etag, _OTHER)
        with pytest.raises(RowChanged):
            policies.delete("contoso.com", row.etag)
        assert policies.get("contoso.com") == newer

    def test_a_row_that_is_gone(self, policies: PolicyTable) -> None:
        """Two people who delete the same version both have what they want."""
        row = policies.add("contoso.com", _POLICY)
        policies.delete("contoso.com", row.etag)
        policies.delete("contoso.com", row.etag)
        assert policies.get("contoso.com") is None


class TestRows:
    def test_more_than_a_page(self, policies: PolicyTable, policies_client: TableClient) -> None:
        """All rows come in the order of their keys, over the 1,000 of a page, the invalid ones in their places: rows
        with cells that hold no policy, and those under keys that no request asks for.
        """
        domains = [f"d{number:02}.example" for number in range(60)]
        for number, domain in enumerate(domains):
            mode = "on" if number % 10 == 7 else "none"
            others = range(99) if number < 10 else ()  # as many rows as a transaction may write
            policies_client.submit_transaction(
                ("create", {"PartitionKey": domain, "RowKey": key, "mode": mode, "max_age": number})
                for key in (*(f"p{other:02}" for other in others), "policy")
            )
        rows = list(policies.rows())
        assert len(rows) == 1050
        keys = [(row.domain, row.row_key if isinstance(row, InvalidRow) else "policy") for row in rows]
        assert keys == sorted(keys)
        found = [row for row in rows if isinstance(row, Row) or row.reachable]
        assert [row.domain for row in found] == domains
        assert [number for number, row in enumerate(found) if isinstance(row, InvalidRow)] == list(range(7, 60, 10))
        assert all(row.policy.max_age == number for number, row in enumerate(found) if isinstance(row, Row))
        assert [row.domain for row in policies.rows(after=domains[20])] == domains[21:]

    def test_none(self, policies: PolicyTable) -> None:
        """An empty table has no rows."""
        assert list(policies.rows()) == []

    def test_no_table(self, policies: PolicyTable, policies_client: TableClient) -> None:
        """A missing table is not an empty one."""
        policies_client.delete_table()
        with pytest.raises(HttpResponseError, match="TableNotFound"):
            list(policies.rows())


class TestOpenTable:
    def test_reads_and_writes(self, azurite: Azurite, new_table: Callable[[], TableClient]) -> None:
        """The client of a connection string works on the table named."""
        name = new_table().table_name
        with open_table(Settings.read({"POLICY_STORE": azurite.connection_string}), name) as client:
            row = PolicyTable(client).add("contoso.com", _POLICY)
            assert PolicyTable(client).get("contoso.com") == row

    def test_a_cold_start_imports_no_identity(self, azurite: Azurite) -> None:
        """With a connection string neither azure-identity nor msal is imported: each costs a cold start dearly."""
        program = (
            "import sys, function_app; from policy_store.settings import Settings; "
            "from policy_store.tables.connection import open_table; "
            "from policy_store.tables.policies import PolicyTable; "
            f"open_table(Settings.read({{'POLICY_STORE': {azurite.connection_string!r}}})); "
            "print([name for name in sys.modules if name.startswith(('azure.identity', 'msal'))])"
        )
        done = subprocess.run([sys.executable, "-c", program], cwd=_ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"
