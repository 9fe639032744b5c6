"""What add, edit, list and import ask DNS and the policy host: real servers for DNS and HTTPS on loopback."""

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from policy_store.policy import Policy
from policy_store.sender.lookup import Lookup
from policy_store.tables.row import Row
from policy_store.tables.store import Store
from tests.cli.conftest import Run
from tests.end_to_end.senders.names import DnsServer, Records

_IMPORTS = Path(__file__).parents[1] / "data" / "imports"
_POLICY = Policy(mode="enforce", mx=("mx1.example.com",), max_age=604800)


@pytest.fixture
def zone() -> dict[str, dict[str, list[str]]]:
    """What DNS holds; a test may change it."""
    zone: dict[str, dict[str, list[str]]] = json.loads((_IMPORTS / "zone.json").read_text(encoding="utf-8"))
    return zone


@pytest.fixture
def resolver(zone: Records) -> Iterator[str]:
    """The address of a DNS server with the records of imports/zone.json."""
    with DnsServer(zone) as server:
        yield f"127.0.0.1:{server.port}"


class _PolicyHost(http.server.BaseHTTPRequestHandler):
    """Serves the policy, with LF where the command would write CRLF, and another text for other.example."""

    def do_GET(self) -> None:
        other = "other" in (self.headers["Host"] or "")
        policy = Policy(mode="testing", mx=("old.example.com",), max_age=86400) if other else _POLICY
        body = policy.text.replace("\r\n", "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def policy_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A policy host for served.example and other.example on the port and with the authority that the command uses."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("mta-sts.served.example", "mta-sts.other.example").configure_cert(context)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _PolicyHost) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setattr("policy_store.sender.lookup.HTTPS_PORT", server.server_address[1])
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        yield
        server.shutdown()
        thread.join()


def _row(store: Store, domain: str) -> Row:
    row = store.policies.get(domain)
    assert row
    return row


@pytest.mark.parametrize(
    ("domain", "patterns"),
    [
        ("contoso.com", ("*.mail.protection.outlook.com",)),
        ("fabrikam.com", ("mx1.fabrikam.com", "mx2.fabrikam.com")),
        ("dnssec.example", ("*.h-v1.mx.microsoft",)),
        ("both.example", ("*.mail.protection.outlook.com", "*.b-v1.mx.microsoft", "mail.both.example")),
    ],
)
def test_add_proposes_patterns_that_cover_the_mx_hosts(
    run: Run, store: Store, resolver: str, domain: str, patterns: tuple[str, ...]
) -> None:
    done = run("add", domain, "--mx-from-dns", "--resolver", resolver)
    assert done.exit_code == 0, done.output
    assert _row(store, domain).policy.mx == patterns
    assert all(_row(store, domain).policy.matches(host) for host in Lookup(resolver).mx_hosts(domain) or ())


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        ("null.example", "takes no mail"),
        ("nomx.example", "has no MX record"),
        ("missing.example", "has no MX record"),
    ],
)
def test_a_domain_without_mx_hosts_is_a_problem(run: Run, store: Store, resolver: str, domain: str, said: str) -> None:
    done = run("add", domain, "--mx-from-dns", "--resolver", resolver)
    assert done.exit_code == 1
    assert said in done.stderr
    assert store.policies.get(domain) is None


@pytest.mark.parametrize("text", ["dns.example", "127.0.0.1:dns", "127.0.0.1:99999", ":53"])
def test_a_resolver_that_is_no_address_is_wrong_use(run: Run, text: str) -> None:
    done = run("add", "contoso.com", "--mx-from-dns", "--resolver", text)
    assert done.exit_code == 2
    assert "ADDRESS[:PORT]" in done.stderr


class TestDropMx:
    def _add(self, store: Store, *mx: str) -> None:
        policy = Policy(mode="enforce", mx=mx, max_age=604800)
        store.history.record(store.policies.add("fabrikam.com", policy), store.policies, by="test")

    def test_it_is_refused_while_dns_lists_a_host_that_only_this_pattern_covers(
        self, run: Run, store: Store, resolver: str
    ) -> None:
        self._add(store, "mx1.fabrikam.com", "mx2.fabrikam.com")
        words = ("edit", "fabrikam.com", "--drop-mx", "mx2.fabrikam.com", "--resolver", resolver)
        done = run(*words)
        assert done.exit_code == 1
        assert "DNS still lists mx2.fabrikam.com" in done.stderr
        assert _row(store, "fabrikam.com").policy.mx == ("mx1.fabrikam.com", "mx2.fabrikam.com")
        assert run(*words, "--force", "--note", "it is down for good").exit_code == 0
        assert store.history.revisions("fabrikam.com")[-1].note == "it is down for good"

    def test_it_is_done_once_dns_has_moved_on(
        self, run: Run, store: Store, resolver: str, zone: dict[str, dict[str, list[str]]]
    ) -> None:
        self._add(store, "mx1.fabrikam.com", "mx2.fabrikam.com")
        zone["fabrikam.com"] = {"MX": ["10 mx1.fabrikam.com."]}
        done = run("edit", "fabrikam.com", "--drop-mx", "mx2.fabrikam.com", "--resolver", resolver)
        assert done.exit_code == 0, done.output
        assert _row(store, "fabrikam.com").policy.mx == ("mx1.fabrikam.com",)

    def test_it_is_refused_where_dns_does_not_answer(self, run: Run, store: Store) -> None:
        self._add(store, "mx1.fabrikam.com", "mx2.fabrikam.com")
        done = run("edit", "fabrikam.com", "--drop-mx", "mx2.fabrikam.com", "--resolver", "127.0.0.1:1")
        assert done.exit_code == 1
        assert "could not be looked up" in done.stderr


def test_list_says_how_dns_stands_to_each_domain(
    run: Run, store: Store, resolver: str, zone: dict[str, dict[str, list[str]]]
) -> None:
    for domain in ("fabrikam.com", "two.example", "missing.example", "right.example"):
        revision = store.history.record(store.policies.add(domain, _POLICY), store.policies, by="test")
        if domain == "right.example":
            zone[f"_mta-sts.{domain}"] = {"TXT": [f"v=STSv1; id={revision.id};"]}
    listed = json.loads(run("list", "--dns", "--json", "--resolver", resolver).stdout)
    assert {item["domain"]: item["dns"] for item in listed} == {
        "fabrikam.com": "unknown id",
        "missing.example": "missing",
        "right.example": "right",
        "two.example": "two records",
    }
    screen = run("list", "--dns", "--resolver", resolver).stdout
    assert "two records" in screen
    assert max(map(len, screen.splitlines())) <= 80


class TestImport:
    @pytest.mark.parametrize("name", ["accepted_domains_powershell.csv", "accepted_domains_admin_center.csv"])
    def test_accepted_domains_come_in_with_the_patterns_of_their_mx_records(
        self, run: Run, store: Store, resolver: str, name: str
    ) -> None:
        done = run("import", str(_IMPORTS / name), "--mx-from-dns", "--resolver", resolver)
        assert done.exit_code == 0, done.output
        rows = {row.domain: row.policy for row in store.policies.rows() if isinstance(row, Row)}
        assert rows == {
            "contoso.com": Policy(mode="testing", mx=("*.mail.protection.outlook.com",), max_age=1209600),
            "fabrikam.com": Policy(mode="testing", mx=("mx1.fabrikam.com", "mx2.fabrikam.com"), max_age=1209600),
        }

    def test_a_failed_lookup_names_its_line(self, run: Run, store: Store, resolver: str, tmp_path: Path) -> None:
        file = tmp_path / "domains.csv"
        file.write_text("domain,mx\nnull.example,\nfabrikam.com,\nnomx.example,given.example\n")
        done = run("import", str(file), "--mx-from-dns", "--resolver", resolver)
        assert done.exit_code == 1
        assert "line 2: null.example: it says that it takes no mail" in done.stderr
        assert _row(store, "nomx.example").policy.mx == ("given.example",)

    @pytest.mark.usefixtures("policy_host")
    def test_keep_ids_takes_over_the_id_of_the_same_text_and_no_other(
        self, run: Run, store: Store, resolver: str, tmp_path: Path
    ) -> None:
        domains = ("fabrikam.com", "missing.example", "other.example", "served.example", "two.example", "wrong.example")
        for domain in domains:
            (tmp_path / f"{domain}.txt").write_bytes(_POLICY.text.encode())
        (tmp_path / "authority.pem").touch()
        done = run("import", str(tmp_path), "--keep-ids", "--allow-private", "--resolver", resolver)
        assert done.exit_code == 0, done.output
        revisions = {domain: store.history.revisions(domain)[-1] for domain in domains}
        kept = {domain: revision.id for domain, revision in revisions.items() if revision.id != revision.key}
        assert kept == {"fabrikam.com": "20200101a", "served.example": "served1"}
        told = {line.split(": ")[1]: line.split(": ", 2)[2] for line in done.stdout.splitlines()[:-1]}
        assert "unchecked" in told["fabrikam.com"]
        assert told["served.example"] == "keeps the id served1"
        assert "serves another policy" in told["other.example"]
        assert "two records" in told["two.example"]
        assert json.loads(run("list", "--dns", "--json", "--resolver", resolver).stdout)[3]["dns"] == "right"
