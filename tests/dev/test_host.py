"""The local host in a process of its own, over the small app, as an HTTP client sees it."""

import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).parent / "app"
COMMAND = [sys.executable, "-m", "dev.host", "--app", str(APP), "--port"]


class Host:
    """A running host: its port, and what it has written to standard error."""

    def __init__(self, port: int, log: Path) -> None:
        self.port, self._log = port, log

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        finally:
            connection.close()

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    log = tmp_path_factory.mktemp("host") / "log"
    with (
        log.open("w") as errors,
        subprocess.Popen([*COMMAND, "0"], stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout
        said = process.stdout.readline()
        assert said.startswith("listening on http://127.0.0.1:"), log.read_text(encoding="utf-8")
        yield Host(int(said.rpartition(":")[2]), log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_route_is_found_under_the_prefix_in_any_letter_case(host: Host) -> None:
    for path in ("/prefix/hello.txt", "/PREFIX/Hello.TXT", "/prefix/hello.txt/", "/prefix/hello.txt?a=b"):
        assert host.request("GET", path)[::2] == (200, b"hello\r\n"), path


def test_an_answer_is_the_functions_own(host: Host) -> None:
    _, headers, _ = host.request("GET", "/prefix/hello.txt")
    assert headers.pop("date")
    assert headers == {"x-kind": "greeting", "content-type": "text/plain; charset=utf-8", "content-length": "7"}


def test_head_has_the_headers_of_get_and_no_body(host: Host) -> None:
    status, headers, body = host.request("HEAD", "/prefix/hello.txt")
    assert (status, headers["content-length"], headers["x-kind"], body) == (200, "7", "greeting", b"")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/hello.txt"),
        ("GET", "/prefix/helloXtxt"),
        ("GET", "/prefix/hello.txt/more"),
        ("GET", "/prefix/tick"),
        ("POST", "/prefix/hello.txt"),
        ("HEAD", "/prefix/echo/word"),
    ],
)
def test_a_path_or_method_that_no_function_lists_is_an_empty_404(host: Host, method: str, path: str) -> None:
    status, headers, body = host.request(method, path)
    assert (status, headers["content-length"], body) == (404, "0", b"")


def test_a_function_without_a_list_of_methods_takes_each(host: Host) -> None:
    assert {host.request(method, "/prefix/broken")[0] for method in ("GET", "PUT", "DELETE")} == {500}


def test_an_exception_is_an_empty_500_and_in_the_log(host: Host) -> None:
    status, headers, body = host.request("GET", "/prefix/broken")
    assert (status, headers["content-length"], body) == (500, "0", b"")
    assert "ERROR   dev.host: The function broken failed." in host.log
    assert "ValueError: broken on purpose" in host.log


def test_the_log_hides_the_loggers_that_the_platform_hides(host: Host) -> None:
    host.request("GET", "/prefix/broken")
    assert "INFO    tiny: about to break" in host.log
    assert "nobody sees this" not in host.log
    assert "azure.functions" not in host.log.replace("azure_functions", "")


def test_a_function_sees_host_route_query_and_body(host: Host) -> None:
    headers = {"Host": "Mta-Sts.Contoso.Example:443", "X-Twice": "1"}
    _, _, body = host.request("POST", "/prefix/echo/W%6Frd?q=1&none=", b"body", headers)
    seen = json.loads(body)
    assert seen["url"] == "http://Mta-Sts.Contoso.Example:443/prefix/echo/W%6Frd?q=1&none="
    assert (seen["method"], seen["route"], seen["params"], seen["body"]) == (
        "POST",
        {"word": "Word"},
        {"q": "1"},
        "body",
    )
    assert seen["headers"]["host"] == "Mta-Sts.Contoso.Example:443"
    assert seen["headers"]["x-twice"] == "1"


def test_a_port_in_use_is_one_clear_sentence(host: Host) -> None:
    second = subprocess.run([*COMMAND, str(host.port)], capture_output=True, text=True, timeout=20, check=False)
    assert second.returncode == 1
    assert second.stderr == f"The app cannot listen on 127.0.0.1:{host.port}: Address already in use.\n"


class TestOddRequests:
    """As Kestrel answers them, the server of the real host."""

    def _send(self, host: Host, target: str, name: str) -> int:
        with socket.create_connection(("127.0.0.1", host.port), timeout=10) as connection:
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode("latin-1"))
            answer = b""
            while octets := connection.recv(65536):
                answer += octets
        return int(answer.split()[1])

    @pytest.mark.parametrize("name", ["[", "]", "a[b]", "[::1", "[::1]x", "[a]", "[]", "[::1]:", "\x1b[31m"])
    def test_brackets_that_hold_no_address_are_a_bad_request(self, host: Host, name: str) -> None:
        assert self._send(host, "/prefix/hello.txt", name) == 400
        assert "Traceback" not in host.log.partition("hello.txt")[2]

    @pytest.mark.parametrize("name", ["[::1]", "[::1]:7071", "a.example", "a.example:7071", "a,b"])
    def test_other_hosts_are_served(self, host: Host, name: str) -> None:
        assert self._send(host, "/prefix/hello.txt", name) == 200

    def test_a_target_with_scheme_and_authority_is_served(self, host: Host) -> None:
        assert self._send(host, "http://a.example/prefix/hello.txt", "A.example") == 200
        assert self._send(host, "http://a.example/prefix/hello.txt", "b.example") == 400

    def test_an_encoded_slash_divides_no_path(self, host: Host) -> None:
        assert self._send(host, "/prefix%2fhello.txt", "a.example") == 404
        assert self._send(host, "/prefix/hello%2Etxt", "a.example") == 200
