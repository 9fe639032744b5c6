"""What the app answers over HTTP while the table service works: each kind of host, row and edit."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from azure.data.tables import TableClient

from dev.azurite import Azurite
from policy_store.tables.history import History
from policy_store.tables.policies import PolicyTable
from tests.end_to_end.conftest import HostProcess, wait_for, write_row
from tests.end_to_end.faults import FaultProxy

_TEXT = b"version: STSv1\r\nmode: enforce\r\nmx: mx1.example.net\r\nmx: *.example.net\r\nmax_age: 604800\r\n"
_TESTING = _TEXT.replace(b"enforce", b"testing")

type StartHost = Callable[[Mapping[str, str]], HostProcess]


@pytest.fixture(scope="module")
def proxy(azurite: Azurite) -> Iterator[FaultProxy]:
    """Count the requests to the table service."""
    with FaultProxy(azurite.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def host(azurite: Azurite, proxy: FaultProxy, start_host: StartHost, policies_client: TableClient) -> HostProcess:
    """Run the app with the default settings, and wait for its first look at the table."""
    for name in ("valid", "head", "spelt", "counted", "waits", "shared", "logged"):
        write_row(policies_client, f"{name}.example", note="never served")
    host = start_host({"POLICY_STORE": azurite.connection_string.replace(f":{azurite.port}/", f":{proxy.port}/")})
    wait_for(lambda: host.health()["look_age"] is not None, 5)
    return host


@pytest.fixture(scope="module")
def eagers_proxy(azurite: Azurite) -> Iterator[FaultProxy]:
    """Count the requests of `eager`."""
    with FaultProxy(azurite.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def eager(azurite: Azurite, eagers_proxy: FaultProxy, start_host: StartHost) -> HostProcess:
    """Run the app with a fresh time of no seconds, so that every request reads."""
    return start_host(
        {
            "POLICY_STORE": azurite.connection_string.replace(f":{azurite.port}/", f":{eagers_proxy.port}/"),
            "POLICY_FRESH_SECONDS": "0",
            "POLICY_HOST_HEADER": "X-Forwarded-Host",
        }
    )


class TestValidRow:
    def test_get_gives_exactly_the_policy(self, host: HostProcess, policies_client: TableClient) -> None:
        row = PolicyTable(policies_client).get("valid.example")
        assert row
        answer = host.ask("valid.example")
        assert (answer.status, answer.body) == (200, _TEXT)
        answer.headers.pop("date")
        assert answer.headers == {
            "content-type": "text/plain; charset=utf-8",
            "content-length": str(len(_TEXT)),
            "cache-control": "max-age=60",
            "last-modified": format_datetime(row.modified, usegmt=True),
            "x-content-type-options": "nosniff",
        }

    def test_head_gives_the_headers_of_get_and_no_body(self, host: HostProcess) -> None:
        get, head = host.ask("head.example"), host.ask("head.example", "HEAD")
        assert (head.status, head.body) == (200, b"")
        assert head.headers | {"date": ""} == get.headers | {"date": ""}

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
    def test_no_other_method_is_served(self, host: HostProcess, method: str) -> None:
        assert host.send({"Host": "mta-sts.valid.example", "Content-Length": "0"}, method).status == 404

    def test_port_letter_case_and_one_trailing_dot_of_the_host_do_not_count(self, host: HostProcess) -> None:
        assert host.send({"Host": "MTA-STS.Spelt.Example.:8443"}).body == _TEXT


class TestReads:
    def test_what_a_look_has_found_costs_no_read(self, host: HostProcess, proxy: FaultProxy) -> None:
        before = proxy.point_reads
        assert [host.ask("counted.example", method).status for method in ("GET", "HEAD", "GET")] == [200] * 3
        assert [host.ask(f"nobody{number}.example").status for number in range(3)] == [404] * 3
        assert proxy.point_reads == before

    def test_where_nothing_is_fresh_each_request_reads_once(
        self, eager: HostProcess, eagers_proxy: FaultProxy, policies_client: TableClient
    ) -> None:
        write_row(policies_client, "eager.example")
        before = eagers_proxy.point_reads
        assert [eager.ask("eager.example").status for _ in range(3)] == [200] * 3
        assert eagers_proxy.point_reads == before + 3

    def test_reads_of_one_domain_at_once_are_shared(
        self, eager: HostProcess, eagers_proxy: FaultProxy, policies_client: TableClient
    ) -> None:
        write_row(policies_client, "together.example")
        before = eagers_proxy.point_reads
        eagers_proxy.fault = "late"
        try:
            assert {answer.body for answer in eager.ask_all(["together.example"] * 16)} == {_TEXT}
        finally:
            eagers_proxy.fault = None
        assert eagers_proxy.point_reads <= before + 3


class TestLook:
    """The default settings: nobody has to ask for a domain for an edit to be served."""

    def test_edits_new_rows_and_broken_rows_are_served_within_half_a_minute(
        self, host: HostProcess, policies_client: TableClient
    ) -> None:
        assert host.ask("waits.example").body == _TEXT
        write_row(policies_client, "waits.example", mode="testing")
        write_row(policies_client, "added.example")
        write_row(policies_client, "shared.example", mode="enfroce")
        assert host.ask("waits.example").body == _TEXT, "until the next look"
        wait_for(lambda: host.ask("waits.example").body == _TESTING, 30)
        wait_for(lambda: host.ask("added.example").body == _TEXT, 5)
        wait_for(lambda: bool(host.logged(r"^ERROR .* shared\.example .*mode is 'enfroce'")), 5)
        assert host.ask("shared.example").body == _TEXT
        assert host.logged("domain=shared.example outcome=last-good ")

    def test_a_deleted_row_is_gone_after_the_next_look_at_a_small_table(
        self, host: HostProcess, policies_client: TableClient
    ) -> None:
        policies_client.delete_entity("head.example", "policy")
        wait_for(lambda: host.ask("head.example").status == 404, 30)

    def test_a_text_that_was_undone_by_hand_is_a_revision_all_the_same(
        self, eager: HostProcess, policies_client: TableClient, history_client: TableClient
    ) -> None:
        for mode in ("enforce", "testing", "enforce"):
            write_row(policies_client, "undone.example", mode=mode)
            assert eager.ask("undone.example").status == 200
            time.sleep(1)
        history = History(history_client)
        wait_for(lambda: len(history.revisions("undone.example")) == 3, 15)
        revisions = history.revisions("undone.example")
        assert len({revision.id for revision in revisions}) == 3
        assert [revision.policy.mode for revision in revisions] == ["enforce", "testing", "enforce"]
        assert {(revision.by, revision.note) for revision in revisions} == {("audit", "changed by hand")}


class TestNotFound:
    def test_a_domain_without_a_row_has_an_empty_answer(self, host: HostProcess) -> None:
        answer = host.ask("unknown.example")
        assert (answer.status, answer.body, answer.headers["content-length"]) == (404, b"", "0")

    @pytest.mark.parametrize(
        "name",
        [
            "valid.example",
            "www.valid.example",
            "mta-sts",
            "mta-sts.",
            "mta-sts..valid.example",
            "mta-sts.valid.example..",
            "mta-sts.mta_sts.example",
            "mta-sts.127.0.0.1",
            "[::1]:7071",
            "mta-sts.valid.example,mta-sts.other.example",
            "mta-sts.valid.example:port",
            "mta-sts." + "a." * 130 + "example",
        ],
    )
    def test_other_hosts_are_not_found_and_cost_no_read(self, host: HostProcess, proxy: FaultProxy, name: str) -> None:
        before = proxy.point_reads
        answer = host.send({"Host": name})
        assert (answer.status, answer.body) == (404, b"")
        assert proxy.point_reads == before

    def test_a_proxys_header_does_not_count_unless_set(self, host: HostProcess) -> None:
        assert host.send({"Host": "app.example", "X-Forwarded-Host": "mta-sts.valid.example"}).status == 404


class TestEdits:
    """Each edit is seen by the next read."""

    def test_an_edited_row_is_served(self, eager: HostProcess, policies_client: TableClient) -> None:
        write_row(policies_client, "edited.example")
        assert eager.ask("edited.example").body == _TEXT
        write_row(policies_client, "edited.example", mode="testing")
        assert eager.ask("edited.example").body == _TESTING

    def test_a_deleted_row_is_not_found(self, eager: HostProcess, policies_client: TableClient) -> None:
        write_row(policies_client, "deleted.example")
        assert eager.ask("deleted.example").status == 200
        policies_client.delete_entity("deleted.example", "policy")
        answer = eager.ask("deleted.example")
        assert (answer.status, answer.body) == (404, b"")

    def test_a_broken_row_leaves_the_last_copy_in_force(self, eager: HostProcess, policies_client: TableClient) -> None:
        write_row(policies_client, "broken.example")
        good = eager.ask("broken.example")
        write_row(policies_client, "broken.example", mode="enfroce")
        for _ in range(3):
            answer = eager.ask("broken.example")
            assert (answer.status, answer.body, answer.headers["last-modified"]) == (
                200,
                _TEXT,
                good.headers["last-modified"],
            )
        assert eager.logged("answer domain=broken.example outcome=last-good ")
        write_row(policies_client, "broken.example", max_age="a day")
        assert eager.ask("broken.example").body == _TEXT
        errors = eager.logged(r"^ERROR .* broken\.example ")
        assert len(errors) == 2, "one for each version of the row"
        assert "mode is 'enfroce'" in errors[0]
        assert "max_age is 'a day'" in errors[1]
        write_row(policies_client, "broken.example", mode="testing")
        assert eager.ask("broken.example").body == _TESTING

    def test_without_a_copy_the_newest_revision_stands_for_a_broken_row(
        self, eager: HostProcess, policies_client: TableClient, history_client: TableClient
    ) -> None:
        write_row(policies_client, "recorded.example")
        row = PolicyTable(policies_client).get("recorded.example")
        assert row
        revision = History(history_client).record(row, PolicyTable(policies_client), by="test")
        wait_for(lambda: _breaks_later(policies_client, "recorded.example", revision.key), 5)
        answer = eager.ask("recorded.example")
        assert (answer.status, answer.body) == (200, _TEXT)
        assert parsedate_to_datetime(answer.headers["last-modified"]) == revision.since
        assert eager.logged(r"^ERROR .* recorded\.example .*mx is 'no_host'")

    def test_without_any_copy_a_broken_row_is_unavailable(
        self, eager: HostProcess, policies_client: TableClient
    ) -> None:
        write_row(policies_client, "never.example", mx="")
        answers = [eager.ask("never.example") for _ in range(2)]
        assert {(answer.status, answer.body) for answer in answers} == {(503, b"")}
        assert int(answers[0].headers["retry-after"]) > 0
        assert len(eager.logged(r"^ERROR .* never\.example .*mx is ''")) == 1


def _breaks_later(policies_client: TableClient, domain: str, key: str) -> bool:
    """Break the row; whether in another second than the revision's, so that the two times differ."""
    write_row(policies_client, domain, mx="no_host")
    timestamp = policies_client.get_entity(domain, "policy").metadata["timestamp"]
    return f"{timestamp:%Y%m%d%H%M%SZ}" > key


class TestHostHeader:
    """POLICY_HOST_HEADER names the header of a trusted proxy."""

    def test_the_header_that_the_setting_names_counts(self, eager: HostProcess, policies_client: TableClient) -> None:
        write_row(policies_client, "proxied.example")
        answer = eager.send({"Host": "app.example", "X-Forwarded-Host": "mta-sts.proxied.example"})
        assert (answer.status, answer.body) == (200, _TEXT)

    def test_of_several_values_the_first_counts(self, eager: HostProcess, policies_client: TableClient) -> None:
        """Each of two proxies adds its own."""
        write_row(policies_client, "twice.example")
        for values in ("mta-sts.twice.example, app.example", "mta-sts.twice.example,", " mta-sts.twice.example ,x"):
            assert eager.send({"Host": "app.example", "X-Forwarded-Host": values}).body == _TEXT

    def test_without_that_header_the_host_counts(self, eager: HostProcess, policies_client: TableClient) -> None:
        write_row(policies_client, "direct.example")
        assert eager.ask("direct.example").status == 200


class TestLog:
    def test_each_answer_has_one_line_with_domain_outcome_and_agent(self, host: HostProcess) -> None:
        for method in ("GET", "HEAD"):
            host.ask("logged.example", method, **{"User-Agent": "sender/1.0"})
        outcomes = [re.findall(r"(?:outcome|status|agent)=(\S+)", line) for line in host.logged("logged.example")]
        assert outcomes == [["fresh", "200", "'sender/1.0'"]] * 2

    def test_control_characters_of_the_agent_are_escaped(self, host: HostProcess) -> None:
        host.send({"Host": "mta-sts.agent.example", "User-Agent": b"tab\there esc\x1b[31m csi\x9b31m \xe2\x80\xa8"})
        (line,) = host.logged("domain=agent.example ")
        assert line.endswith(r"agent='tab\there esc\x1b[31m csi\x9b31m \xe2\x80\xa8'")

    def test_a_host_that_is_none_of_ours_is_logged_escaped(self, host: HostProcess) -> None:
        host.send({"Host": "evil.example"})
        assert host.logged("domain=- outcome=unknown status=404 .*host='evil.example'")
