"""What one domain's function app does without a store: one policy written into the code, in four manners."""

import logging
import time

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

_POLICY = "version: STSv1\r\nmode: enforce\r\nmx: *.mail.protection.outlook.com\r\nmax_age: 604800\r\n"


@app.route(route=".well-known/mta-sts.txt", methods=["GET"])
async def policy(req: func.HttpRequest) -> func.HttpResponse:
    """Answer on the event loop."""
    return func.HttpResponse(_POLICY, mimetype="text/plain")


@app.route(route="in-a-thread", methods=["GET"])
def policy_in_a_thread(req: func.HttpRequest) -> func.HttpResponse:
    """Answer from the worker's thread pool, where a function without `async` runs."""
    return func.HttpResponse(_POLICY, mimetype="text/plain")


@app.route(route="with-a-log-line", methods=["GET"])
async def policy_with_a_log_line(req: func.HttpRequest) -> func.HttpResponse:
    """Answer on the event loop, with the log line of the Functions template."""
    logging.info("Python HTTP trigger function processed a request.")
    return func.HttpResponse(_POLICY, mimetype="text/plain")


@app.route(route="with-the-same-log-line", methods=["GET"])
async def policy_with_the_same_log_line(req: func.HttpRequest) -> func.HttpResponse:
    """Answer on the event loop, with the log line of the app."""
    start = time.monotonic()
    host, agent = req.headers.get("Host", ""), req.headers.get("User-Agent", "")
    response = func.HttpResponse(_POLICY, mimetype="text/plain")
    logging.info(
        "answer domain=%s outcome=%s status=%d version=%s ms=%d host=%r agent=%r",
        host.removeprefix("mta-sts."),
        "fresh",
        response.status_code,
        "20261124193000Z",
        (time.monotonic() - start) * 1000,
        host,
        agent,
    )
    return response
