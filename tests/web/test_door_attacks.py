"""Attacks on the door that need more than a wrong header: other sessions, other addresses, slow senders, cut names."""

import asyncio
import http.client
import socket
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from starlette.types import Message, Receive, Scope, Send

from policy_store.changes.records import Wanted
from policy_store.web.door import Door
from policy_store.web.session import Session
from policy_store.web.site import Site
from tests.web.conftest import Office, serving
from tests.web.visitor import Visitor

_NEAR = (
    ("GET", "/static/nothing.css"),
    ("GET", "/static/../domains"),
    ("GET", "/static/%2e%2e/domains"),
    ("GET", "/static/"),
    ("GET", "/static/page.css/"),
    ("GET", "//static/page.css/x"),
    ("POST", "/static/page.css"),
    ("POST", "/enter"),
    ("HEAD", "/enter/"),
)


def test_a_stranger_learns_neither_the_store_nor_who_works_here(port: int, office: Office) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for method, path in _NEAR:
        connection.request(method, path, headers={"origin": f"http://127.0.0.1:{port}"})
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 403, path
        assert office.store.name not in text, path
        assert office.by not in text, path
    connection.close()


_HOSTS = (
    "127.0.0.1.:{port}",
    "127.1:{port}",
    "0.0.0.0:{port}",
    "2130706433:{port}",
    "localhost.:{port}",
    "mta-sts.localhost:{port}",
    "127.0.0.1.nip.io:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "[::1%25lo]:{port}",
    "[::1]",
    "::1:{port}",
    "127.0.0.1:{port}@evil.example",
    "evil.example:{port}",
    "127.0.0.1:0{port}",
    "127.0.0.1:{port}, evil.example",
)


def test_no_other_spelling_of_the_host_comes_in(visitor: Visitor) -> None:
    for host in _HOSTS:
        answer = visitor.client.get("/", headers={"host": host.format(port=visitor.port)})
        assert answer.status_code in (400, 421), host
        assert "Overview" not in answer.text, host


def test_what_a_proxy_would_say_of_the_host_does_not_count(visitor: Visitor) -> None:
    headers = {"host": "evil.example", "x-forwarded-host": f"127.0.0.1:{visitor.port}", "forwarded": "host=127.0.0.1"}
    assert visitor.client.get("/", headers=headers).status_code == 421


def test_a_request_line_with_an_address_of_its_own_opens_nothing(visitor: Visitor) -> None:
    with socket.create_connection(("127.0.0.1", visitor.port)) as raw:
        raw.sendall(f"GET http://evil.example/ HTTP/1.1\r\nHost: 127.0.0.1:{visitor.port}\r\n\r\n".encode())
        assert b" 403 " in raw.recv(100)
    with socket.create_connection(("127.0.0.1", visitor.port)) as raw:
        raw.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b" 421 " in raw.recv(100)


@pytest.fixture
def ipv6(port: int) -> str:
    """The address of the page under IPv6."""
    try:
        socket.create_connection(("::1", port)).close()
    except OSError:  # a machine without IPv6 serves under IPv4 alone
        return f"http://127.0.0.1:{port}"
    return f"http://[::1]:{port}"


def test_under_ipv6_the_same_rules_hold(ipv6: str, site: Site) -> None:
    with httpx2.Client(base_url=ipv6) as client:
        assert client.get("/").status_code == 403
        client.get("/enter", params={"token": site.session.token})
        assert client.get("/").status_code in (200, 303)
        form = {"csrf": site.session.csrf}
        other = {"origin": ipv6.replace("[::1]", "127.0.0.1").replace("//127.0.0.1", "//localhost")}
        assert client.post("/read-again", data=form, headers=other).status_code == 403
        assert client.post("/read-again", data=form, headers={"origin": ipv6}).status_code == 303


@pytest.fixture
def other(office: Office) -> Iterator[tuple[Visitor, Site]]:
    """A second page, over the same store."""
    site = Site.over(office.desk, wanted=Wanted())
    with serving(site) as port, Visitor.at(port, site.session.token) as visitor:
        yield visitor, site


def test_neither_cookie_nor_form_of_another_page_counts(
    visitor: Visitor, other: tuple[Visitor, Site], port: int
) -> None:
    theirs, site = other
    assert visitor.client.post("/add", data={"csrf": site.session.csrf}, headers=visitor.origin).status_code == 403
    value = next(iter(theirs.client.cookies.values()))
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert client.get("/", headers={"cookie": f"mta-sts-{port}={value}"}).status_code == 403
        assert client.get("/enter", params={"token": site.session.token}).status_code == 403


def test_a_cookie_that_another_server_of_this_machine_set_locks_nobody_out(visitor: Visitor, port: int) -> None:
    mine = next(iter(visitor.client.cookies.values()))
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for cookie in (f"mta-sts-{port}=theirs; mta-sts-{port}={mine}", f'x="\\"; mta-sts-{port}={mine}'):
            assert client.get("/plan", headers={"cookie": cookie}).status_code == 200


def test_another_site_cannot_put_a_page_into_its_own(visitor: Visitor) -> None:
    """Another port of this machine is another site for us, yet the browser sends it our cookie."""
    for where in ("cross-site", "same-site"):
        for what in ("iframe", "script", "image", "style", "empty", "embed", "object"):
            headers = {"sec-fetch-site": where, "sec-fetch-dest": what}
            assert visitor.client.get("/domains", headers=headers).status_code == 403, (where, what)


def test_a_link_of_another_program_opens_the_page(visitor: Visitor) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"}
    assert visitor.client.get("/plan", headers=headers).status_code == 200


def test_the_address_leads_on_in_the_browser_that_it_opened(visitor: Visitor, site: Site) -> None:
    again = visitor.client.get("/enter", params={"token": site.session.token})
    assert again.status_code == 200
    assert 'href="/"' in again.text
    assert "set-cookie" not in again.headers


def test_the_token_goes_into_no_referer(visitor: Visitor, stranger: httpx2.Client) -> None:
    for client in (visitor.client, stranger):
        assert '<meta name="referrer" content="no-referrer">' in client.get("/enter?token=x").text


def test_a_hundred_ticked_domains_with_long_names_fit_into_an_address(visitor: Visitor) -> None:
    query = "&".join(f"domain={number:060}.{'a' * 63}.{'b' * 63}.{'c' * 50}.example" for number in range(100))
    assert visitor.client.get(f"/edit?{query}").status_code == 200


def test_more_fields_files_or_bytes_than_a_form_has_are_refused(visitor: Visitor, site: Site) -> None:
    csrf = {"csrf": site.session.csrf}
    many = {**csrf, **{f"domain{number}": "x" for number in range(500)}}
    assert visitor.client.post("/edit", data=many, headers=visitor.origin).status_code == 400
    files = [("file", (f"{number}.json", b"{}")) for number in range(30)]
    assert visitor.client.post("/reports", data=csrf, files=files, headers=visitor.origin).status_code == 400
    broken = {**visitor.origin, "content-type": "multipart/form-data; boundary=x"}
    assert visitor.client.post("/import", content=b"--y\r\n\r\n", headers=broken).status_code in (400, 403)


def test_who_sends_too_slowly_is_sent_away() -> None:
    said: list[Message] = []

    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            await receive()

    async def slow() -> Message:
        await asyncio.sleep(60)
        raise AssertionError

    async def send(message: Message) -> None:
        said.append(message)

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"127.0.0.1:1")]}
    asyncio.run(Door(reads, 1, Session(), ["/"], longest_pause=0.01)(scope, slow, send))
    assert said[0]["status"] == 408
