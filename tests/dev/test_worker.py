"""The worker in process, over a small app of its own."""

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dev.worker import HttpAnswer, IndexingError, InvocationError, Worker

APP = Path(__file__).parent / "app"


@pytest.fixture(autouse=True)
def _restored_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the small app out of the way of other tests, which have a function_app of their own to import."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(sys.modules, "function_app", sys)


def with_worker[T](do: Callable[[Worker], Awaitable[T]], app: Path = APP) -> T:
    async def run() -> T:
        async with Worker(app) as worker:
            return await do(worker)

    return asyncio.run(run())


def indexing_error(app: Path) -> str:
    with pytest.raises(IndexingError) as raised:
        asyncio.run(Worker(app).start())
    return str(raised.value)


def app_of(folder: Path, source: str) -> Path:
    source = f"import azure.functions as func\napp = func.FunctionApp()\n{source}"
    (folder / "function_app.py").write_text(source, encoding="utf-8")
    return folder


class TestIndexing:
    def test_functions_are_listed_as_their_decorators_say(self) -> None:
        async def functions(worker: Worker) -> dict[str, tuple[str, str, tuple[str, ...], str, str]]:
            return {f.name: (f.trigger, f.route, f.methods, f.auth_level, f.schedule) for f in worker.functions}

        assert with_worker(functions) == {
            "hello": ("httpTrigger", "hello.txt", ("GET", "HEAD"), "anonymous", ""),
            "echo": ("httpTrigger", "echo/{word}", ("GET", "POST"), "anonymous", ""),
            "broken": ("httpTrigger", "broken", (), "anonymous", ""),
            "tick": ("timerTrigger", "", (), "", "0 0 3 * * *"),
        }

    def test_an_app_that_does_not_import_is_an_indexing_error(self, tmp_path: Path) -> None:
        assert "no_such_module" in indexing_error(app_of(tmp_path, "import no_such_module"))

    def test_after_one_log_lines_arrive_as_before(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        indexing_error(app_of(tmp_path, "import no_such_module"))
        caplog.clear()
        logging.getLogger("policy_store").error("a line")
        assert caplog.messages == ["a line"]

    def test_a_wrongly_declared_function_is_an_indexing_error(self, tmp_path: Path) -> None:
        source = "@app.route(route='x')\ndef f(request: func.HttpRequest) -> func.HttpResponse: ..."
        assert "FunctionLoadError" in indexing_error(app_of(tmp_path, source))

    def test_a_folder_without_an_app_is_an_indexing_error(self, tmp_path: Path) -> None:
        assert indexing_error(tmp_path) == f"There is no function_app.py in {tmp_path}."


class TestInvocation:
    def test_an_answer_has_status_headers_in_lower_case_and_body(self) -> None:
        assert with_worker(lambda worker: worker.invoke_http("hello")) == HttpAnswer(
            200, {"x-kind": "greeting", "content-type": "text/plain; charset=utf-8"}, b"hello\r\n"
        )

    def test_a_function_sees_the_request_as_the_host_passes_it(self) -> None:
        answer = with_worker(
            lambda worker: worker.invoke_http(
                "echo", "POST", "http://h/echo/w?a=1&none=&a=2", {"X-Kind": "Test"}, b"body", {"word": "w"}
            )
        )
        assert json.loads(answer.body) == {
            "method": "POST",
            "url": "http://h/echo/w?a=1&none=&a=2",
            "headers": {"x-kind": "Test"},
            "params": {"a": "1,2"},
            "route": {"word": "w"},
            "body": "body",
        }

    def test_a_prepared_invocation_can_be_sent_again(self) -> None:
        async def twice(worker: Worker) -> list[HttpAnswer]:
            invocation = worker.http_invocation("hello")
            return [await worker.send_http(invocation), await worker.send_http(invocation)]

        first, second = with_worker(twice)
        assert first == second

    def test_an_exception_of_the_function_comes_out_with_its_traceback(self) -> None:
        with pytest.raises(InvocationError, match=r"in broken\n(?s:.*)ValueError: broken on purpose"):
            with_worker(lambda worker: worker.invoke_http("broken"))

    def test_a_timer_function_runs_when_told(self) -> None:
        async def ticks(worker: Worker) -> list[bool]:
            await worker.invoke_timer("tick")
            found: list[bool] = sys.modules["function_app"].ticks
            return found

        assert with_worker(ticks) == [False]

    def test_an_unknown_name_is_an_error_that_lists_the_functions(self) -> None:
        with pytest.raises(LookupError, match=r"no function 'helo'; it has .*'hello'"):
            with_worker(lambda worker: worker.invoke_http("helo"))
