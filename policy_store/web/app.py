"""The page as an application: which address leads to which view."""

from azure.core.exceptions import AzureError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from policy_store.web.door import ENTRANCE, Door
from policy_store.web.pages import FOLDER, looking, posting, problem, render, site_of
from policy_store.web.site import Site
from policy_store.web.tasks import Busy
from policy_store.web.views import audit, changes, domain, domains, edit, history, importing, overview, plan, reports

_STATIC = {path.name: path for path in sorted((FOLDER / "static").iterdir())}
_EVERYBODY = (ENTRANCE, *(f"/static/{name}" for name in _STATIC))


def application(site: Site, port: int) -> ASGIApp:
    """The page for a browser at `port` of this machine, behind its door."""
    inner = Starlette(routes=ROUTES)
    door = Door(inner, port, site.session, _EVERYBODY)
    inner.state.site, inner.state.cookie = site, door.cookie
    for kind in (HTTPException, AzureError, ValueError, Busy):
        inner.add_exception_handler(kind, _explained)
    return door


async def _explained(request: Request, error: Exception) -> Response:
    if isinstance(error, ValueError) and not type(error).__module__.startswith("policy_store."):
        raise error
    return problem(request, error)


async def _enter(request: Request) -> Response:
    """Change the token for the cookie. The way on is a page of its own: after a redirect from another program a browser
    would not send the cookie yet. A browser that has the cookie is led on, too.
    """
    session, cookie = site_of(request).session, None
    opened = session.knows(request.cookies.get(request.app.state.cookie, ""))
    if request.method == "GET" and not opened:
        cookie = session.open(request.query_params.get("token", ""))
        opened = cookie is not None
    answer = HTMLResponse(render("enter.html", opened=opened), 200 if opened else 403)
    if cookie:
        answer.set_cookie(request.app.state.cookie, cookie, httponly=True, samesite="strict", path="/")
    return answer


async def _static(request: Request) -> Response:
    path = _STATIC.get(request.path_params["name"])
    if path is None:
        raise HTTPException(404)
    return FileResponse(path)


def _look(path: str, view: object) -> Route:
    return Route(path, looking(view), methods=["GET"])  # type: ignore[arg-type]


def _form(path: str, view: object, *, changes: bool = True) -> Route:
    return Route(path, posting(view, changes=changes), methods=["POST"])  # type: ignore[arg-type]


ROUTES = [
    Route(ENTRANCE, _enter),
    Route("/static/{name}", _static),
    _look("/", overview.show),
    _form("/read-again", overview.read_again, changes=False),
    _look("/domains", domains.show),
    _look("/add", edit.ask_add),
    _form("/add", edit.add),
    _look("/edit", edit.ask_many),
    _form("/edit", edit.many),
    _look("/domains/{domain}", domain.show),
    _form("/domains/{domain}/check", domain.check, changes=False),
    _look("/domains/{domain}/edit", edit.ask_one),
    _form("/domains/{domain}/edit", edit.one),
    _form("/domains/{domain}/promote", edit.promote),
    _form("/domains/{domain}/retire", edit.retire),
    _form("/domains/{domain}/remove", edit.remove),
    _form("/domains/{domain}/rollback", edit.roll_back),
    _look("/changes/{id}", changes.show),
    _form("/changes/{id}/confirm", changes.confirm),
    _form("/changes/{id}/again", changes.again),
    _look("/import", importing.ask),
    _form("/import", importing.take),
    _look("/reports", reports.show),
    _form("/reports", reports.take),
    _look("/plan", plan.show),
    _look("/audit", audit.show),
    _form("/audit", audit.run),
    _look("/history", history.show),
    _form("/history/undo", history.take_back),
]
