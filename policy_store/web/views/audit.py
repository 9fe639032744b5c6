"""The audit: what was changed by hand becomes a revision, and what is broken is said."""

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from policy_store.web.pages import go, page, reading_of, site_of, still_reading


def show(request: Request) -> Response:
    """What was recorded last, and what the last audit that was run here found."""
    reading, newest = reading_of(request), site_of(request).audits.newest
    if reading is None:
        return still_reading(request)
    return page(request, "audit.html", live=newest is not None and newest.running, reading=reading, newest=newest)


def run(request: Request, form: FormData) -> Response:
    """Begin an audit."""
    site = site_of(request)
    site.audits.start(site.desk(), site.shelf.read_again)
    return go("/audit")
