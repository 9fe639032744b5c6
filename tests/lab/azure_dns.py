"""A stand-in for Azure DNS on loopback: what azure-mgmt-dns asks of it is answered by the documented rules.

The rules are those of the REST API 2018-05-01 (learn.microsoft.com/rest/api/dns): ETags with If-Match and
If-None-Match, 412 where they do not hold, pages of 100, deletion of a zone as a long-running operation; and the limits
that Microsoft lists for public zones (includes/dns-limits.md of azure-docs): 10,000 record sets in a zone, 20 records
in a set, and so many requests a minute, with 429 and Retry-After beyond them. It also hands out tokens, as App Service
does for managed identities.
"""

import json
import re
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qs, quote, urlsplit

import trustme

from tests.end_to_end.senders.front import ConnectProxy, TlsFront

MANAGEMENT = "management.azure.com"
SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
GROUP = "mta-sts"
NAME_SERVERS = [f"ns1-01.azure-dns.{ending}." for ending in ("com", "net", "org", "info")]
# Requests a minute on the record sets of one zone.
DOCUMENTED_LIMITS = {"write": 200, "delete": 200, "read": 2000, "list": 60}
# What the role that infra/ makes for the app allows.
APP_ROLE = frozenset({"TXT/read", "TXT/write"})
OWNER = frozenset({"TXT/read", "TXT/write", "TXT/delete", "CNAME/read", "CNAME/write", "CNAME/delete", "zone"})

_API_VERSION = "2018-05-01"
_PAGE = 100
_MOST_RECORD_SETS = 10_000
_MOST_RECORDS = 20
_LONGEST_STRING = 255
_LONGEST_NAME = 253
_LONGEST_LABEL = 63
_MINUTE = 60.0
_ZONES = "/providers/Microsoft.Network/dnsZones"
_PATH = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)(?:/resourceGroups/(?P<group>[^/]+))?"
    rf"{re.escape(_ZONES)}(?:/(?P<zone>[^/]+)(?:/(?P<type>[A-Z]+)(?:/(?P<name>[^/]+))?)?)?",
    re.IGNORECASE,
)

type Fault = Literal["silent", "lost answer", "hang up"] | int
type Values = dict[str, list[list[str]]]


class _Refusal(Exception):
    def __init__(self, status: int, code: str, message: str = "", **headers: str) -> None:
        self.status, self.code, self.message, self.headers = status, code, message or code, headers
        super().__init__(message)


@dataclass(slots=True)
class _Set:
    properties: dict[str, Any]
    etag: str = field(default_factory=lambda: str(uuid.uuid4()))


class AzureDns:
    """Zones in Azure DNS, for a `with` block, with the zones named `zones` in one resource group.

    `environment` leads a process here that asks management.azure.com as the app does, by the app's identity. `allowed`
    are the actions of whoever asks, `limits` the requests a minute. `requests` holds what was asked, as `PUT TXT
    _mta-sts.contoso.com 201`. Faults in `faults` befall the next requests, one each; a
    number is the status of the answer.
    """

    def __init__(
        self, *zones: str, allowed: frozenset[str] = APP_ROLE, limits: Mapping[str, int] | None = None
    ) -> None:
        self.allowed = allowed
        self.limits = dict(limits or {})
        self.requests: list[str] = []
        self.faults: deque[Fault] = deque()
        self.retry_after = 7
        self.before_write: Callable[[str], None] | None = None
        self.released = threading.Event()
        self._sets: dict[str, dict[tuple[str, str], _Set]] = {zone: {} for zone in zones}
        self._deleted: dict[str, str] = {}
        self._asked: dict[str, deque[float]] = {}
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            handler = type("_Handler", (_Handler,), {"azure": self})
            self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
            self._server.daemon_threads = True
            self._server.block_on_close = False
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
            stack.callback(self._server.server_close)
            stack.callback(self._server.shutdown)
            stack.callback(self.released.set)
            address = ("127.0.0.1", self._server.server_address[1])
            self._authority = trustme.CA()
            front = stack.enter_context(TlsFront(self._authority, address, lambda host: host))
            proxy = stack.enter_context(ConnectProxy(("127.0.0.1", front.port)))
            self._proxy, self._address = proxy.port, address
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def environment(self, folder: Path) -> dict[str, str]:
        """The environment of a process that is to find this Azure; the authority's certificate goes into `folder`."""
        ca_file = folder / "azure-ca.pem"
        self._authority.cert_pem.write_to_path(str(ca_file))
        return {
            "HTTPS_PROXY": f"http://127.0.0.1:{self._proxy}",
            "REQUESTS_CA_BUNDLE": str(ca_file),
            "IDENTITY_ENDPOINT": f"http://127.0.0.1:{self._address[1]}/msi/token",
            "IDENTITY_HEADER": "a header that only this app knows",
        }

    def zone_id(self, zone: str) -> str:
        """The resource id of a zone."""
        return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}{_ZONES}/{zone}"

    def texts(self, zone: str, name: str) -> list[str]:
        """The TXT records of a name relative to the zone, each with its strings put together."""
        found = self._sets[zone].get(("TXT", name))
        return ["".join(record["value"]) for record in found.properties.get("TXTRecords", ())] if found else []

    def ttl(self, zone: str, name: str) -> int:
        """The lifetime of the TXT records of a name."""
        return int(self._sets[zone]["TXT", name].properties["TTL"])

    def set_texts(self, zone: str, name: str, *texts: str, ttl: int = 300) -> None:
        """Write the TXT records of a name as a person does in the portal; none deletes them."""
        with self._lock:
            if texts:
                records = [{"value": [text]} for text in texts]
                self._sets[zone]["TXT", name] = _Set({"TTL": ttl, "TXTRecords": records})
            else:
                self._sets[zone].pop(("TXT", name), None)

    def set_cname(self, zone: str, name: str, target: str) -> None:
        """Make a CNAME record in a zone."""
        with self._lock:
            self._sets[zone]["CNAME", name] = _Set({"TTL": 300, "CNAMERecord": {"cname": target}})

    def names(self, zone: str) -> list[str]:
        """The names in a zone that have TXT records."""
        return sorted(name for kind, name in self._sets[zone] if kind == "TXT")

    def count(self) -> Counter[str]:
        """How many requests of each method and status were answered on record sets."""
        return Counter(" ".join((words[0], words[-1])) for words in map(str.split, self.requests))

    # What the server does.

    def answer(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, str], Any]:
        """The status, headers and JSON of the answer to one request."""
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/msi/token":
            expires = str(int(time.time()) + 3600)
            return 200, {}, {"access_token": "token", "expires_on": expires, "token_type": "Bearer", "resource": "arm"}
        try:
            with self._lock:
                return self._answer(method, parts.path, query, headers, body)
        except _Refusal as refusal:
            return refusal.status, refusal.headers, {"error": {"code": refusal.code, "message": refusal.message}}

    def _answer(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], Any]:
        if headers.get("Authorization") != "Bearer token":
            raise _Refusal(401, "AuthenticationFailed", "Authentication failed.")
        if path.startswith("/operations/"):
            return 200, {}, {"status": self._deleted[path.rpartition("/")[2]]}
        match = _PATH.fullmatch(path)
        if not match or query.get("api-version") != _API_VERSION:
            raise _Refusal(400, "InvalidApiVersionParameter")
        zone, kind, name = match["zone"], match["type"], match["name"]
        if zone is None or kind is None:
            self._allow("zone")
            return self._zones(method, zone)
        sets = self._sets.get(zone.lower())
        self._allow(f"{kind}/{ {'GET': 'read', 'PUT': 'write', 'DELETE': 'delete'}[method] }")
        if sets is None:
            raise _Refusal(404, "ParentResourceNotFound", f"The zone {zone} was not found.")
        self._limit("list" if name is None else {"GET": "read", "PUT": "write", "DELETE": "delete"}[method], zone)
        if name is None:
            return self._page(zone, kind, query)
        return self._record_set(method, zone, (kind, name.lower()), headers, body)

    def _allow(self, action: str) -> None:
        if action not in self.allowed:
            message = f"The client does not have authorization to perform action 'Microsoft.Network/dnsZones/{action}'."
            raise _Refusal(403, "AuthorizationFailed", message)

    def _limit(self, action: str, zone: str) -> None:
        limit = self.limits.get(action)
        if limit is None:
            return
        asked, now = self._asked.setdefault(f"{action} {zone}", deque()), time.monotonic()
        while asked and asked[0] <= now - _MINUTE:
            asked.popleft()
        if len(asked) >= limit:
            seconds = int(asked[0] + _MINUTE - now) + 1
            raise _Refusal(
                429, "TooManyRequests", f"Please try again after '{seconds}' seconds.", **{"Retry-After": str(seconds)}
            )
        asked.append(now)

    def _zones(self, method: str, zone: str | None) -> tuple[int, dict[str, str], Any]:
        if zone is None:
            return 200, {}, {"value": [self._zone(name) for name in sorted(self._sets)]}
        if zone not in self._sets:
            raise _Refusal(404, "ResourceNotFound")
        if method == "DELETE":  # long-running: 202, and where to ask how it goes
            del self._sets[zone]
            operation = str(uuid.uuid4())
            self._deleted[operation] = "Succeeded"
            return (
                202,
                {"Azure-AsyncOperation": f"https://{MANAGEMENT}/operations/{operation}", "Retry-After": "0"},
                None,
            )
        return 200, {}, self._zone(zone)

    def _zone(self, name: str) -> dict[str, Any]:
        properties = {
            "maxNumberOfRecordSets": _MOST_RECORD_SETS,
            "numberOfRecordSets": len(self._sets[name]) + 2,  # SOA and NS
            "nameServers": NAME_SERVERS,
            "zoneType": "Public",
        }
        return {"id": self.zone_id(name), "name": name, "location": "global", "properties": properties}

    def _page(self, zone: str, kind: str, query: Mapping[str, str]) -> tuple[int, dict[str, str], Any]:
        names = sorted(name for this, name in self._sets[zone] if this == kind)
        after = query.get("$skipToken", "")
        names = [name for name in names if name > after]
        size = min(int(query.get("$top", _PAGE)), _PAGE)
        page, rest = names[:size], names[size:]
        answer: dict[str, Any] = {"value": [self._shown(zone, (kind, name)) for name in page]}
        if rest:
            where = f"https://{MANAGEMENT}{self.zone_id(zone)}/{kind}"
            answer["nextLink"] = f"{where}?api-version={_API_VERSION}&$skipToken={quote(page[-1])}"
        return 200, {}, answer

    def _record_set(
        self, method: str, zone: str, key: tuple[str, str], headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], Any]:
        sets = self._sets[zone]
        found = sets.get(key)
        if method == "GET":
            if found is None:
                raise _Refusal(404, "NotFound", f"The resource record '{key[1]}' does not exist.")
            return 200, {}, self._shown(zone, key)
        match, none_match = headers.get("If-Match"), headers.get("If-None-Match")
        if match and (found is None or match not in ("*", found.etag)):
            raise _Refusal(412, "PreconditionFailed", "The condition If-Match was not satisfied.")
        if none_match == "*" and found is not None:
            raise _Refusal(412, "PreconditionFailed", "The condition If-None-Match was not satisfied.")
        if method == "DELETE":
            sets.pop(key, None)
            return (200 if found else 204), {}, None
        properties = json.loads(body)["properties"]
        self._check(zone, key, properties)
        sets[key] = _Set(properties)
        return (200 if found else 201), {}, self._shown(zone, key)

    def _check(self, zone: str, key: tuple[str, str], properties: dict[str, Any]) -> None:
        kind, name = key
        labels = f"{name}.{zone}".split(".")
        if len(".".join(labels)) > _LONGEST_NAME or not all(1 <= len(label) <= _LONGEST_LABEL for label in labels):
            raise _Refusal(400, "BadRequest", f"The domain name '{name}.{zone}' is not valid.")
        if not 1 <= properties.get("TTL", 0) < 2**31:
            raise _Refusal(400, "BadRequest", "The TTL is not valid.")
        records = properties.get("TXTRecords", [])
        if len(records) > _MOST_RECORDS:
            raise _Refusal(400, "BadRequest", "The record set has too many records.")
        if any(len(string) > _LONGEST_STRING for record in records for string in record["value"]):
            raise _Refusal(400, "BadRequest", "A string of a TXT record is too long.")
        others = {this for this, here in self._sets[zone] if here == name and this != kind}
        if others and "CNAME" in {*others, kind}:
            raise _Refusal(400, "BadRequest", f"A CNAME record set cannot stand beside others at '{name}'.")
        if key not in self._sets[zone] and len(self._sets[zone]) + 2 >= _MOST_RECORD_SETS:
            raise _Refusal(400, "BadRequest", "The maximum number of record sets of the zone is reached.")

    def _shown(self, zone: str, key: tuple[str, str]) -> dict[str, Any]:
        kind, name = key
        found = self._sets[zone][key]
        properties = {**found.properties, "fqdn": f"{name}.{zone}.", "provisioningState": "Succeeded"}
        return {
            "id": f"{self.zone_id(zone)}/{kind}/{name}",
            "name": name,
            "type": f"Microsoft.Network/dnszones/{kind}",
            "etag": found.etag,
            "properties": properties,
        }

    def records_at(self, name: str) -> dict[str, Any] | None:
        """The records of a full name as a name server has them, by their types; None where a zone has no such name."""
        with self._lock:
            for zone, sets in self._sets.items():
                if name.endswith(f".{zone}"):
                    short = name.removesuffix(f".{zone}")
                    here: dict[str, Any] = {}
                    if txt := sets.get(("TXT", short)):
                        here["TXT"] = [record["value"] for record in txt.properties.get("TXTRecords", ())]
                    if cname := sets.get(("CNAME", short)):
                        here["CNAME"] = [cname.properties["CNAMERecord"]["cname"]]
                    return here or None
        return None


class Internet(Mapping[str, Mapping[str, Any]]):
    """The records of customers' own zones, and behind them live those of Azure DNS: what a name server answers from."""

    def __init__(self, azure: AzureDns, others: Mapping[str, Mapping[str, Any]]) -> None:
        self._azure = azure
        self._others = others

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        here = self._others.get(name) or self._azure.records_at(name)
        if here is None:
            raise KeyError(name)
        return here

    def __iter__(self) -> Iterator[str]:
        return iter(self._others)

    def __len__(self) -> int:
        return len(self._others)


class _Handler(BaseHTTPRequestHandler):
    azure: AzureDns
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        azure, token = self.azure, self.path.startswith("/msi/")
        fault = azure.faults.popleft() if azure.faults and not token else None
        if fault == "silent":
            azure.requests.append(f"{self.command} silent")
            azure.released.wait(60)
            self.close_connection = True
            return
        if fault == "hang up":
            azure.requests.append(f"{self.command} cut")
            self.close_connection = True
            return
        if azure.before_write and self.command == "PUT":
            azure.before_write(self.path)
        if isinstance(fault, int):
            status, headers, said = fault, {}, {"error": {"code": f"Fault{fault}", "message": "a fault"}}
            if fault == 429:
                headers = {"Retry-After": str(azure.retry_after)}
        else:
            status, headers, said = azure.answer(self.command, self.path, dict(self.headers), body)
        if not token:
            match = _PATH.fullmatch(urlsplit(self.path).path)
            what = " ".join(filter(None, (match["type"], match["name"]))) if match else self.path
            azure.requests.append(f"{self.command} {what} {status}")
        if fault == "lost answer":
            self.close_connection = True
            return
        octets = b"" if said is None else json.dumps(said).encode()
        lines = {**headers, "Content-Type": "application/json", "Content-Length": str(len(octets))}
        head = f"HTTP/1.1 {status} X\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.wfile.write(head.encode() + b"\r\n" + octets)  # in one piece, or Nagle's algorithm makes it slow

    do_GET = do_PUT = do_DELETE = do_PATCH = _serve  # noqa: N815 - named by http.server

    def log_message(self, *_: object) -> None:
        """Log nothing."""
