"""What one domain's function app does without a store: one policy written into the code, in three manners."""

import logging

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
