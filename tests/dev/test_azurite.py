"""The table service's life: it starts, is paused, crashes, comes back, and never outlives those who started it."""

import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trustme
from azure.core.exceptions import ServiceResponseError
from azure.data.tables import TableClient

from dev.azurite import Azurite, AzuriteError
from dev.ports import PortTaken

KEYS = {"PartitionKey": "contoso.example", "RowKey": "policy"}


def table_of(azurite: Azurite) -> TableClient:
    return TableClient.from_connection_string(azurite.connection_string, "policies", retry_total=0)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_tables_in_a_folder_survive_a_restart_on_the_same_port(tmp_path: Path) -> None:
    with Azurite(location=tmp_path) as azurite:
        port = azurite.port
        with table_of(azurite) as table:
            table.create_table()
            table.create_entity({**KEYS, "mode": "testing"})
        azurite.restart()
        with table_of(azurite) as table:
            assert table.get_entity(*KEYS.values())["mode"] == "testing"
        assert azurite.port == port
    assert not listens(port)


def test_a_paused_service_accepts_and_does_not_answer_until_resumed() -> None:
    with Azurite() as azurite, table_of(azurite) as table:
        table.create_table()
        table.create_entity(KEYS)
        azurite.pause()
        assert listens(azurite.port)
        with pytest.raises(ServiceResponseError):
            table.get_entity(*KEYS.values(), read_timeout=0.3)
        azurite.resume()
        assert dict(table.get_entity(*KEYS.values())) == KEYS


def test_a_killed_service_refuses_until_it_is_started_again() -> None:
    with Azurite() as azurite:
        azurite.kill()
        assert not listens(azurite.port)
        azurite.start()
        assert listens(azurite.port)


def test_a_paused_service_stops_all_the_same() -> None:
    with Azurite() as azurite:
        azurite.pause()
    assert not listens(azurite.port)


def test_it_ends_with_a_process_that_ends_without_stopping_it() -> None:
    source = "from dev.azurite import Azurite; a = Azurite(); a.start(); print(a.port, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        port = int(process.stdout.readline())
        assert listens(port)
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while listens(port):
        assert time.monotonic() < deadline, "the table service outlived the process that started it"
        time.sleep(0.02)


def test_a_port_in_use_is_one_clear_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken) as raised:
            Azurite(port).start()
    assert str(raised.value) == f"The table service cannot listen on 127.0.0.1:{port}: Address already in use."


def test_a_service_that_cannot_start_says_why(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    with pytest.raises(AzuriteError, match=r"did not start(?s:.*)missing\.pem"):
        Azurite(cert=missing, key=missing).start()


def test_with_a_certificate_it_speaks_https(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with Azurite(cert=tmp_path / "cert.pem", key=tmp_path / "key.pem", oauth=True) as azurite:
        assert azurite.url == f"https://127.0.0.1:{azurite.port}/devstoreaccount1"
        with (
            socket.create_connection(("127.0.0.1", azurite.port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            assert secure.version()
