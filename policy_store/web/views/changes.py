"""A change before it is made, while it is made, and what became of it."""

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from policy_store.changes.change import Change, Planned, difference
from policy_store.web.drafts import LASTS, Draft
from policy_store.web.pages import go, page, site_of, text_of

_SHOWN = 300  # domains; the summary tells of the others
_EACH = 3  # with up to so many, every difference is shown open


def show(request: Request) -> Response:
    """The page of a change."""
    return _show(request, _draft(request))


def confirm(request: Request, form: FormData) -> Response:
    """Make the change, once what the brake asks for is given."""
    site, draft = site_of(request), _draft(request)
    problem = _missing(draft, form, over=draft.over(site.desk().now))
    if problem:
        return _show(request, draft, problem, status=400)
    if draft.take():
        site.drafts.write(draft, site.desk(), site.shelf)
    return go(f"/changes/{request.path_params['id']}")


def again(request: Request, form: FormData) -> Response:
    """Look at the same change once more, with a reason and maybe in spite of refusals."""
    site, draft = site_of(request), _draft(request)
    why, force = text_of(form, "why"), bool(text_of(form, "force"))
    if draft.running:
        return go(f"/changes/{request.path_params['id']}")
    if force and not why:
        return _show(request, draft, "To go ahead anyway, give the reason: the history keeps it.", status=400)
    return go(f"/changes/{site.drafts.again(site.desk(), draft, why=why or draft.wish.why, force=force)}")


def _draft(request: Request) -> Draft:
    draft = site_of(request).drafts.get(request.path_params["id"])
    if draft is None:
        raise HTTPException(404, "This change is not known any more: begin it again. What was done is in the history.")
    return draft


def _missing(draft: Draft, form: FormData, *, over: bool) -> str:
    """What is missing before the change may be made; empty if nothing is."""
    asked = draft.question
    if draft.stage != "shown":
        return ""
    if over:
        return f"This was looked at more than {LASTS.seconds // 60} minutes ago: look again."
    if draft.needs_reason:
        return "This takes protection away from several domains: give the reason."
    if asked is None:
        return ""
    if asked.typed and text_of(form, "count") != str(asked.count):
        return f"Type {asked.count} to go on."
    if not asked.typed and not text_of(form, "sure"):
        return "Tick the box to go on."
    return ""


def _show(request: Request, draft: Draft, problem: str = "", status: int = 200) -> Response:
    site = site_of(request)
    outcomes = draft.outcomes if draft.stage in ("writing", "done", "failed") else draft.changes
    changes = [one for one in outcomes if isinstance(one, Change)]
    others = [one for one in (*outcomes, *draft.others) if not isinstance(one, Change)]
    return page(
        request,
        "change.html",
        status,
        live=draft.running,
        draft=draft,
        id=request.path_params["id"],
        counts=draft.counts(),
        changes=[(one, diff_of(one)) for one in changes[:_SHOWN]],
        more=max(0, len(changes) - _SHOWN),
        others=[(one, _kind(one)) for one in others[:_SHOWN]],
        more_others=max(0, len(others) - _SHOWN),
        open=len(changes) <= _EACH,
        over=draft.over(site.desk().now),
        problem=problem,
    )


def _kind(planned: Planned) -> str:
    return type(planned).__name__.lower()


def diff_of(change: Change) -> list[str]:
    """The lines of the difference that a change makes, without the names of files."""
    before = change.before.text if change.before else ""
    after = change.after.text if change.after else ""
    return [line for line in difference(before, after, ("", "")) if not line.startswith(("---", "+++", "@@"))]
