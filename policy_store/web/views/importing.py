"""Bringing in many policies: a file is uploaded, every row and problem is shown, then it is written."""

import re
import tempfile
from dataclasses import replace
from pathlib import Path

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from policy_store.changes.change import Planned
from policy_store.changes.desk import Desk
from policy_store.exchange.importer import Importer
from policy_store.exchange.proposal import Proposal
from policy_store.exchange.sources import together, unread_lines
from policy_store.web.drafts import Wish
from policy_store.web.pages import go, page, site_of, text_of

MOST = 100_000  # domains of one file
_PIECE = 64 * 1024


def ask(request: Request) -> Response:
    """The form for a file."""
    return page(request, "import.html", problem="", texts={"customer": ""})


def take(request: Request, form: FormData) -> Response:
    """Look at what a file comes to."""
    site, file = site_of(request), form.get("file")
    texts = {"customer": text_of(form, "customer")}
    if not isinstance(file, UploadFile) or not file.filename:
        return page(request, "import.html", 400, problem="Choose a file first.", texts=texts)
    found = _read(file)
    if len(found) > MOST:
        problem = f"The file has {len(found):,} rows: import at most {MOST:,} at a time."
        return page(request, "import.html", 400, problem=problem, texts=texts)
    mx_from_dns, keep_ids = bool(text_of(form, "mx_from_dns")), bool(text_of(form, "keep_ids"))
    update = bool(text_of(form, "update"))

    def decide(desk: Desk, item: object, wish: Wish) -> Planned:
        importer = Importer(
            desk,
            mx_from_dns=mx_from_dns,
            keep_ids=keep_ids,
            update=update,
            customer=texts["customer"] or None,
            why=wish.why,
            force=wish.force,
        )
        return importer.decide(item)  # type: ignore[arg-type]

    title = f"Import {shown_name(file)}"
    wish = Wish(
        title,
        "imported",
        found,
        decide,
        name_of=_domain,
        place_of=_place,
        back="/import",
        said=list(unread_lines(found)),
    )
    return go(f"/changes/{site.drafts.start(site.desk(), wish)}")


def _read(file: UploadFile) -> list[Proposal]:
    """What the file says, by its own name."""
    shown = shown_name(file)
    with tempfile.TemporaryDirectory(prefix="mta-sts-") as folder:
        path = Path(folder) / f"upload{'.json' if shown.lower().endswith('.json') else '.csv'}"
        with path.open("wb") as copy:
            while piece := file.file.read(_PIECE):
                copy.write(piece)
        return [_named(proposal, shown) for proposal in together([path])]


def _named(proposal: Proposal, name: str) -> Proposal:
    """The proposal with this name for its file."""
    problems = tuple(finding.model_copy(update={"file": name}) for finding in proposal.problems)
    return replace(proposal, file=name, problems=problems)


def shown_name(file: UploadFile) -> str:
    """The name that the browser gave, without folders, and not too long."""
    return re.split(r"[/\\]", file.filename or "")[-1][:80] or "the file"


def _domain(item: object) -> str:
    return getattr(item, "domain", None) or ""


def _place(item: object) -> str:
    return str(getattr(item, "place", ""))
