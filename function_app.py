"""The function app's triggers: `policy` serves the policy of the domain that the request's host names, `health` tells
App Service whether the worker can serve, `audit` records what was changed by hand, and `tlsrpt` takes reports in where
POLICY_TLSRPT is on.
"""

import asyncio
import json
import logging
import os
import time
from dataclasses import asdict
from datetime import datetime
from email.utils import format_datetime
from functools import cache
from typing import TYPE_CHECKING

import azure.functions as func

from policy_store import __version__
from policy_store.audit import Auditor
from policy_store.names import policy_domain, quoted
from policy_store.policy import Policy
from policy_store.serving import READ_THREADS, RETRY_AFTER, Served, Serving
from policy_store.settings import Settings, SettingsError, takes_reports
from policy_store.tables.connection import open_table
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.history import History
from policy_store.tables.policies import PolicyTable

if TYPE_CHECKING:
    from policy_store.intake import Intake

_AUDIT_SECONDS = 240  # the next one is due a minute later

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

# The platform hides loggers named azure.functions…, so that the app has a name of its own; the SDK logs every request.
_log = logging.getLogger("policy_store.answers")
# No line names its process or thread, and to look them up for each takes about as long as a hit.
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
_ANSWER = "answer domain=%s outcome=%s status=%d version=%s ms=%d host=%s agent=%s"
logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)
logging.getLogger("azure.identity").setLevel(logging.ERROR)  # a failing read says it once, by itself


@app.route(route=".well-known/mta-sts.txt", methods=["GET", "HEAD"])
async def policy(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with the policy of the domain in the Host header (RFC 8461 sections 3.2 and 3.3)."""
    start = time.monotonic()
    domain = None
    served: Served[func.HttpResponse]
    try:
        settings, serving = _serving()
    except SettingsError as error:
        _report(str(error))
        host = req.headers.get("Host")
        served = Served("unavailable", None)
    else:
        host = req.headers.get(settings.host_header) or req.headers.get("Host")
        domain = policy_domain(host)
        served = await serving.answer(domain) if domain else Served("unknown", None)
    if served.copy is not None:
        response = served.copy.rendered
    else:
        response = _not_found() if served.outcome == "unknown" else _unavailable()
    if _log.isEnabledFor(logging.INFO):
        values = (
            domain or "-",
            served.outcome,
            response.status_code,
            served.copy.version if served.copy else "-",
            (time.monotonic() - start) * 1000,
            quoted(host or ""),
            quoted(req.headers.get("User-Agent", "")),
        )
        # A record made here is spared the search for its caller, which takes longer than a hit.
        _log.handle(logging.LogRecord(_log.name, logging.INFO, "function_app.py", 0, _ANSWER, values, None))
    return response


@app.route(route="health", methods=["GET", "HEAD"])
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Answer the health check: 503 only where nothing can ever be served, since a restart costs the copies."""
    try:
        _, serving = _serving()
    except SettingsError as error:
        _report(str(error))
        return _json(503, {"settings": str(error), "version": __version__})
    state = await serving.health()
    return _json(200, {**asdict(state), "version": __version__})


# The schedule is read here: the host drops a function whose %POLICY_AUDIT_SCHEDULE% is not among the app settings.
# Where ids are published it is every 2 minutes, so that an edit by hand, which waits 95 s, is in DNS within 5.
@app.timer_trigger(
    arg_name="timer",
    schedule=os.environ.get("POLICY_AUDIT_SCHEDULE")
    or ("0 */2 * * * *" if os.environ.get("POLICY_DNS_ZONE") else "0 */5 * * * *"),
)
async def audit(timer: func.TimerRequest) -> None:
    """Walk both tables in a thread, so that requests are not held up; the next audit goes on where this one stops."""
    try:
        await asyncio.to_thread(_auditor().run, _AUDIT_SECONDS)
    except SettingsError as error:
        _report(str(error))
    except Exception:
        logging.getLogger("policy_store.audit").exception("the audit failed, the next one begins where it began")


if takes_reports():  # without the setting there is no such route, and a cold start imports none of it

    @app.route(route="v1/tlsrpt", methods=["POST"])
    async def tlsrpt(req: func.HttpRequest) -> func.HttpResponse:
        """Take in a report on TLS (RFC 8460 section 5.4)."""
        try:
            return await _intake().respond(req)
        except SettingsError as error:
            _report(str(error))
            return _unavailable()


@cache
def _serving() -> tuple[Settings, Serving[func.HttpResponse]]:
    """The settings and what the worker holds, made at the first request; an import that fails would leave no function
    at all. Raises SettingsError, each time anew.
    """
    settings = Settings.read()
    policies = PolicyTable(open_table(settings, connections=READ_THREADS))
    history = History(open_table(settings, HISTORY_TABLE))
    return settings, Serving(policies, history, _response, fresh_seconds=settings.fresh_seconds)


@cache
def _auditor() -> Auditor:
    """What the worker's audits share. Raises SettingsError."""
    settings = Settings.read()
    publishes = None
    if settings.dns_zone:
        from policy_store.azure.publisher import open_publisher

        publishes = open_publisher(settings)
    policies = PolicyTable(open_table(settings, pages=True))
    return Auditor(policies, History(open_table(settings, HISTORY_TABLE, pages=True)), publishes)


@cache
def _intake() -> "Intake":
    """What takes reports in. Raises SettingsError."""
    from policy_store.intake import Intake
    from policy_store.tables.reports import TABLE, ReportTable

    settings = Settings.read()
    policies = PolicyTable(open_table(settings, pages=True))
    return Intake(policies, ReportTable(open_table(settings, TABLE, pages=True)))


@cache
def _report(problem: str) -> None:
    """Log a problem with the settings once: they stay as they are until the process ends."""
    logging.getLogger("policy_store.settings").error("the app serves nothing: %s", problem)


def _response(policy: Policy, modified: datetime) -> func.HttpResponse:
    """The answer for a policy, made once for each copy: the worker library only reads it."""
    return func.HttpResponse(
        policy.text.encode("ascii"),
        headers={
            "Content-Type": "text/plain; charset=utf-8",
            "Cache-Control": "max-age=60",  # for reverse proxies: RFC 8461 section 8.2
            "Last-Modified": format_datetime(modified, usegmt=True),
            "X-Content-Type-Options": "nosniff",
        },
    )


@cache
def _not_found() -> func.HttpResponse:
    return func.HttpResponse(status_code=404)


@cache
def _unavailable() -> func.HttpResponse:
    return func.HttpResponse(status_code=503, headers={"Retry-After": str(RETRY_AFTER)})


def _json(status: int, body: dict[str, object]) -> func.HttpResponse:
    return func.HttpResponse(
        json.dumps(body), status_code=status, mimetype="application/json", headers={"Cache-Control": "no-store"}
    )
