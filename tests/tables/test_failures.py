"""What the log says of a failed storage call: enough to act on, and nothing that a URL holds."""

import socket
from collections.abc import Callable

import pytest
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.data.tables import TableClient

from dev.azurite import ACCOUNT, ACCOUNT_KEY
from policy_store.settings import Settings
from policy_store.tables.connection import open_table
from policy_store.tables.failures import reason
from policy_store.tables.policies import PolicyTable
from tests.loopback import LoopbackServer, answer, answering, silent


def _error(port: int, host: str = "127.0.0.1") -> Exception:
    endpoint = f"TableEndpoint=http://{host}:{port}/{ACCOUNT if host[0].isdigit() else ''}"
    settings = Settings.read({"POLICY_STORE": f"AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};{endpoint}"})
    with open_table(settings) as client, pytest.raises(AzureError) as caught:
        PolicyTable(client).get("contoso.com")
    return caught.value


def test_a_connection_that_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert reason(_error(port)) == "ServiceRequestError: Connection refused"


def test_silence() -> None:
    with LoopbackServer(silent) as server:
        assert reason(_error(server.port)).startswith("ServiceResponseTimeoutError")


def test_a_host_that_does_not_exist() -> None:
    assert reason(_error(80, "no-such-host.invalid")).startswith("ServiceRequestError: ")


def test_a_status_with_its_code() -> None:
    body = b'{"odata.error": {"code": "AuthorizationPermissionMismatch", "message": {"value": "secret?sig=x"}}}'
    with LoopbackServer(answering(answer("403 Forbidden", body))) as server:
        assert reason(_error(server.port)).endswith(": 403 AuthorizationPermissionMismatch")


def test_a_missing_table(new_table: Callable[[], TableClient]) -> None:
    client = new_table()
    client.delete_table()
    with pytest.raises(AzureError) as caught:
        PolicyTable(client).get("contoso.com")
    assert reason(caught.value) == "ResourceNotFoundError: 404 TableNotFound"


def test_no_token() -> None:
    error = ClientAuthenticationError("ManagedIdentityCredential: HTTPConnectionPool(host='x'): /msi?secret=1")
    assert reason(error) == "ClientAuthenticationError"


def test_any_other_exception_is_on_one_printable_line() -> None:
    assert reason(RuntimeError("a\n bug\x1b[31m")) == "RuntimeError: a bug [31m"
    assert reason(KeyError("PartitionKey")) == "KeyError: 'PartitionKey'"
