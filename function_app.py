"""The function app's triggers: `policy` serves the policy of the domain that the request's host names, `health` tells
App Service whether the worker can serve, `audit` records what was changed by hand, and `tlsrpt` takes reports in where
POLICY_TLSRPT is on.
"""

import os

import azure.functions as func

from policy_store.instance import Instance
from policy_store.log_queue import lines
from policy_store.settings import takes_reports

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

_instance = Instance()
lines.install()


@app.route(route=".well-known/mta-sts.txt", methods=["GET", "HEAD"])
async def policy(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with the policy of the domain in the Host header (RFC 8461 sections 3.2 and 3.3)."""
    with lines.invocation():
        return await _instance.policy(req)


@app.route(route="health", methods=["GET", "HEAD"])
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Answer the health check: 503 only where nothing can ever be served, since a restart costs the copies."""
    with lines.invocation():
        return await _instance.health()


# The schedule is read here: the host drops a function whose %POLICY_AUDIT_SCHEDULE% is not among the app settings.
# Where ids are published it is every 2 minutes, so that an edit by hand, which waits 95 s, is in DNS within 5.
@app.timer_trigger(
    arg_name="timer",
    schedule=os.environ.get("POLICY_AUDIT_SCHEDULE")
    or ("0 */2 * * * *" if os.environ.get("POLICY_DNS_ZONE") else "0 */5 * * * *"),
)
async def audit(timer: func.TimerRequest) -> None:
    """Record what was changed by hand, and log what is broken."""
    with lines.invocation():
        await _instance.audit()


if takes_reports():  # without the setting there is no such route, and a cold start imports none of it

    @app.route(route="v1/tlsrpt", methods=["POST"])
    async def tlsrpt(req: func.HttpRequest) -> func.HttpResponse:
        """Take in a report on TLS (RFC 8460 section 5.4)."""
        with lines.invocation():
            return await _instance.report(req)
