"""A small function app with one function for each thing that the worker and the local host must get right."""

import json
import logging

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
ticks: list[bool] = []


@app.route(route="hello.txt", methods=["GET", "HEAD"])
async def hello(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with a header and a body."""
    return func.HttpResponse(b"hello\r\n", headers={"X-Kind": "greeting"}, mimetype="text/plain")


@app.route(route="echo/{word}", methods=["GET", "POST"])
def echo(req: func.HttpRequest) -> str:
    """Answer with what the function was given."""
    return json.dumps(
        {
            "method": req.method,
            "url": req.url,
            "headers": dict(req.headers),
            "params": dict(req.params),
            "route": dict(req.route_params),
            "body": req.get_body().decode(),
        }
    )


@app.route(route="broken")
async def broken(req: func.HttpRequest) -> func.HttpResponse:
    """Log to a logger that the platform shows and to one that it hides, then raise."""
    logging.getLogger("tiny").info("about to break")
    logging.getLogger("azure.functions.tiny").error("nobody sees this")
    raise ValueError("broken on purpose")


@app.timer_trigger(schedule="0 0 3 * * *", arg_name="timer")
def tick(timer: func.TimerRequest) -> None:
    """Remember that the time came."""
    ticks.append(timer.past_due)
