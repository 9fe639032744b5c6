"""What has to be done next, and when, in all domains."""

from itertools import groupby

from starlette.requests import Request
from starlette.responses import Response

from policy_store.web.pages import page, reading_of, still_reading
from policy_store.web.views.domains import Filter

_SHOWN = 500  # tasks; the filters find the others


def show(request: Request) -> Response:
    """The tasks by date, those that are due now first."""
    reading = reading_of(request)
    if reading is None:
        return still_reading(request)
    wanted = Filter.of(request.query_params)
    allowed = {line.state.domain for line in wanted.lines(reading)}
    tasks = [task for task in reading.tasks if task.domain in allowed]
    days = [
        (day, list(group))
        for day, group in groupby(
            tasks[:_SHOWN], lambda task: "now" if task.waits_for == "person" else f"{task.due:%Y-%m-%d}"
        )
    ]
    return page(
        request,
        "plan.html",
        reading=reading,
        wanted=wanted,
        days=days,
        count=len(tasks),
        shown=min(len(tasks), _SHOWN),
        customers=reading.customers(),
    )
