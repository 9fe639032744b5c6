"""What the app answers over HTTP, and the log line of each answer."""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict
from email.utils import format_datetime
from functools import cache

import azure.functions as func

from policy_store import __version__
from policy_store.copies import Copy
from policy_store.log_queue import lines
from policy_store.names import policy_domain, quoted
from policy_store.serving import RETRY_AFTER, Health, Outcome, Serving

ANSWER = "answer domain=%s outcome=%s status=%d version=%s ms=%d host=%s agent=%s"

_log = logging.getLogger(__name__)
# The log format uses neither process nor thread, and looking them up costs as much as a hit.
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def asked_host(headers: Mapping[str, str], host_header: str) -> str | None:
    """The host that a sender asked for: of the header's values the first counts, and without it the Host header."""
    host = headers.get(host_header)
    if host and host_header != "Host":
        host = host.partition(",")[0].strip()
    return host or headers.get("Host")


async def answer_policy(
    req: func.HttpRequest, serving: Serving[func.HttpResponse], host_header: str
) -> func.HttpResponse:
    """The policy of the domain that the request's host names (RFC 8461 sections 3.2 and 3.3). `host_header` is the
    header that a proxy puts the host into.
    """
    start = time.monotonic()
    headers = req.headers
    host = asked_host(headers, host_header)
    domain = policy_domain(host)
    if domain:
        outcome, copy = serving.from_memory(domain) or await serving.answer(domain)
    else:
        outcome, copy = "unknown", None
    if copy is not None:
        response = copy.rendered or serving.copies.rendered(copy, _response(copy))
    else:
        response = _not_found() if outcome == "unknown" else unavailable()
    _log_answer(domain, outcome, response.status_code, copy.version if copy else "-", start, host, req)
    return response


async def answer_unusable(req: func.HttpRequest) -> func.HttpResponse:
    """The answer to a request for a policy while a setting is wrong."""
    response = unavailable()
    _log_answer(None, "unavailable", response.status_code, "-", time.monotonic(), req.headers.get("Host"), req)
    return response


def health(state: Health) -> func.HttpResponse:
    """The answer to a health check: 200 whatever the state, since a restart costs the copies."""
    return _json(200, {**asdict(state), "version": __version__})


def unhealthy(problem: str) -> func.HttpResponse:
    """The answer to a health check where nothing can ever be served: a setting is wrong."""
    return _json(503, {"settings": problem, "version": __version__})


def _log_answer(
    domain: str | None,
    outcome: Outcome,
    status: int,
    version: str,
    start: float,
    host: str | None,
    req: func.HttpRequest,
) -> None:
    if not _log.isEnabledFor(logging.INFO):
        return
    values = (
        domain or "-",
        outcome,
        status,
        version,
        (time.monotonic() - start) * 1000,
        quoted(host or ""),
        quoted(req.headers.get("User-Agent", "")),
    )
    # A record made here is spared the search for its caller, which takes longer than a hit; it goes where the logger
    # would bring it.
    lines.handle(logging.LogRecord(_log.name, logging.INFO, "answering.py", 0, ANSWER, values, None))


def _response(copy: Copy[func.HttpResponse]) -> func.HttpResponse:
    """The answer with a policy, made once for each copy: the worker library only reads it."""
    return func.HttpResponse(
        copy.text,
        headers={
            "Content-Type": "text/plain; charset=utf-8",
            "Cache-Control": "max-age=60",  # for reverse proxies: RFC 8461 section 8.2
            "Last-Modified": format_datetime(copy.modified, usegmt=True),
            "X-Content-Type-Options": "nosniff",
        },
    )


@cache
def _not_found() -> func.HttpResponse:
    return func.HttpResponse(status_code=404)


@cache
def unavailable() -> func.HttpResponse:
    """The answer of a worker that cannot say anything now: senders go on with what they know."""
    return func.HttpResponse(status_code=503, headers={"Retry-After": str(RETRY_AFTER)})


def _json(status: int, body: dict[str, object]) -> func.HttpResponse:
    return func.HttpResponse(
        json.dumps(body), status_code=status, mimetype="application/json", headers={"Cache-Control": "no-store"}
    )
