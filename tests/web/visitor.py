"""A browser without a screen: it keeps the cookie, follows links and sends forms as they stand in the page."""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape, unescape
from html.parser import HTMLParser
from typing import Self

import httpx2

_SECONDS = 30


class _Forms(HTMLParser):
    """The forms of a page: their actions, those of their buttons too, and the fields that have a value."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, list[tuple[str, str]]]] = []
        self._select = self._area = ""

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        """Take in a form or a field."""
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((given.get("action", ""), []))
        if tag == "button" and "formaction" in given:
            self.forms.append((given["formaction"], self.forms[-1][1]))
        if not self.forms:
            return
        fields, name = self.forms[-1][1], given.get("name", "")
        if tag == "input" and name and given.get("type") not in ("checkbox", "file"):
            fields.append((name, given.get("value", "")))
        elif tag == "select":
            self._select = name
        elif tag == "option" and "selected" in given and self._select:
            fields.append((self._select, given.get("value", "")))
        elif tag == "textarea":
            self._area = name

    def handle_data(self, data: str) -> None:
        """Take in the text of a field of several lines."""
        if self._area:
            self.forms[-1][1].append((self._area, data))
            self._area = ""

    def handle_endtag(self, tag: str) -> None:
        """Leave a field."""
        if tag == "textarea":
            self._area = ""


def words(page: str) -> str:
    """What a page says, without its marks."""
    return unescape(re.sub(r"<[^>]*>", "", page))


class Visitor:
    """One browser with its cookie."""

    def __init__(self, client: httpx2.Client, port: int) -> None:
        self.client, self.port = client, port
        self.origin = {"origin": f"http://127.0.0.1:{port}"}

    @classmethod
    @contextmanager
    def at(cls, port: int, token: str) -> Iterator[Self]:
        """A browser that has opened the page with the token."""
        address = f"http://127.0.0.1:{port}"
        with httpx2.Client(base_url=address, follow_redirects=True, timeout=_SECONDS) as client:
            assert client.get("/enter", params={"token": token}).status_code == 200
            yield cls(client, port)

    def get(self, path: str, status: int = 200) -> str:
        """The page at a path."""
        answer = self.client.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    def send(
        self, page: str, action: str, /, files: object = None, status: int = 200, **fields: str | list[str]
    ) -> tuple[str, str]:
        """Send the form of a page with this action, with other values for some fields; the path and the page then."""
        found = _Forms()
        found.feed(page)
        form = next(values for where, values in found.forms if where == action)
        data: dict[str, str | list[str]] = {}
        for name, value in form:
            known = data.get(name)
            data[name] = value if known is None else [*(known if isinstance(known, list) else [known]), value]
        answer = self.client.post(action, data={**data, **fields}, files=files, headers=self.origin)  # type: ignore[arg-type]
        assert answer.status_code == status, answer.text
        return answer.url.path, answer.text

    def follow(self, page: str, action: str, **fields: str) -> tuple[str, str]:
        """Choose among what the selects of a page offer, and send that as a query; the path and the page then."""
        for text in fields.values():
            assert f'value="{escape(text)}"' in page, text
        answer = self.client.get(action, params=fields)
        assert answer.status_code == 200, answer.text
        return answer.url.path, answer.text

    def csrf(self, page: str) -> str:
        """The token of the forms of a page."""
        found = _Forms()
        found.feed(page)
        return next(value for _, fields in found.forms for name, value in fields if name == "csrf")

    def ended(self, path: str) -> str:
        """The page at a path once nothing goes on there."""
        end = time.monotonic() + _SECONDS
        while " data-live" in (page := self.get(path)):
            assert time.monotonic() < end, page
            time.sleep(0.05)
        return page
