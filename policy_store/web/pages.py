"""From data to a page: the templates, the words and marks that they share, and forms that only our own pages send."""

import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from azure.core.exceptions import AzureError
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from policy_store.durations import in_words
from policy_store.names import unicode_name
from policy_store.printable import clean
from policy_store.times import age, shown, shown_due
from policy_store.web.shelf import Reading
from policy_store.web.site import Site
from policy_store.web.tasks import Busy, failure

type View = Callable[[Request], Response]
type FormView = Callable[[Request, FormData], Response]

FOLDER = Path(__file__).parent
_OURS = {404: "There is no such page.", 405: "A form cannot be sent here."}  # in place of the words of HTTP
_MOST_FIELDS, _MOST_FILES, _LARGEST_FIELD = 400, 20, 200_000


@cache
def environment() -> Environment:
    """The templates: whatever is put into one is escaped, and shown without what a page would obey. The filter
    `unchanged` is for values that a form sends back.
    """
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: clean(value) if type(value) is str else value,
    )
    made.filters |= {
        "when": when,
        "due": due,
        "seconds": in_words,
        "people": unicode_name,
        "unchanged": Markup.escape,
        "broken": broken,
        "arrows": arrows,
        "path": lambda text: quote(text, safe=""),
        "number": lambda value: f"{value:,}",
        "sentence": sentence,
    }
    made.globals |= {"age": age, "query": query, "plural": plural}
    return made


def render(name: str, **context: Any) -> str:
    """The text of a template."""
    return environment().get_template(name).render(**context)


def page(request: Request, name: str, status: int = 200, *, live: bool = False, **context: Any) -> Response:
    """A page of the site; a `live` one is asked for again after a second, by the browser where there is no script."""
    site = site_of(request)
    text = render(
        name,
        site=site,
        csrf=site.session.csrf,
        read_only=site.read_only,
        back=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        here=request.url.path.split("/")[1],
        live=live,
        static=False,
        desk=site.desk(),
        **context,
    )
    return HTMLResponse(text, status)


def site_of(request: Request) -> Site:
    """What the page works with."""
    site: Site = request.app.state.site
    return site


def looking(view: View) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of a page, which may wait for the store."""

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(view, request)

    return endpoint


def posting(view: FormView, *, changes: bool = True) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of a form: it takes those of our own pages only, and none that `changes` something where the page
    was started to look only.
    """

    async def endpoint(request: Request) -> Response:
        site = site_of(request)
        if changes and site.read_only:
            raise HTTPException(403, "This page was started with --read-only: it changes nothing.")
        fields = request.form(max_files=_MOST_FILES, max_fields=_MOST_FIELDS, max_part_size=_LARGEST_FIELD)
        async with fields as form:
            if not site.session.wrote(text_of(form, "csrf")):
                raise HTTPException(403, "This form is not of this page: open the page again.")
            return await run_in_threadpool(view, request, form)

    return endpoint


def text_of(form: FormData, name: str) -> str:
    """A field of a form that is text, empty where there is none; line ends are LF."""
    value = form.get(name, "")
    return value.replace("\r\n", "\n").strip() if isinstance(value, str) else ""


def texts_of(form: FormData, name: str) -> list[str]:
    """All fields with this name that are text."""
    return [value for value in form.getlist(name) if isinstance(value, str)]


def go(path: str) -> Response:
    """Have the browser look at another page, after a form or in place of one."""
    return RedirectResponse(path, 303)


def reading_of(request: Request) -> Reading | None:
    """The whole store as it was read last; None while it is read for the first time."""
    return site_of(request).shelf.reading()


def still_reading(request: Request) -> Response:
    """The page that is shown meanwhile."""
    return page(request, "reading.html", live=True, seen=site_of(request).shelf.seen)


def problem(request: Request, error: Exception) -> Response:
    """The page for what goes wrong, one sentence and what to do."""
    status, words = 500, "An error that nobody expected."
    match error:
        case HTTPException():
            status = error.status_code
            words = _OURS.get(status, error.detail) if error.detail == HTTPStatus(status).phrase else error.detail
        case AzureError():
            status, words = 502, failure(error)
        case Busy():
            status, words = 503, sentence(str(error))
        case ValueError() if type(error).__module__.startswith("policy_store."):
            status, words = 400, sentence(str(error))
    return page(request, "problem.html", status, words=words)


def when(time: datetime, *, local: bool = True) -> Markup:
    """A time in UTC, and the one of this machine beside it where that is another."""
    return _time(time, shown(time), local=local)


def due(time: datetime) -> Markup:
    """A time before which something must not happen."""
    return _time(time, shown_due(time), local=True)


def _time(time: datetime, words: str, *, local: bool) -> Markup:
    here = time.astimezone()
    day = "" if here.date() == time.astimezone(UTC).date() else f"{here:%m-%d} "
    beside = Markup(' <span class="local">({}{} here)</span>').format(day, f"{here:%H:%M}")
    marked = Markup('<time datetime="{}">{}</time>').format(time.astimezone(UTC).isoformat(timespec="seconds"), words)
    return marked + beside if local and here.utcoffset() else marked


def broken(name: str) -> Markup:
    """A name that a line may break after its dots and hyphens."""
    return Markup(re.sub(r"((?<!\*)\.|-(?!-))", r"\1<wbr>", str(Markup.escape(clean(name)))))  # noqa: S704 - escaped before


def arrows(text: str) -> Markup:
    """Differences in words, whose arrows no line breaks; their names break as `broken` has it."""
    return Markup(' <span class="nobr">-&gt;</span> ').join(map(broken, text.split(" -> ")))


def plural(count: int, noun: str) -> str:
    """A number with its noun: `1 domain`, `2 domains`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def sentence(text: str) -> str:
    """A text with a capital and a full stop."""
    text = text.strip()
    first = text.partition(" ")[0]
    if first.rstrip(":,;").isalpha():  # a name or an address stays as it is
        text = first.capitalize() + text[len(first) :] if first.islower() else text
    return text if text.endswith((".", "?", "!")) else f"{text}."


def query(path: str, parts: dict[str, Any], **changes: Any) -> str:
    """A path with a query: `parts` with `changes`, those left out that are empty."""
    wanted: dict[str, Any] = {**parts, **changes}
    pairs: list[tuple[str, str]] = []
    for name, value in wanted.items():
        many: Iterable[Any] = value if isinstance(value, list | tuple) else (value,)
        pairs += [(name, str(one)) for one in many if one not in ("", None, 0, False)]
    return f"{path}?{urlencode(pairs)}" if pairs else path
