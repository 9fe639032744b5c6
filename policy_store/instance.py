"""What one worker process of the app is made of: settings, tables, what it holds, the look at the table, the audit.

Nothing of it is made before the first invocation: an import that fails would leave no function at all.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable
from functools import cached_property
from typing import TYPE_CHECKING

import azure.functions as func
from azure.core.exceptions import AzureError
from azure.data.tables import TableClient

from policy_store import answering
from policy_store.audit import Auditor
from policy_store.looking import Look
from policy_store.reads import READ_THREADS, STRANGER_THREADS
from policy_store.recording import Recorder
from policy_store.serving import Serving
from policy_store.settings import Settings, SettingsError
from policy_store.tables.connection import identity, open_table
from policy_store.tables.failures import reason
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.history import History
from policy_store.tables.policies import TABLE, PolicyTable

if TYPE_CHECKING:
    from policy_store.intake import Intake

AUDIT_SECONDS = 240  # the next one is due a minute later

_settings_log = logging.getLogger("policy_store.settings")
_audit_log = logging.getLogger("policy_store.audit")

# Seconds for which a thread may keep the interpreter while another waits for it. The look and the audit are threads,
# and answers do not wait for their pages.
_SWITCH_INTERVAL = 0.0005

# The SDK logs every request, and a failing read says by itself that there is no token.
logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)
logging.getLogger("azure.identity").setLevel(logging.ERROR)


class _Parts:
    """Everything that the settings allow for. Raises SettingsError."""

    def __init__(self) -> None:
        self.settings = Settings.read()
        self.host_header = self.settings.host_header
        self._credential = identity(self.settings)
        sys.setswitchinterval(_SWITCH_INTERVAL)
        policies = PolicyTable(self._open(TABLE, connections=READ_THREADS + STRANGER_THREADS))
        history = History(self._open(HISTORY_TABLE))
        self._walked = PolicyTable(self._open(TABLE, pages=True))
        self._walked_history = History(self._open(HISTORY_TABLE, pages=True))
        recorder = Recorder(self._walked_history, self._walked)
        self.serving: Serving[func.HttpResponse] = Serving(
            policies,
            history,
            fresh_seconds=self.settings.fresh_seconds,
            on_text=recorder.add,
            on_unrecorded=recorder.record,
        )
        self.look = Look(self._walked, self.serving, recorder)

    @cached_property
    def auditor(self) -> Auditor:
        publishes = None
        if self.settings.dns_zone:
            from policy_store.azure.publisher import open_publisher

            publishes = open_publisher(self.settings)
        return Auditor(self._walked, self._walked_history, publishes)

    @cached_property
    def intake(self) -> "Intake":
        from policy_store.intake import Intake
        from policy_store.tables.reports import TABLE as REPORT_TABLE
        from policy_store.tables.reports import ReportTable

        return Intake(self._walked, ReportTable(self._open(REPORT_TABLE, pages=True)))

    def _open(self, table: str, *, connections: int = 10, pages: bool = False) -> TableClient:
        return open_table(self.settings, table, connections=connections, pages=pages, credential=self._credential)


class Instance:
    """The app in one worker process; each method answers one trigger, and the first call of any starts the look."""

    def __init__(self) -> None:
        self._parts: _Parts | None = None
        self._reported: set[str] = set()

    def policy(self, req: func.HttpRequest) -> Awaitable[func.HttpResponse]:
        """Answer a request for a policy."""
        parts = self._parts
        if parts is None or not parts.look.running:
            try:
                parts = self._begin()
            except SettingsError as error:
                self._report(str(error))
                return answering.answer_unusable(req)
        return answering.answer_policy(req, parts.serving, parts.host_header)

    async def health(self) -> func.HttpResponse:
        """Answer a health check."""
        try:
            parts = self._begin()
        except SettingsError as error:
            self._report(str(error))
            return answering.unhealthy(str(error))
        return answering.health(await parts.serving.health())

    async def audit(self) -> None:
        """Audit in a thread, so that requests are not held up; the next audit goes on where this one stops."""
        try:
            await asyncio.to_thread(self._begin().auditor.run, AUDIT_SECONDS)
        except SettingsError as error:
            self._report(str(error))
        except AzureError as error:
            _audit_log.error("the audit failed, the next one begins where it began: %s", reason(error))
        except Exception:
            _audit_log.exception("the audit failed, the next one begins where it began")

    async def report(self, req: func.HttpRequest) -> func.HttpResponse:
        """Take in a report on TLS; the first one imports what that needs."""
        try:
            parts = self._begin()
            intake = parts.intake
        except SettingsError as error:
            self._report(str(error))
            return answering.unavailable()
        return await intake.respond(req, answering.asked_host(req.headers, parts.host_header) or "")

    def _begin(self) -> _Parts:
        if self._parts is None:
            self._parts = _Parts()
        if not self._parts.look.running:
            self._parts.look.begin()
        return self._parts

    def _report(self, problem: str) -> None:
        """Log a problem with the settings once: they stay as they are until the process ends."""
        if problem not in self._reported:
            self._reported.add(problem)
            _settings_log.error("the app serves nothing: %s", problem)
