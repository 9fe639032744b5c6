"""TLS reports over HTTPS through the real worker library: by Postfix's reporter, and as other senders' posts look."""

import gzip
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from azure.data.tables import TableClient

from dev.azurite import Azurite
from dev.hostile_reports import HostilePost, hostile_posts
from policy_store.tables.report_row import ReportRow
from policy_store.tables.reports import TABLE, ReportTable
from policy_store.tlsrpt.mails import find
from tests.end_to_end.conftest import HostProcess, write_row
from tests.end_to_end.senders.front import TlsFront
from tests.end_to_end.senders.postfix_reports import PostfixReports
from tests.tlsrpt.making import entry, report, rows

_YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).date()
_POLICY = ("version: STSv1", "mode: testing", "mx: mx1.postfix.example", "max_age: 604800")


@pytest.fixture(scope="module")
def host(azurite: Azurite, start_host: Callable[[Mapping[str, str]], HostProcess]) -> HostProcess:
    return start_host({"POLICY_STORE": azurite.connection_string, "POLICY_TLSRPT": "on"})


@pytest.fixture(scope="module")
def ca_file(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def front(ca: trustme.CA, host: HostProcess) -> Iterator[TlsFront]:
    with TlsFront(ca, ("127.0.0.1", host.port), lambda name: name) as front:
        yield front


@pytest.fixture(scope="module")
def reports(azurite: Azurite) -> Iterator[ReportTable]:
    with TableClient.from_connection_string(azurite.connection_string, TABLE) as client:
        yield ReportTable(client)


def _stored(reports: ReportTable, domain: str) -> list[ReportRow]:
    return reports.of_domain(domain, _YESTERDAY, _YESTERDAY, raw=True)


class TestPostfix:
    @pytest.fixture
    def sender(self, tmp_path: Path, ca_file: Path) -> Iterator[PostfixReports]:
        with PostfixReports(tmp_path, ca_file) as sender:
            yield sender

    def test_its_report_of_a_day_arrives_over_tls_and_its_mail_is_the_same_report(
        self, sender: PostfixReports, front: TlsFront, reports: ReportTable, policies_client: TableClient
    ) -> None:
        write_row(policies_client, "postfix.example", mode="testing", mx="mx1.postfix.example")
        rua = f"https://localhost:{front.port}/v1/tlsrpt,mailto:tls@postfix.example"
        sender.sessions("postfix.example", rua, _POLICY, ok=5, failed=2, mx="mx1.postfix.example", without=1)
        sender.roll_the_day()
        sender.deliver(lambda: bool(_stored(reports, "postfix.example")) and sender.mails.exists())
        posted = {row.type: row for row in _stored(reports, "postfix.example")}
        assert posted.keys() == {"sts", "no-policy-found"}
        row = posted["sts"]
        assert (row.organization, row.reporter, row.ok, row.failed) == ("Contoso Sender", "sender.example", 5, 2)
        assert row.text.split("\n") == list(_POLICY)
        assert [(failure.type, failure.mx_host, failure.sessions) for failure in row.failures] == [
            ("certificate-expired", "mx1.postfix.example", 2)
        ]
        assert row.agent.startswith("curl/")
        (mailed,) = find(sender.mails)
        keys = {(row.partition, row.key) for row in rows(mailed.octets, via="imported")}
        assert keys == {(row.partition, row.key) for row in posted.values()}

    def test_it_posts_to_no_host_whose_certificate_it_does_not_trust(
        self, tmp_path: Path, front: TlsFront, reports: ReportTable, policies_client: TableClient
    ) -> None:
        """So the record names a host whose certificate is always valid; it tries again, and gives up in the end."""
        write_row(policies_client, "untrusted.example", mode="testing", mx="mx1.postfix.example")
        other = tmp_path / "other.pem"
        trustme.CA().cert_pem.write_to_path(str(other))
        with PostfixReports(tmp_path, other) as sender:
            rua = f"https://localhost:{front.port}/v1/tlsrpt"
            sender.sessions("untrusted.example", rua, _POLICY, ok=1, mx="mx1.postfix.example")
            sender.roll_the_day()
            sender.deliver(lambda: "exit code 60" in sender.log("tlsrpt-reportd"))
            assert sender.delivered == ["None"]
        assert _stored(reports, "untrusted.example") == []


class TestCurl:
    """Posts as senders' own code makes them, by curl: media type, compression, agent, HTTP version."""

    @pytest.mark.parametrize(
        ("name", "words", "packed"),
        [
            ("halon", ("-A", "node-fetch/1.0", "-H", "Content-Type: application/tlsrpt+json", "--insecure"), False),
            ("stalwart", ("-A", "Stalwart/1.0.0", "-H", "Content-Type: application/tlsrpt+gzip"), True),
            ("wrong-type", ("-H", "Content-Type: application/json"), True),
            ("form", (), False),
            ("chunked", ("-H", "Transfer-Encoding: chunked", "-H", "Content-Type: application/tlsrpt+gzip"), True),
            ("expect", ("-H", "Expect: 100-continue", "-H", "Content-Type: application/tlsrpt+gzip"), True),
        ],
    )
    def test_it_is_201_and_the_second_time_200(
        self,
        front: TlsFront,
        ca_file: Path,
        policies_client: TableClient,
        name: str,
        words: tuple[str, ...],
        packed: bool,
    ) -> None:
        domain = f"{name}.example"
        write_row(policies_client, domain)
        plain = report(_YESTERDAY, entry(domain, ok=1), reporter="sender.example")
        body = gzip.compress(plain) if packed else plain
        assert [_curl(front, ca_file, body, *words) for _ in range(2)] == ["201", "200"]

    def test_a_policy_host_a_get_and_a_stranger_are_404(
        self, front: TlsFront, ca_file: Path, host: HostProcess
    ) -> None:
        body = report(_YESTERDAY, entry("contoso.example", ok=1))
        assert _curl(front, ca_file, body, "-H", "Host: mta-sts.contoso.example") == "404"
        assert _curl(front, ca_file, report(_YESTERDAY, entry("stranger.example", ok=1))) == "404"
        assert host.send({"Host": "localhost"}, path="/v1/tlsrpt").status == 404

    @pytest.mark.parametrize("post", list(hostile_posts()), ids=lambda post: post.name)
    def test_a_hostile_post_gets_the_answer_that_it_is_worth(
        self, front: TlsFront, ca_file: Path, host: HostProcess, post: HostilePost
    ) -> None:
        assert _curl(front, ca_file, post.body) == str(post.status)
        assert host.ask("contoso.example").status == 200


def test_without_the_setting_there_is_no_such_route(
    azurite: Azurite, start_host: Callable[[Mapping[str, str]], HostProcess]
) -> None:
    host = start_host({"POLICY_STORE": azurite.connection_string, "POLICY_TLSRPT": "off"})
    body = json.dumps({}).encode()
    done = subprocess.run(
        [
            "curl",
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "--data-binary",
            "@-",
            f"http://127.0.0.1:{host.port}/v1/tlsrpt",
        ],
        input=body,
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert done.stdout == b"404"


def _curl(front: TlsFront, ca_file: Path, body: bytes, *words: str) -> str:
    """The status of a post over TLS."""
    done = subprocess.run(
        [
            *("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", str(ca_file), "--data-binary", "@-"),
            *words,
            f"https://localhost:{front.port}/v1/tlsrpt",
        ],
        input=body,
        capture_output=True,
        check=True,
        timeout=30,
        text=False,
    )
    return done.stdout.decode()
