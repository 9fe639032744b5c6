"""How a TLS report comes in: POSTed by a sending server (RFC 8460 section 5.4), checked, stored, and then answered.

Nobody signs such a report, so anybody may write one. Everything here has a bound, and nothing here can change a policy.
"""

import asyncio
import logging
import sys
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import azure.functions as func
from azure.core.exceptions import AzureError

from policy_store.names import quoted
from policy_store.policy import Policy
from policy_store.tables.failures import reason
from policy_store.tables.policies import PolicyTable
from policy_store.tables.report_row import ReportRow
from policy_store.tables.reports import ReportTable
from policy_store.tables.row import InvalidRow

LARGEST_BODY = 1024 * 1024  # bytes; infra/main.bicep has the Functions host refuse larger ones too
WAIT = 3.0  # seconds until the answer: tlsrpt-reporter gives up after 10
THREADS = 2
WAITING = 32  # bodies that wait for a thread
OLDEST = timedelta(days=35)
ROWS_OF_A_DOMAIN = 200  # new ones a day, in one worker
ROWS_IN_ALL = 20_000

# Policies come first: a thread that took a report in rests for a multiple of the processor time that it took, and hands
# the interpreter over to the event loop more often than Python has it by itself (5 ms).
_REST = 39
_LONGEST_REST = 1.0  # seconds
_SWITCH_SECONDS = 0.0005
_RETRY_AFTER = 600  # seconds
_REMEMBERED = 10_000  # domains
_FRESH_SECONDS = 60.0
_SHOWN_ALARMS = 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Post:
    """What came: the body and the headers that count. `forwarded` is X-Forwarded-For, which ends with the address that
    App Service has seen.
    """

    body: bytes
    host: str = ""
    agent: str = ""
    media_type: str = ""
    forwarded: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender is told: a status of HTTP, and a sentence for whoever looks into its log."""

    status: int
    text: str
    domain: str = "-"
    reporter: str = "-"
    new: int = 0

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer."""
        return {"Retry-After": str(_RETRY_AFTER)} if self.status in (429, 503) else {}


class Intake:
    """Takes reports about the domains of `policies` into `reports`, in threads of its own."""

    def __init__(self, policies: PolicyTable, reports: ReportTable) -> None:
        self._policies = policies
        self._reports = reports
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="report")
        self._lock = threading.Lock()
        self._rest = threading.local()
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._waiting = 0
        self._domains: OrderedDict[str, tuple[float, bool, Policy | None]] = OrderedDict()
        self._today = date.min
        self._new: Counter[str] = Counter()  # rows added today, by domain
        self._new_in_all = 0
        self._told: set[str] = set()  # the domains that a warning named today

    async def respond(self, request: func.HttpRequest, host: str) -> func.HttpResponse:
        """The answer to a request for `host`, as `take` has it."""
        headers = request.headers
        answer = await self.take(
            Post(
                request.get_body(),
                host=host,
                agent=headers.get("User-Agent", ""),
                media_type=headers.get("Content-Type", ""),
                forwarded=headers.get("X-Forwarded-For", ""),
            )
        )
        return func.HttpResponse(
            f"{answer.text}\n", status_code=answer.status, mimetype="text/plain", headers=answer.headers
        )

    async def take(self, post: Post) -> Answer:
        """Take one report in: 201 for a new one, 200 for a known one, once it is stored.

        400 for what is no report, 404 for one about no domain of ours, 413, 429, and 503 where it could not be stored
        within WAIT; what is under way then is stored all the same, since some senders never ask again. Raises nothing.
        """
        start = time.monotonic()
        answer = await self._answer(post)
        _log.info(
            "report status=%d domain=%s reporter=%s new=%d bytes=%d ms=%d type=%s client=%s agent=%s said=%s",
            answer.status,
            answer.domain,
            answer.reporter,
            answer.new,
            len(post.body),
            (time.monotonic() - start) * 1000,
            quoted(post.media_type),
            quoted(_client(post.forwarded)),
            quoted(post.agent),
            quoted(answer.text),
        )
        return answer

    async def _answer(self, post: Post) -> Answer:
        if post.host.strip().lower().startswith("mta-sts."):
            # A certificate of such a host may be what a report is about: RFC 8460 section 5.4 cannot work there.
            return Answer(404, "reports are taken at the app's own host name")
        if not post.body:
            return Answer(400, "the request has no body; it needs a Content-Length")
        if len(post.body) > LARGEST_BODY:
            return Answer(413, f"a report has at most {LARGEST_BODY} bytes")
        if self._waiting >= WAITING + THREADS:
            return Answer(503, "too many reports at once: send it again later")
        self._waiting += 1
        job = asyncio.get_running_loop().run_in_executor(self._threads, self._take_rested, post)
        job.add_done_callback(self._finished)
        await asyncio.wait((job,), timeout=WAIT)
        return job.result() if job.done() else Answer(503, "it could not be stored in time: send it again later")

    def _finished(self, _: object) -> None:
        self._waiting -= 1

    def _take_rested(self, post: Post) -> Answer:
        """Take a report once this thread has rested from the one before; runs in a thread."""
        time.sleep(max(0.0, getattr(self._rest, "until", 0.0) - time.monotonic()))
        start = time.thread_time()
        answer = self._take(post)
        taken = time.thread_time() - start
        self._rest.until = time.monotonic() + min(_REST * taken, _LONGEST_REST)
        return answer

    def _take(self, post: Post) -> Answer:
        """Read, check and store; the first report imports the reader."""
        from policy_store.tlsrpt import reading
        from policy_store.tlsrpt.rows import Source, rows_of
        from policy_store.tlsrpt.values import clean

        now = datetime.now(UTC)
        try:
            plain = reading.inflated(post.body)
            report = reading.parse(plain)
        except reading.TooLarge as error:
            return Answer(413, str(error))
        except reading.NotAReport as error:
            return Answer(400, str(error))
        if problem := report.range.problem(now, OLDEST):
            return Answer(400, problem)
        source = Source("https", now, clean(_client(post.forwarded), 60), clean(post.agent))
        try:
            rows = rows_of(report, source, plain, self._is_ours)
            if not rows:
                return Answer(404, "it is about no domain that is served here")
            return self._store(rows, now.date())
        except AzureError as error:
            _log.error("a report cannot be stored: %s", reason(error))
            return Answer(503, "it could not be stored: send it again later")
        except Exception:
            _log.exception("a report cannot be taken in")
            return Answer(503, "it could not be stored: send it again later")

    def _store(self, rows: Sequence[ReportRow], today: date) -> Answer:
        new = 0
        full = False
        for row in rows:
            if not self._has_room(row.domain, today):
                full = True
            elif self._reports.add(row):
                new += 1
                self._count(row.domain)
                self._sound_alarm(row)
        first = rows[0]
        said = (first.domain, first.reporter, new)
        if full:
            return Answer(429, "there are too many reports about this domain today", *said)
        return Answer(201, "stored", *said) if new else Answer(200, "known already", *said)

    def _is_ours(self, domain: str) -> bool:
        """Whether the table of policies has the domain, by a read that is at most a minute old."""
        with self._lock:
            known = self._domains.get(domain)
        if known is None or time.monotonic() - known[0] >= _FRESH_SECONDS:
            try:
                row = self._policies.get(domain)
                known = (time.monotonic(), row is not None, row.policy if row else None)
            except InvalidRow:
                known = (time.monotonic(), True, None)
            with self._lock:
                self._domains[domain] = known
                self._domains.move_to_end(domain)
                if len(self._domains) > _REMEMBERED:
                    self._domains.popitem(last=False)
        return known[1]

    def _has_room(self, domain: str, today: date) -> bool:
        with self._lock:
            if self._today != today:
                self._today, self._new_in_all = today, 0
                self._new.clear()
                self._told.clear()
            room = self._new[domain] < ROWS_OF_A_DOMAIN and self._new_in_all < ROWS_IN_ALL
            if not room and domain not in self._told:
                self._told.add(domain)
                _log.warning("too many reports about %s today: more are refused until tomorrow", domain)
        return room

    def _count(self, domain: str) -> None:
        with self._lock:
            self._new[domain] += 1
            self._new_in_all += 1

    def _sound_alarm(self, row: ReportRow) -> None:
        """Log each blocking failure under a policy that is enforced: this sender's mail does not arrive now."""
        from policy_store.tlsrpt.causes import failures_of
        from policy_store.tlsrpt.texts import policy_in, same

        with self._lock:
            _, _, current = self._domains.get(row.domain, (0.0, True, None))
        seen = policy_in(row.text)
        if row.type != "sts" or (seen and current and not same(seen, current)):
            return
        policy = seen or current
        if policy is None or policy.mode != "enforce":
            return
        blocking = [pair for pair in failures_of(row, policy) if pair[1].weight == "blocks"]
        for failure, cause in blocking[:_SHOWN_ALARMS]:
            _log.error(
                "mail is refused: domain=%s cause=%s mx=%s sessions=%d reporter=%s day=%s client=%s",
                row.domain,
                cause.code,
                quoted(failure.mx_host or "-"),
                failure.sessions,
                row.reporter,
                row.day.isoformat(),
                quoted(row.client),
            )


def _client(forwarded: str) -> str:
    """The address in X-Forwarded-For that App Service put there, the last; what stands before it anybody may write."""
    address = forwarded.rpartition(",")[2].strip()
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address
