"""The TLS reports of all domains, and bringing in mailed ones."""

from collections.abc import Iterator

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from policy_store.exchange.reports import ImportedReport, import_reports
from policy_store.tlsrpt.mails import Found, find_in
from policy_store.web.charts import sessions_chart
from policy_store.web.pages import page, reading_of, site_of, still_reading
from policy_store.web.shelf import Reading
from policy_store.web.views.importing import shown_name
from policy_store.web.views.overview import days_of

_SHOWN = 500


def show(request: Request) -> Response:
    """What senders reported, domain by domain."""
    reading = reading_of(request)
    return still_reading(request) if reading is None else _page(request, reading)


def take(request: Request, form: FormData) -> Response:
    """Bring in the files, and say what became of each report in them."""
    site, reading = site_of(request), reading_of(request)
    if reading is None:
        return still_reading(request)
    files = [file for file in form.getlist("file") if isinstance(file, UploadFile) and file.filename]
    if not files:
        return _page(request, reading, problem="Choose a file first.")
    desk = site.desk()
    results = list(import_reports(_found(files), desk.store.policies, desk.store.reports, now=desk.now))
    site.shelf.read_again()
    return _page(request, site.shelf.reading() or reading, results)


def _found(files: list[UploadFile]) -> Iterator[Found]:
    for file in files:
        yield from find_in(file.file.read(), shown_name(file))


def _page(
    request: Request, reading: Reading, results: list[ImportedReport] | None = None, problem: str = ""
) -> Response:
    reported = reading.reported or {}
    states = sorted((one.state for one in reported.values()), key=lambda state: (-state.failed, state.domain))
    days = days_of(reported)
    return page(
        request,
        "reports.html",
        400 if problem else 200,
        reading=reading,
        states=states[:_SHOWN],
        more=max(0, len(states) - _SHOWN),
        days=days,
        chart=sessions_chart(days, reading.time),
        results=results,
        problem=problem,
    )
