"""A local stand-in for the Azure Functions host: an HTTP server that routes requests to the app's worker.

It answers as the real host does where a client can see it: route templates matched in any letter case, 404 for a path
or a method that no function lists, 500 for a function that raises, neither with a body. Keys, throttling and
`customHeaders` are left out, and timers do not run by themselves.

Run it with `python -m dev.host --port 7071`; the setting POLICY_STORE says where the policies are.
"""

import argparse
import asyncio
import json
import logging
import re
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import uvicorn

from dev.ports import HOST, PortTaken, listen
from dev.worker import Function, IndexingError, InvocationError, Worker

WHO = "The app"
APP_FOLDER = Path(__file__).parent.parent

_log = logging.getLogger("dev.host")

# The real host's server is Kestrel. It takes a target with scheme and authority, if that is the Host header's. It
# leaves an encoded slash in a path as it is. It refuses a host with brackets that are not those of an IPv6 address.
# Other characters of a host are not looked at here: in Azure the name that was asked for comes in a header of the front
# end, which Kestrel does not check.
_ABSOLUTE = re.compile(r"https?://(?P<authority>[^/?]*)(?P<path>/.*)?", re.IGNORECASE)
_BRACKETS = re.compile(r"[^\[\]]*|\[[0-9A-Fa-f:.]{3,}\](?::[0-9]+)?")

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


class LocalHost:
    """An ASGI app that serves the HTTP functions of a started worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        prefix = _route_prefix(worker.app_folder)
        self._routes = [
            (_template(f"{prefix}/{function.route}"), function)
            for function in worker.functions
            if function.trigger == "httpTrigger"
        ]

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer one request (the only kind of ASGI connection that it takes)."""
        method: str = scope["method"]
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        target = scope["raw_path"].decode("latin-1")
        if absolute := _ABSOLUTE.fullmatch(target):  # RFC 9112 section 3.2.2
            target = absolute["path"] or "/"
            if absolute["authority"].lower() != headers.get("host", "").lower():
                await _respond(send, 400)
                return
        if not _BRACKETS.fullmatch(headers.get("host", "")):
            await _respond(send, 400)
            return
        match, function = self._find(method, _path(target))
        if match is None or function is None:
            await _respond(send, 404)
            return
        url = f"{scope['scheme']}://{headers.get('host', '')}{target}"
        if scope["query_string"]:
            url += f"?{scope['query_string'].decode('latin-1')}"
        try:
            answer = await self._worker.invoke_http(
                function.name, method, url, headers, await _body(receive), match.groupdict()
            )
        except InvocationError as error:
            _log.error("The function %s failed.\n%s", function.name, error)
            await _respond(send, 500)
            return
        # A HEAD answer keeps the length of the body that GET would get; the server leaves the body itself out.
        await _respond(send, answer.status, answer.headers, answer.body)

    def _find(self, method: str, path: str) -> tuple[re.Match[str] | None, Function | None]:
        for template, function in self._routes:
            match = template.fullmatch(path)
            if match and (not function.methods or method in function.methods):
                return match, function
        return None, None


def _route_prefix(app_folder: Path) -> str:
    """Return the prefix from host.json, "/api" by default and empty or with a leading slash."""
    settings = json.loads((app_folder / "host.json").read_text(encoding="utf-8"))
    prefix = settings.get("extensions", {}).get("http", {}).get("routePrefix", "api").strip("/")
    return f"/{prefix}" if prefix else ""


def _template(route: str) -> re.Pattern[str]:
    """Compile a route template of literal text and `{parameter}`s; the real host matches a closing slash as well."""
    parts = re.split(r"\{(\w+)\}", route)
    pattern = "".join(f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts))
    return re.compile(f"{pattern}/?", re.IGNORECASE)


def _path(target: str) -> str:
    """The path of a request's target, decoded but for slashes."""
    path = target.partition("?")[0]
    return "%2F".join(unquote(part) for part in re.split("%2[Ff]", path))


async def _body(receive: _Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def _respond(send: _Send, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
    lines = {**(headers or {}), "content-length": str(len(body))}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def serve(listener: socket.socket, app_folder: Path, on_ready: Callable[[str], None]) -> None:
    """Serve the app until SIGINT or SIGTERM; that signal is raised again once the last answer is out.

    `on_ready` is called with the address when the first request can be answered. Raises IndexingError.
    """
    async with Worker(app_folder) as worker:
        server = uvicorn.Server(
            uvicorn.Config(
                LocalHost(worker), lifespan="off", log_config=None, access_log=False, server_header=False, ws="none"
            )
        )
        on_ready(f"http://{HOST}:{listener.getsockname()[1]}")
        await server.serve(sockets=[listener])


def log_to_stderr() -> None:
    """Show what Application Insights would get: INFO and above, but nothing of the runtime's own loggers."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)-7s %(name)s: %(message)s"))
    handler.addFilter(lambda record: not record.name.startswith("azure.functions"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def stop_cleanly() -> None:
    """Make SIGTERM and SIGINT end the process with exit code 0, after all that `with` and `finally` promise."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))


def main() -> None:
    """Serve an app and print where."""
    parser = argparse.ArgumentParser(prog="python -m dev.host", description=main.__doc__)
    parser.add_argument("--port", type=int, default=7071, help="0 takes a free one")
    parser.add_argument("--app", type=Path, default=APP_FOLDER, help="the folder of function_app.py and host.json")
    arguments = parser.parse_args()
    log_to_stderr()
    stop_cleanly()
    try:
        with listen(arguments.port, WHO) as listener:
            asyncio.run(serve(listener, arguments.app, lambda url: print(f"listening on {url}", flush=True)))
    except (IndexingError, PortTaken) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
