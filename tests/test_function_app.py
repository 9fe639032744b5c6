"""The functions that Azure's worker finds in the app, the host's settings, and what a cold start imports."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dev.worker import Function, Worker
from policy_store.settings import Settings

_ROOT = Path(__file__).parents[1]
# requests imports idna itself, but not its large table.
_NOT_FOR_SERVING = (
    "aiohttp",
    "azure.identity",
    "azure.mgmt",
    "dns",
    "idna.uts46data",
    "policy_store.azure",
    "policy_store.changes",
    "policy_store.cli",
    "policy_store.exchange",
    "policy_store.lint",
    "policy_store.sender",
    "rich",
    "typer",
)


@pytest.fixture(scope="module")
def functions() -> dict[str, Function]:
    async def index() -> tuple[Function, ...]:
        async with Worker(_ROOT) as worker:
            return worker.functions

    return {function.name: function for function in asyncio.run(index())}


@pytest.mark.parametrize(("name", "route"), [("policy", ".well-known/mta-sts.txt"), ("health", "health")])
def test_http_function(functions: dict[str, Function], name: str, route: str) -> None:
    function = functions[name]
    assert (function.route, sorted(function.methods), function.auth_level) == (route, ["GET", "HEAD"], "anonymous")


def test_nothing_else_is_reachable_over_http(functions: dict[str, Function]) -> None:
    over_http = {name for name, function in functions.items() if function.trigger == "httpTrigger"}
    assert over_http == {"policy", "health"}


def _in_a_new_process(program: str, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=_ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize(("value", "there"), [("on", True), ("TRUE", True), ("1", True), ("off", False), ("", False)])
def test_reports_are_taken_only_where_the_setting_says_so(value: str, there: bool) -> None:
    program = (
        "import function_app as f\n"
        "from policy_store.settings import Settings\n"
        "print(*(x.get_function_name() for x in f.app.get_functions()), Settings.read().tlsrpt)"
    )
    names = _in_a_new_process(program, POLICY_TLSRPT=value, POLICY_STORE="UseDevelopmentStorage=true")
    assert ("tlsrpt" in names, names[-1]) == (there, str(there))


def test_a_cold_start_imports_nothing_of_reports_even_where_they_are_taken() -> None:
    program = "import sys, function_app; print(*(name for name in sys.modules if name.startswith('policy_store')))"
    names = _in_a_new_process(program, POLICY_TLSRPT="on")
    assert not {name for name in names if "tlsrpt" in name or "reports" in name or "intake" in name}


def test_a_cold_start_imports_only_what_serves() -> None:
    program = f"import sys, function_app; print(*(name for name in {_NOT_FOR_SERVING!r} if name in sys.modules))"
    imported = subprocess.run([sys.executable, "-c", program], cwd=_ROOT, capture_output=True, text=True, check=True)
    assert imported.stdout.split() == []


def test_an_import_needs_no_settings() -> None:
    """An import that fails would leave no function at all, not even the one that tells why."""
    subprocess.run([sys.executable, "-c", "import function_app"], cwd=_ROOT, check=True)


class TestHostSettings:
    host = json.loads((_ROOT / "host.json").read_text(encoding="utf-8"))

    def test_routes_have_no_prefix(self) -> None:
        """A sender asks for /.well-known/mta-sts.txt: RFC 8461 section 3.3."""
        assert self.host["version"] == "2.0"
        assert self.host["extensions"]["http"]["routePrefix"] == ""

    def test_functions_may_take_ten_minutes(self) -> None:
        assert self.host["functionTimeout"] == "00:10:00"

    def test_log_lines_and_errors_are_never_sampled_away(self) -> None:
        sampling = self.host["logging"]["applicationInsights"]["samplingSettings"]
        assert {"Trace", "Exception"} <= set(sampling["excludedTypes"].split(";"))


class TestSampleSettings:
    values = json.loads((_ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]

    def test_the_app_accepts_them(self) -> None:
        assert Settings.read(self.values).connection_string == "UseDevelopmentStorage=true"

    def test_they_need_no_storage_but_tables(self) -> None:
        assert self.values["FUNCTIONS_WORKER_RUNTIME"] == "python"
        assert self.values["AzureWebJobsSecretStorageType"] == "files"
        assert self.values["AzureWebJobs.audit.Disabled"] == "true"
