"""Nobody comes in but the browser that brought the token, and no other site, name or program acts through it."""

import http.client
import logging
import socket

import httpx2
import pytest
from starlette.routing import Route

from policy_store.changes.records import Wanted
from policy_store.web.app import ROUTES
from policy_store.web.door import LARGEST_FORM, LARGEST_UPLOAD
from policy_store.web.server import PortInUse, listen
from policy_store.web.site import Site
from tests.checkout import tracked
from tests.web.conftest import Office, serving
from tests.web.visitor import Visitor

_FORMS = sorted(
    route.path.replace("{domain}", "contoso.com").replace("{id}", "x")
    for route in ROUTES
    if isinstance(route, Route) and "POST" in (route.methods or ())
)
_PAGES = sorted(
    route.path.replace("{domain}", "contoso.com").replace("{id}", "x")
    for route in ROUTES
    if isinstance(route, Route) and "GET" in (route.methods or ()) and "{name}" not in route.path
    if route.path != "/enter"
)


def test_it_listens_on_this_machine_only() -> None:
    sockets = listen(0)
    try:
        addresses = {one.getsockname()[0] for one in sockets}
        assert addresses <= {"127.0.0.1", "::1"}
        assert "127.0.0.1" in addresses
    finally:
        for one in sockets:
            one.close()


def test_a_port_in_use_is_one_sentence() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(PortInUse, match=r"in use: choose another with --port"):
            listen(other.getsockname()[1])


def test_without_the_cookie_there_is_no_page(stranger: httpx2.Client) -> None:
    for path in _PAGES:
        assert stranger.get(path).status_code == 403, path
        assert stranger.get(path, headers={"cookie": "mta-sts=x; mta-sts-8461=y"}).status_code == 403, path


def test_the_token_opens_one_browser_once(stranger: httpx2.Client, site: Site) -> None:
    assert stranger.head("/enter", params={"token": site.session.token}).status_code in (403, 405)
    assert stranger.get("/enter", params={"token": "x" * 43}).status_code == 403
    first = stranger.get("/enter", params={"token": site.session.token})
    assert first.status_code == 200
    cookie = first.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    with httpx2.Client(base_url=stranger.base_url) as second:
        answer = second.get("/enter", params={"token": site.session.token})
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
    assert stranger.get("/").status_code == 200


def test_another_name_for_this_machine_is_refused(visitor: Visitor) -> None:
    """DNS rebinding: the browser thinks that it asks evil.example, and sends what that set."""
    for host in ("evil.example", "127.0.0.1", "localhost:1", "127.0.0.1:80", "[::2]:8461", "", "x@y"):
        answer = visitor.client.get("/", headers={"host": host})
        assert answer.status_code in (400, 421), host
        assert "Overview" not in answer.text, host


def test_two_hosts_are_refused(visitor: Visitor) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", visitor.port)
    connection.putrequest("GET", "/", skip_host=True)
    connection.putheader("Host", f"127.0.0.1:{visitor.port}")
    connection.putheader("Host", "evil.example")
    connection.endheaders()
    assert connection.getresponse().status in (400, 421)
    connection.close()


@pytest.mark.parametrize(
    "origin",
    [None, "null", "http://evil.example", "http://127.0.0.1:1", "https://127.0.0.1:{port}", "http://localhost:{port}"],
)
def test_a_form_of_another_site_is_refused(visitor: Visitor, site: Site, origin: str | None) -> None:
    headers = {} if origin is None else {"origin": origin.format(port=visitor.port)}
    for path in _FORMS:
        answer = visitor.client.post(path, data={"csrf": site.session.csrf}, headers=headers)
        assert answer.status_code == 403, path


def test_a_form_without_its_token_is_refused(visitor: Visitor) -> None:
    for path in _FORMS:
        for data in ({}, {"csrf": ""}, {"csrf": "x" * 43}):
            answer = visitor.client.post(path, data=data, headers=visitor.origin)
            assert answer.status_code == 403, path
            assert "not of this page" in answer.text, path


def test_a_page_to_look_at_changes_nothing(office: Office) -> None:
    site = Site.over(office.desk, wanted=Wanted(), read_only=True)
    with serving(site) as port, Visitor.at(port, site.session.token) as visitor:
        for path in _FORMS:
            if not path.endswith(("/check", "/read-again")):
                answer = visitor.client.post(path, data={"csrf": site.session.csrf}, headers=visitor.origin)
                assert answer.status_code == 403, path
                assert "--read-only" in answer.text, path


def test_every_answer_holds_the_browser_to_our_own_files(visitor: Visitor) -> None:
    for path in ("/", "/domains", "/nothing", "/static/page.css", "/enter"):
        headers = visitor.client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "same-origin"
        assert "server" not in headers


def test_no_template_has_a_script_or_a_style_of_its_own_or_another_host() -> None:
    for path in tracked("policy_store/web/templates/*.html"):
        text = path.read_text(encoding="utf-8")
        assert "style=" not in text, path
        assert "<style" not in text, path
        assert " onclick" not in text, path
        assert text.count("<script") == text.count('<script src="/static/page.js" defer></script>'), path
        assert "//" not in text.replace("http-equiv", "").replace("://", "//") or "http" not in text.replace(
            "http-equiv", ""
        )
        assert "|safe" not in text, path


def test_what_is_sent_is_bounded_whatever_it_announces(visitor: Visitor, site: Site) -> None:
    def pieces(size: int) -> object:
        yield f"csrf={site.session.csrf}&note=".encode()
        for _ in range(size // 65536 + 2):
            yield b"x" * 65536

    kind = {"content-type": "application/x-www-form-urlencoded", **visitor.origin}
    answer = visitor.client.post("/add", content=pieces(LARGEST_FORM), headers=kind)  # type: ignore[arg-type]
    assert answer.status_code in (400, 413)
    many = {"content-length": str(LARGEST_UPLOAD + 1), **visitor.origin}
    connection = http.client.HTTPConnection("127.0.0.1", visitor.port)
    cookie = "; ".join(f"{name}={value}" for name, value in visitor.client.cookies.items())
    connection.request("POST", "/import", headers={**many, "cookie": cookie})
    assert connection.getresponse().status == 413
    connection.close()


def test_a_stranger_may_not_even_send(stranger: httpx2.Client) -> None:
    origin = {"origin": str(stranger.base_url).rstrip("/")}
    assert stranger.post("/import", files={"file": ("x.csv", b"x" * 5_000_000)}, headers=origin).status_code == 403


def test_neither_token_nor_cookie_is_in_any_log(
    visitor: Visitor, site: Site, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with httpx2.Client(base_url=f"http://127.0.0.1:{visitor.port}") as client:
        client.get("/enter", params={"token": site.session.token})
    visitor.get("/")
    visitor.get("/domains/nothing.example", 404)
    server_lines = "".join(record.getMessage() for record in caplog.records if not record.name.startswith("http"))
    said = server_lines + "".join(capfd.readouterr())
    assert site.session.token not in said
    assert site.session.csrf not in said


def test_other_methods_are_not_known(visitor: Visitor) -> None:
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"):
        assert visitor.client.request(method, "/", headers=visitor.origin).status_code == 405
