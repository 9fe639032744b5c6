"""Managed identity: the real credential against a stand-in for App Service's token endpoint, and a table service that
asks for bearer tokens.

The protocol: https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
"""

import base64
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme
from azure.core.exceptions import ClientAuthenticationError
from azure.data.tables import TableClient

from dev.azurite import ACCOUNT, Azurite
from policy_store.policy import Policy
from policy_store.settings import Settings
from policy_store.tables.connection import identity, open_table
from policy_store.tables.policies import PolicyTable
from policy_store.tables.row import Row
from tests.loopback import LoopbackServer, answer, read_request, silent

_LONGEST_CALL = 3.5  # seconds
_SECONDS_TO_RECOVER = 15
_HEADER = "a header that only this app knows"
_ROW = answer(
    "200 OK",
    json.dumps(
        {
            "odata.etag": "W/\"datetime'2026-01-01T00%3A00%3A00.0000000Z'\"",
            "PartitionKey": "contoso.com",
            "RowKey": "policy",
            "Timestamp": "2026-01-01T00:00:00.0000000Z",
            "mode": "none",
            "max_age": 86400,
        }
    ).encode(),
)
_POLICY = Policy(mode="testing", mx=("mx.contoso.com",), max_age=604800)


def _token(audience: str = "https://storage.azure.com", lifetime: int = 3600) -> bytes:
    """What the endpoint says: a token as Entra makes them, but for the signature, which Azurite does not check."""
    now = int(time.time())
    claims = {
        "iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000000/",
        "aud": audience,
        "iat": now - 60,
        "nbf": now - 60,
        "exp": now + lifetime,
    }
    parts = [json.dumps(part).encode() for part in ({"typ": "JWT", "alg": "RS256"}, claims)]
    token = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in [*parts, b"signature"])
    said = {
        "access_token": token,
        "expires_on": str(now + 3600),
        "resource": "https://storage.azure.com",
        "token_type": "Bearer",
    }
    return answer("200 OK", json.dumps(said).encode())


def _refusal(status: str, *headers: str) -> bytes:
    return answer(status, json.dumps({"statusCode": int(status[:3]), "message": "not now"}).encode(), *headers)


class _Endpoint(LoopbackServer):
    """The stand-in for the token endpoint; `requests` holds the heads of what it was asked."""

    def __init__(self) -> None:
        super().__init__(silent)
        self.requests: list[bytes] = []

    def says(self, octets: bytes) -> None:
        """Answer with `octets` from now on."""

        def behave(connection: socket.socket, ended: object) -> None:
            self.requests.append(connection.recv(65536))
            connection.sendall(octets)

        self.behaviour = behave


class _SecureAzurite(Azurite):
    """A table service that takes bearer tokens, and the files of its certificate."""

    def __init__(self, cert: Path, key: Path) -> None:
        super().__init__(cert=cert, key=key, oauth=True)
        self.certificate = (cert, key)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_SecureAzurite]:
    """A table service that speaks HTTPS and takes bearer tokens, with the row of contoso.com."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    cert, key, bundle = folder / "cert.pem", folder / "key.pem", folder / "bundle.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    key.write_bytes(certificate.private_key_pem.bytes())
    authority.cert_pem.write_to_path(str(bundle))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
        with _SecureAzurite(cert, key) as service:
            with TableClient.from_connection_string(service.connection_string, "policies") as client:
                client.create_table()
                PolicyTable(client).add("contoso.com", _POLICY)
            yield service


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Endpoint]:
    """The token endpoint, named in the environment as App Service names it."""
    with _Endpoint() as server:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{server.port}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", _HEADER)
        yield server


@pytest.fixture
def policies(tables: Azurite, endpoint: _Endpoint) -> Iterator[PolicyTable]:
    """The rows of `tables` as the app opens them with its system-assigned identity."""
    with open_table(Settings.read({"POLICY_STORE__tableServiceUri": tables.url})) as client:
        yield PolicyTable(client)


def _failure(policies: PolicyTable) -> tuple[float, Exception]:
    """How many seconds a read takes that has to fail, and its error."""
    start = time.monotonic()
    with pytest.raises(Exception) as caught:  # noqa: PT011 any exception is a failure of storage
        policies.get("contoso.com")
    return time.monotonic() - start, caught.value


def _recovered(policies: PolicyTable) -> Row | None:
    """The row, from the first read that succeeds."""
    deadline = time.monotonic() + _SECONDS_TO_RECOVER
    while True:
        try:
            return policies.get("contoso.com")
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_reads_with_a_token(policies: PolicyTable, endpoint: _Endpoint) -> None:
    """The token is asked for once, as App Service's protocol says, and opens the table."""
    endpoint.says(_token())
    for _ in range(2):
        row = policies.get("contoso.com")
        assert row is not None
        assert row.policy == _POLICY
    (request,) = endpoint.requests
    line, *headers = request.decode().splitlines()
    assert f"X-IDENTITY-HEADER: {_HEADER}" in headers
    query = parse_qs(urlsplit(line.split()[1]).query)
    assert query == {"api-version": ["2019-08-01"], "resource": ["https://storage.azure.com"]}


def test_user_assigned_identity(tables: Azurite, endpoint: _Endpoint) -> None:
    """The client id of the settings chooses the identity."""
    endpoint.says(_token())
    settings = {"POLICY_STORE__tableServiceUri": tables.url, "POLICY_STORE__clientId": "an-id"}
    with open_table(Settings.read(settings)) as client:
        assert PolicyTable(client).get("contoso.com") is not None
    (request,) = endpoint.requests
    assert b"client_id=an-id" in request


# azure-data-tables asks an XML answer's root for its truth value.
@pytest.mark.filterwarnings("ignore:Testing an element's truth value:DeprecationWarning")
def test_a_token_that_is_refused(policies: PolicyTable, endpoint: _Endpoint) -> None:
    """A token that the table service refuses is a failure, not a missing row."""
    endpoint.says(_token(audience="https://vault.azure.net"))
    seconds, error = _failure(policies)
    assert isinstance(error, ClientAuthenticationError)
    assert seconds < _LONGEST_CALL


def test_a_refused_token_is_not_kept_until_its_time_is_over(tables: _SecureAzurite, endpoint: _Endpoint) -> None:
    """A table service answers 401 to a token that is wrong, and Azurite 403, so that another stands in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*tables.certificate)
    right = _token(lifetime=1800)
    bearer = json.loads(right.partition(b"\r\n\r\n")[2])["access_token"].encode()

    def behave(connection: socket.socket, _: threading.Event) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            while head := read_request(secure):
                secure.sendall(_ROW if bearer in head else answer("401 Unauthorized"))

    with LoopbackServer(behave) as server:
        address = f"https://127.0.0.1:{server.port}/{ACCOUNT}"
        with open_table(Settings.read({"POLICY_STORE__tableServiceUri": address})) as client:
            policies = PolicyTable(client)
            endpoint.says(_token())
            _failure(policies)
            endpoint.says(right)
            start = time.monotonic()
            assert _recovered(policies) is not None
            assert time.monotonic() - start < 10


def test_clients_share_one_identity(tables: Azurite, endpoint: _Endpoint) -> None:
    """One token serves both tables."""
    endpoint.says(_token())
    settings = Settings.read({"POLICY_STORE__tableServiceUri": tables.url})
    credential = identity(settings)
    for _ in range(3):
        with open_table(settings, credential=credential) as client:
            assert PolicyTable(client).get("contoso.com") is not None
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    "status", ["500 Internal Server Error", "429 Too Many Requests", "503 Service Unavailable", "400 Bad Request"]
)
def test_an_endpoint_that_refuses(policies: PolicyTable, endpoint: _Endpoint, status: str) -> None:
    """A read fails in time, however long the endpoint asks to wait."""
    endpoint.says(_refusal(status, "Retry-After: 3600"))
    for _ in range(3):
        seconds, _ = _failure(policies)
        assert seconds < _LONGEST_CALL


@pytest.mark.parametrize("status", ["500 Internal Server Error", "429 Too Many Requests"])
def test_an_endpoint_that_recovers(policies: PolicyTable, endpoint: _Endpoint, status: str) -> None:
    """Reads succeed once the time is over that the endpoint asked to wait."""
    endpoint.says(_refusal(status, "Retry-After: 1"))
    _failure(policies)
    endpoint.says(_token())
    assert _recovered(policies) is not None


def test_an_endpoint_without_a_retry_after(policies: PolicyTable, endpoint: _Endpoint) -> None:
    """Of a failure that names no time the credential recovers within seconds."""
    endpoint.says(_refusal("500 Internal Server Error"))
    seconds, _ = _failure(policies)
    assert seconds < _LONGEST_CALL
    endpoint.says(_token())
    assert _recovered(policies) is not None


def test_a_silent_endpoint(policies: PolicyTable, endpoint: _Endpoint) -> None:
    """A read does not wait for an endpoint that says nothing, and succeeds as soon as it speaks."""
    seconds, _ = _failure(policies)
    assert seconds < _LONGEST_CALL
    endpoint.says(_token())
    assert policies.get("contoso.com") is not None


def test_an_endpoint_that_drips(policies: PolicyTable, endpoint: _Endpoint) -> None:
    """A read does not wait for an endpoint whose answer never ends."""

    def drip(connection: socket.socket, ended: threading.Event) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not ended.wait(0.1):
            connection.sendall(b" ")

    endpoint.behaviour = drip
    seconds, _ = _failure(policies)
    assert seconds < _LONGEST_CALL
    endpoint.says(_token())
    assert policies.get("contoso.com") is not None


def test_no_endpoint(policies: PolicyTable, endpoint: _Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read fails at once while nobody listens, and succeeds as soon as somebody does."""
    here = f"http://127.0.0.1:{endpoint.port}/msi/token"
    with socket.create_server(("127.0.0.1", 0)) as free:
        nowhere = free.getsockname()[1]
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{nowhere}/msi/token")
    seconds, _ = _failure(policies)
    assert seconds < _LONGEST_CALL
    monkeypatch.setenv("IDENTITY_ENDPOINT", here)
    endpoint.says(_token())
    assert policies.get("contoso.com") is not None
