"""The Azure Functions worker in this process: azure-functions-runtime, which Microsoft's own Python worker runs too.

Its public entry points take protobuf messages and build more of them from what they are given; plain objects with the
same names (FunctionRpc.proto of azure-functions-language-worker-protobuf) serve as well, and need no gRPC.

What lies around that library decides which log lines arrive: Microsoft's worker gives each line the id of the
invocation that arrived last in the process, and the host drops a line whose invocation is not executing. So does this.
"""

import importlib
import json
import logging
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import azure_functions_runtime as runtime

_ENTRY_MODULE = "function_app"


class IndexingError(Exception):
    """The app cannot be imported or declares a function wrongly: on Azure it would have no function at all."""


class InvocationError(Exception):
    """The function raised; the text is the runtime's, with the function's own traceback."""


@dataclass(frozen=True)
class Function:
    """One function of the app, as its decorators declare it to the Functions host."""

    name: str
    function_id: str
    trigger: str
    parameter: str
    route: str = ""
    methods: tuple[str, ...] = ()
    auth_level: str = ""
    schedule: str = ""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a function answers. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Worker:
    """A worker that has loaded the app in `app_folder`; call `start` in the event loop that will invoke.

    The runtime and Python keep what they load for the whole process, so a process has one worker at a time: starting
    another one imports the app's function_app.py again, but not the modules that it imports.
    """

    def __init__(self, app_folder: Path) -> None:
        self.app_folder = app_folder.resolve()
        self.functions: tuple[Function, ...] = ()
        self._forwarding = _Forwarding()

    async def start(self) -> None:
        """Import and index the app as the Functions host has its worker do. Raises IndexingError."""
        if not (self.app_folder / f"{_ENTRY_MODULE}.py").is_file():
            raise IndexingError(f"There is no {_ENTRY_MODULE}.py in {self.app_folder}.")
        self._forwarding.begin()
        try:
            await self._index()
        except BaseException:
            self.stop()
            raise

    async def _index(self) -> None:
        sys.modules.pop(_ENTRY_MODULE, None)
        importlib.invalidate_caches()
        folder = str(self.app_folder)
        sys.path[:] = [folder, *(entry for entry in sys.path if entry != folder)]

        runtime.start_threadpool_executor()
        init = SimpleNamespace(capabilities={}, function_app_directory=folder)
        started = await runtime.worker_init_request(_message(worker_init_request=init))
        if started.result.status != _StatusResult.Success:
            error = started.result.exception
            raise IndexingError(f"{error.message}\n{error.stack_trace}".strip())
        indexed = await runtime.functions_metadata_request(_message(functions_metadata_request=None))
        self.functions = tuple(_function(metadata) for metadata in indexed.function_metadata_results or ())
        for function in self.functions:
            load = SimpleNamespace(function_id=function.function_id)
            await runtime.function_load_request(_message(function_load_request=load))

    def stop(self) -> None:
        """Wait for the functions that still run in threads."""
        runtime.stop_threadpool_executor()
        self._forwarding.end()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()

    def function(self, name: str) -> Function:
        """Return the function of that name. Raises LookupError when the app has none."""
        for function in self.functions:
            if function.name == name:
                return function
        raise LookupError(f"The app has no function {name!r}; it has {[f.name for f in self.functions]}.")

    def http_invocation(
        self,
        name: str,
        method: str = "GET",
        url: str = "http://localhost/",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        route_parameters: Mapping[str, str] | None = None,
    ) -> object:
        """Return what `send_http` takes, as often as wanted: the function and the request in the runtime's own form.

        Like the host, it lower-cases the names of headers and drops query parameters without a value.
        """
        query: dict[str, str] = {}
        for key, value in parse_qsl(urlsplit(url).query):
            query[key] = f"{query[key]},{value}" if key in query else value
        request = SimpleNamespace(
            method=method,
            url=url,
            headers={key.lower(): value for key, value in (headers or {}).items()},
            query=query,
            params=dict(route_parameters or {}),
            body=_TypedData("bytes", body) if body else _TypedData(),
        )
        return _invocation(self.function(name), _TypedData("http", request))

    async def send_http(self, invocation: object) -> HttpAnswer:
        """Invoke an HTTP function. Raises InvocationError when it raises, which the host answers with 500."""
        value = (await self._invoke(invocation)).return_value
        answer = getattr(value, "http", None)
        if answer is None:  # the function returned a str
            return HttpAnswer(200, {"content-type": "text/plain; charset=utf-8"}, _bytes(value))
        return HttpAnswer(
            int(answer.status_code), {key.lower(): value for key, value in answer.headers.items()}, _bytes(answer.body)
        )

    async def invoke_http(
        self,
        name: str,
        method: str = "GET",
        url: str = "http://localhost/",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        route_parameters: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """Invoke an HTTP function once: `http_invocation` and `send_http` in one."""
        return await self.send_http(self.http_invocation(name, method, url, headers, body, route_parameters))

    async def _invoke(self, invocation: object) -> Any:
        number = self._forwarding.arrive()
        try:
            response = await runtime.invocation_request(invocation)
        finally:
            self._forwarding.leave(number)
        if response.result.status != _StatusResult.Success:
            raise InvocationError(response.result.exception.stack_trace or response.result.exception.message)
        return response

    async def invoke_timer(self, name: str) -> None:
        """Invoke a timer function as if its time had come. Raises InvocationError when it raises."""
        timer = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}
        await self._invoke(_invocation(self.function(name), _TypedData("json", json.dumps(timer))))


class _Forwarding:
    """Which log lines reach their reader, as a filter of the root logger's handlers.

    The worker: `proxy_worker/dispatcher.py` of azure-functions-python-worker, whose handler of invocation requests sets
    the id that every line gets. The host: `GrpcWorkerChannel.Log` of azure-functions-host. The lines of this stand-in
    and of its server are the host's own.
    """

    def __init__(self) -> None:
        self._arrived = 0
        self._executing: set[int] = set()
        self._handlers: list[logging.Handler] = []

    def begin(self) -> None:
        """Drop lines from now on, in the handlers that the root logger has now."""
        self._handlers = [*logging.getLogger().handlers]
        for handler in self._handlers:
            handler.addFilter(self)

    def end(self) -> None:
        """Let every line through again."""
        for handler in self._handlers:
            handler.removeFilter(self)

    def arrive(self) -> int:
        """An invocation arrives; returns its number."""
        self._arrived += 1
        self._executing.add(self._arrived)
        return self._arrived

    def leave(self, number: int) -> None:
        """The invocation of that number has ended."""
        self._executing.discard(number)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line arrives."""
        return self._arrived in self._executing or record.name.partition(".")[0] in ("dev", "uvicorn")


def _function(metadata: Any) -> Function:
    bindings = [json.loads(binding) for binding in metadata.raw_bindings]
    trigger = next(binding for binding in bindings if binding["type"].endswith("Trigger"))
    return Function(
        name=metadata.name,
        function_id=metadata.function_id,
        trigger=trigger["type"],
        parameter=trigger["name"],
        # The host's defaults: the function's own name, and every method.
        route=trigger.get("route", metadata.name) if trigger["type"] == "httpTrigger" else "",
        methods=tuple(str(method).upper() for method in trigger.get("methods", ())),
        auth_level=str(trigger.get("authLevel", "")).lower(),
        schedule=trigger.get("schedule", ""),
    )


def _bytes(data: Any) -> bytes:
    value = vars(data) if data is not None else {}
    return value["bytes"] if "bytes" in value else str(value.get("string", value.get("json", ""))).encode()


class _TypedData(SimpleNamespace):
    """A oneof: the runtime asks which field is set and reads it."""

    def __init__(self, kind: str | None = None, value: object = None) -> None:
        self.kind = kind
        if kind:
            setattr(self, kind, value)

    def WhichOneof(self, _oneof: str) -> str | None:  # noqa: N802 - protobuf's name
        return self.kind


class _Parameter(SimpleNamespace):
    """A ParameterBinding: a name and its data."""

    def WhichOneof(self, _oneof: str) -> str:  # noqa: N802 - protobuf's name
        return "data"


class _StatusResult(SimpleNamespace):
    Failure = 0
    Success = 1


class _BindingInfo(SimpleNamespace):
    undefined = 0
    out = 1
    inout = 2


# The messages that the runtime builds: it sets their fields and never reads them back.
_PROTOS = SimpleNamespace(
    BindingInfo=_BindingInfo,
    StatusResult=_StatusResult,
    **dict.fromkeys(
        (
            "FunctionLoadResponse",
            "FunctionMetadataResponse",
            "InvocationResponse",
            "ParameterBinding",
            "RpcException",
            "RpcFunctionMetadata",
            "RpcHttp",
            "TypedData",
            "WorkerInitResponse",
            "WorkerMetadata",
        ),
        SimpleNamespace,
    ),
)


def _message(**request: object) -> SimpleNamespace:
    return SimpleNamespace(request=SimpleNamespace(**request), properties={"host": "127.0.0.1", "protos": _PROTOS})


def _invocation(function: Function, trigger: _TypedData) -> SimpleNamespace:
    return _message(
        invocation_request=SimpleNamespace(
            invocation_id=str(uuid.uuid4()),
            function_id=function.function_id,
            input_data=[_Parameter(name=function.parameter, data=trigger)],
            trigger_metadata={},
            trace_context=SimpleNamespace(trace_parent="", trace_state="", attributes={}),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )
    )
