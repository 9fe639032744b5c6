"""A cold start: from before the process starts until its first request is answered, seen from outside."""

import json
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
import trustme

from bench.common import BASELINES, ROOT, Child, Figure, fill, milliseconds, progress, ratio
from dev.azurite import Azurite

_ROUNDS = 11
_APPS = {"app": ROOT, "same packages": BASELINES / "same_packages", "hard-coded": BASELINES / "hard_coded"}
_STORES = ("connection string", "identity")


def measure() -> list[Figure]:
    """The app and the baselines start in turn, each with a connection string and with a managed identity."""
    seconds: dict[tuple[str, str], list[float]] = {}
    with _stores() as environments:
        for turn in range(-1, _ROUNDS):  # the first warms the page cache
            for store, environment in environments.items():
                for app, folder in _APPS.items():
                    taken = first_answer(folder, environment)
                    if turn >= 0:
                        seconds.setdefault((store, app), []).append(taken)
            progress(f"cold: round {turn + 1} of {_ROUNDS}")
    figures = []
    for store in _STORES:
        ours, same_packages, hard_coded = (seconds[store, app] for app in _APPS)
        figures += [
            ratio(f"cold start, {store} / same packages", ours, same_packages, 1.2),
            ratio(f"cold start, {store} / hard-coded", ours, hard_coded),
            milliseconds(f"cold start, {store}", ours),
            milliseconds(f"same packages, {store}", same_packages),
            milliseconds(f"hard-coded, {store}", hard_coded),
        ]
    return figures


def first_answer(
    folder: Path, environment: Mapping[str, str], program: str = "bench.answer_once", options: Sequence[str] = ()
) -> float:
    """Start the app in the folder in a process of its own and return the seconds until its first answer is out."""
    start = time.perf_counter()
    with Child(program, folder, environment=environment, options=options) as child:
        answer = child.line()
        seconds = time.perf_counter() - start
    if answer != "answered 200":
        raise RuntimeError(f"the first request to {folder} was {answer}")
    return seconds


@contextmanager
def _stores() -> Iterator[dict[str, dict[str, str]]]:
    """The settings for a store with a key over HTTP, and for one with an identity over HTTPS."""
    with tempfile.TemporaryDirectory() as folder, _identity_endpoint() as endpoint:
        authority, cert, key = (Path(folder) / name for name in ("ca.pem", "cert.pem", "key.pem"))
        ca = trustme.CA()
        ca.cert_pem.write_to_path(str(authority))
        issued = ca.issue_cert("127.0.0.1")
        issued.private_key_pem.write_to_path(str(key))
        for part in issued.cert_chain_pems:
            part.write_to_path(str(cert), append=True)
        with Azurite() as by_key, Azurite(cert=cert, key=key, oauth=True) as by_identity:
            fill(by_key.connection_string, ["d0.example"])
            fill(by_identity.connection_string, ["d0.example"], ca=authority)
            yield {
                "connection string": {"POLICY_STORE": by_key.connection_string},
                "identity": {
                    "POLICY_STORE__tableServiceUri": by_identity.url,
                    "IDENTITY_ENDPOINT": endpoint,
                    "IDENTITY_HEADER": "bench",
                    "REQUESTS_CA_BUNDLE": str(authority),
                },
            }


@contextmanager
def _identity_endpoint() -> Iterator[str]:
    """The address of a stand-in for App Service's identity endpoint; its tokens have the form that Azurite checks."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _IdentityEndpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/msi/token"
    server.shutdown()
    server.server_close()


class _IdentityEndpoint(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        now = int(time.time())
        resource = parse_qs(urlsplit(self.path).query)["resource"][0]
        claims = {"iss": "https://sts.windows.net/bench/", "aud": resource, "iat": now, "nbf": now, "exp": now + 86400}
        token = {
            "access_token": jwt.encode(claims, "a key of which nobody checks the signature", algorithm="HS256"),
            "expires_on": str(now + 86400),
            "resource": resource,
            "token_type": "Bearer",
        }
        body = json.dumps(token).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
