"""As much of Azure Resource Manager as `az` asks of it to bind host names, on loopback, where no Azure is to be had.

Its rules are those that Microsoft documents: a host name is taken when DNS proves it, a free certificate is issued for
a host name that is bound and whose CNAME leads straight to the app, a binding names a certificate that is there.
https://learn.microsoft.com/azure/app-service/app-service-web-tutorial-custom-domain and configure-ssl-certificate.
Paths and shapes are those that the Azure CLI 2.91 asks for.
"""

import base64
import json
import re
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import trustme

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
_TENANT = "00000000-0000-0000-0000-000000000002"
GROUP = "mta-sts"
APP = "contoso-sts"
APP_HOST = "contoso-sts-b2c4.westeurope-01.azurewebsites.net"
VERIFICATION_ID = "ABC123"
_ROOT = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Web"
_SITE = f"{_ROOT}/sites/{APP}"
_PLAN = f"{_ROOT}/serverfarms/{APP}-plan"
_PROFILES = b'<publishData><publishProfile publishMethod="FTP" publishUrl="ftps://localhost" /></publishData>'
_RECORD_SET = re.compile(
    r".*/Microsoft\.Network/dnsZones/(?P<zone>[^/]+)/(?P<type>TXT|CNAME)/(?P<name>[^/]+)", re.IGNORECASE
)

type Names = dict[str, dict[str, list[str]]]
type Answer = tuple[int, dict[str, Any]]


@dataclass
class Azure:
    """One app and its zones in Azure DNS.

    `names` is what DNS shows, which a name server is to answer from. A certificate is shown only after it was asked for
    `looks_before_issued` times, and none is issued for the host `busy`. Another app has the host name `taken`.
    While it is `closed`, the operator may not look at a certificate.
    """

    names: Names
    plan: str = "dedicated"
    bound: dict[str, str | None] = field(default_factory=dict)
    certificates: dict[str, dict[str, Any]] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    looks_before_issued: int = 0
    busy: str = ""
    taken: str = ""
    closed: bool = False

    def reset(self, plan: str) -> None:
        """Begin again, with nothing bound and nothing in DNS but the app itself."""
        self.plan, self.looks_before_issued, self.busy, self.taken, self.closed = plan, 0, "", "", False
        for held in (self.bound, self.certificates, self.names):
            held.clear()
        self.writes.clear()
        self.names[APP_HOST] = {"A": ["192.0.2.1"]}

    def answer(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        """The answer to a request that has an identity."""
        if method != "GET" and not path.endswith("/publishxml"):
            self.writes.append(f"{method} {path.removeprefix(_ROOT)}")
        if path == "/subscriptions":
            ids = {"id": f"/subscriptions/{SUBSCRIPTION}", "subscriptionId": SUBSCRIPTION, "tenantId": _TENANT}
            return 200, {"value": [{**ids, "displayName": "Contoso", "state": "Enabled"}]}
        if path == "/tenants":
            return 200, {"value": [{"id": f"/tenants/{_TENANT}", "tenantId": _TENANT}]}
        if match := _RECORD_SET.fullmatch(path):
            return self._record_set(method, match, body)
        if path.lower() == _PLAN.lower():
            return 200, {"id": _PLAN, "name": f"{APP}-plan", "location": "West Europe", "sku": self._sku()}
        if path == _SITE:
            return self._site(method, body)
        if path == f"{_SITE}/config/web":
            return 200, {"id": path, "name": "web", "properties": {}}
        if path.startswith(f"{_SITE}/hostNameBindings"):
            return self._binding(method, path.removeprefix(f"{_SITE}/hostNameBindings").strip("/"))
        certificates = f"{_SITE if self.plan == 'flex' else _ROOT}/certificates"
        if path.startswith(certificates):
            return self._certificate(method, path, path.removeprefix(certificates).strip("/"), body)
        return _error(404, f"There is no {method} {path}.")

    def _sku(self) -> dict[str, str]:
        return {"name": "FC1", "tier": "FlexConsumption"} if self.plan == "flex" else {"name": "B1", "tier": "Basic"}

    def _site(self, method: str, body: dict[str, Any]) -> Answer:
        if method == "PUT":
            for state in body["properties"]["hostNameSslStates"]:
                host, thumbprint = state["name"], state.get("thumbprint")
                if host not in self.bound:
                    return _error(404, f"The host name {host} is not bound.")
                if thumbprint not in {one["thumbprint"] for one in self.certificates.values()}:
                    return _error(404, f"There is no certificate {thumbprint}.")
                self.bound[host] = thumbprint if state["sslState"] == "SniEnabled" else None
        own = {APP_HOST: None, APP_HOST.replace(".", ".scm.", 1): None}
        states = [
            {"name": host, "sslState": "SniEnabled" if mark else "Disabled", "thumbprint": mark, "hostType": "Standard"}
            for host, mark in {**own, **self.bound}.items()
        ]
        properties = {
            "name": APP,
            "state": "Running",
            "defaultHostName": APP_HOST,
            "customDomainVerificationId": VERIFICATION_ID,
            "hostNames": [APP_HOST, *self.bound],
            "hostNameSslStates": states,
            "serverFarmId": _PLAN,
            "sku": self._sku()["tier"],
        }
        site = {"id": _SITE, "name": APP, "type": "Microsoft.Web/sites", "kind": "functionapp,linux"}
        return 200, {**site, "location": "West Europe", "properties": properties}

    def _binding(self, method: str, host: str) -> Answer:
        if method == "PUT":
            here = self.names.get(host, {})
            if VERIFICATION_ID not in self.names.get(f"asuid.{host}", {}).get("TXT", ()):
                return _error(400, f"A TXT record pointing from asuid.{host} to {VERIFICATION_ID} was not found.")
            if "CNAME" not in here and "A" not in here:
                return _error(400, f"A CNAME record pointing from {host} was not found.")
            if host == self.taken:
                return _error(409, f"{host} is on another app already.")
            self.bound.setdefault(host, None)
        if method == "DELETE":
            if self.bound.pop(host, "") is not None:
                return _error(409, f"{host} has a certificate, or is not bound.")
            return 200, {}
        answers = [
            {
                "id": f"{_SITE}/hostNameBindings/{name}",
                "name": f"{APP}/{name}",
                "properties": {"hostNameType": "Verified"},
            }
            for name in ([host] if host else self.bound)
        ]
        return 200, answers[0] if host else {"value": answers}

    def _certificate(self, method: str, path: str, name: str, body: dict[str, Any]) -> Answer:
        if method == "PUT":
            host = body["properties"]["canonicalName"]
            if host == self.busy:
                return _error(409, "The service is busy.")
            if self.names.get(host, {}).get("CNAME") != [APP_HOST]:
                return _error(400, f"{host} does not lead straight to {APP_HOST}.")
            mark = f"{len(self.certificates) + 1:040X}"
            properties = {"canonicalName": host, "hostNames": [host], "thumbprint": mark}
            self.certificates[name] = {"id": path, "name": name, "location": "West Europe", **properties}
        if method == "DELETE":
            return 200, self.certificates.pop(name, {})
        listed = [{**one, "properties": one} for one in self.certificates.values()]
        if not name:
            return 200, {"value": listed}
        if method == "GET" and self.closed:
            return _error(403, "The operator may not look at certificates.")
        if method == "GET" and self.looks_before_issued:
            self.looks_before_issued -= 1
            return _error(404, f"The certificate {name} was not found.")
        found = next((one for one in listed if one["name"] == name), None)
        return (200, found) if found else _error(404, f"The certificate {name} was not found.")

    def _record_set(self, method: str, match: re.Match[str], body: dict[str, Any]) -> Answer:
        name, kind = f"{match['name']}.{match['zone']}", match["type"].upper()
        here = self.names.setdefault(name, {})
        if method == "PUT":
            records = body["properties"]
            if kind == "TXT":
                here["TXT"] = ["".join(record["value"]) for record in records.get("TXTRecords", ())]
            else:
                here["CNAME"] = [records["CNAMERecord"]["cname"].rstrip(".")]
        if kind not in here:
            return _error(404, f"The record set {name} was not found.", "NotFound")
        shown: dict[str, Any] = {"TTL": 300}
        if kind == "TXT":
            shown["TXTRecords"] = [{"value": [text]} for text in here["TXT"]]
        else:
            shown["CNAMERecord"] = {"cname": here["CNAME"][0]}
        return 200, {"id": match[0], "name": match["name"], "properties": shown}


def _error(status: int, message: str, code: str = "Refused") -> Answer:
    return status, {"error": {"code": code, "message": message}}


class Portal:
    """Serves an `Azure` over TLS on loopback, for a `with` block; `authority` is what a client is to trust."""

    def __init__(self, azure: Azure) -> None:
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        self.authority: bytes = authority.cert_pem.bytes()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(azure))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(azure: Azure) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0]
            if path == "/token":
                status, answer = 200, _token()
            elif not (self.headers.get("Authorization") or "").startswith("Bearer "):
                status, answer = _error(401, "There is no identity.")
            else:
                status, answer = azure.answer(self.command, path, json.loads(body) if body else {})
            octets = json.dumps(answer).encode()
            if path.endswith("/publishxml"):
                status, octets = 200, _PROFILES
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

        do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - the base class looks for these

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            pass

    return Handler


def _token() -> dict[str, Any]:
    """A token as the identity endpoint of App Service gives it, https://learn.microsoft.com/azure/app-service/overview-managed-identity."""
    ends = int(time.time()) + 3600
    parts = ({"alg": "none"}, {"tid": _TENANT, "oid": "operator", "appid": "operator", "exp": ends})
    token = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    return {"access_token": f"{token}.none", "expires_on": str(ends), "resource": "", "token_type": "Bearer"}
