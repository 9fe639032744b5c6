"""Everybody's changes, the newest first, and taking them back."""

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from policy_store.changes.change import Planned
from policy_store.changes.desk import Desk
from policy_store.changes.runs import Run, undo
from policy_store.web.drafts import Wish
from policy_store.web.pages import go, page, reading_of, site_of, still_reading, text_of

PAGE = 50  # runs


def show(request: Request) -> Response:
    """One page of the runs, all or those of some person or domain."""
    reading = reading_of(request)
    if reading is None:
        return still_reading(request)
    fields = request.query_params
    by, domain = fields.get("by", "")[:200], fields.get("domain", "")[:253].lower().strip()
    found = [
        run for run in reading.runs if by in ("", run.by) and (not domain or any(domain in d for d in run.domains))
    ]
    pages = max(1, -(-len(found) // PAGE))
    text = fields.get("page", "1")
    number = min(max(int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1, 1), pages)
    return page(
        request,
        "history.html",
        reading=reading,
        runs=found[(number - 1) * PAGE : number * PAGE],
        found=len(found),
        people=sorted({run.by for run in reading.runs}),
        by=by,
        domain=domain,
        number=number,
        pages=pages,
    )


def take_back(request: Request, form: FormData) -> Response:
    """Look at what undoing a run comes to."""
    reading = reading_of(request)
    if reading is None:
        return still_reading(request)
    key = text_of(form, "run")
    run = next((run for run in reading.runs if run.key == key), None)
    if run is None:
        raise HTTPException(404, "This change is no longer in the history: open the page again.")
    site = site_of(request)
    return go(f"/changes/{site.drafts.start(site.desk(), wish(run, text_of(form, 'why')))}")


def wish(run: Run, why: str) -> Wish:
    """The wish to take a run back."""

    def decide(desk: Desk, item: object, wish: Wish) -> Planned:
        return undo(desk, desk.store.entry(str(item)), run, why=wish.why, force=wish.force)

    count = len(run.domains)
    what = f"{count} domains" if count > 1 else run.domains[0]
    return Wish(f"Undo: {what}", "put back", run.domains, decide, why=why, back="/history")
