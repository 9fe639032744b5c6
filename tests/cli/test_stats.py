"""`mta-sts stats`: what it counts in each kind of export, and that strangers' text does no harm."""

import asyncio
import csv
import json
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables import TableClient
from typer.testing import CliRunner

from policy_store import log_stats
from policy_store.answering import ANSWER
from policy_store.cli import app
from policy_store.intake import Intake, Post
from policy_store.names import quoted
from policy_store.tables.policies import PolicyTable
from policy_store.tables.reports import ReportTable

_OLD, _NEW = "20261124190000Z", "20261124193000Z"


def _message(domain: str, outcome: str, version: str = _NEW, ms: float = 0, agent: str = "sender/1.0") -> str:
    """The line as the app itself writes it."""
    status = {"unknown": 404, "unavailable": 503}.get(outcome, 200)
    host = quoted(f"mta-sts.{domain}")
    return ANSWER % (domain, outcome, status, version, ms, host, quoted(agent))


_LOG = [
    ("2026-11-24T19:29:00Z", _message("contoso.com", "read", _OLD)),
    ("2026-11-24T19:30:20Z", _message("contoso.com", "fresh", _OLD)),
    ("2026-11-24T19:31:00Z", _message("contoso.com", "fresh", agent="Mozilla/5.0 (it's)")),
    ("2026-11-24T19:32:00Z", _message("fabrikam.com", "last-good", ms=1500.4, agent="")),
    ("2026-11-24T19:33:00Z", _message("fabrikam.com", "unavailable", "-", agent="")),
    ("2026-11-24T19:34:00Z", _message("evil.example", "unknown", "-", agent="\x1b[31m\u2028")),
    ("2026-11-24T19:35:00Z", "storage answers again"),
]


def test_posted_reports_are_counted_as_the_app_logs_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    intake = Intake(PolicyTable(_nowhere()), ReportTable(_nowhere()))
    with caplog.at_level("INFO", logger="policy_store.intake"):
        for agent in ("curl/8", "answer domain=contoso.com outcome=fresh"):
            asyncio.run(intake.take(Post(b"{", agent=agent)))
    lines = [record.getMessage() for record in caplog.records]
    lines.append(
        lines[0].replace("status=400 domain=- reporter=-", "status=201 domain=contoso.com reporter=google.com")
    )
    file = tmp_path / "log.txt"
    file.write_text("".join(f"2026-11-24T19:29:00Z INFO policy_store.intake: {line}\n" for line in lines))
    found = _stats(file)
    assert [(row["domain"], row["reporter"], row["status"], row["posts"]) for row in found["reports"]] == [
        ("-", "-", 400, 2),
        ("contoso.com", "google.com", 201, 1),
    ]
    assert (found["answers"], found["reports"][0]["last"]) == (0, "2026-11-24T19:29:00Z")
    assert "Posted TLS reports" in CliRunner().invoke(app, ["stats", str(file), "--format", "table"]).stdout


def _nowhere() -> TableClient:
    """A client that is never asked."""
    return TableClient.from_connection_string("UseDevelopmentStorage=true", "nothing")


def _stats(file: Path) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["stats", "--json", str(file)])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def _written(folder: Path, kind: str) -> Path:
    file = folder / f"log.{kind}"
    with file.open("w", encoding="utf-8", newline="") as text:
        if kind == "csv":
            csv.writer(text).writerows([("timestamp [UTC]", "message"), *_LOG])
        else:
            for time, said in _LOG:
                line = json.dumps({"timestamp": time, "message": said})
                text.write(f"{line if kind == 'json' else f'{time} INFO policy_store.answers: {said}'}\n")
    return file


@pytest.mark.parametrize("kind", ["csv", "json", "log"])
def test_each_kind_of_export_gives_the_same_tables(tmp_path: Path, kind: str) -> None:
    found = _stats(_written(tmp_path, kind))
    assert (found["lines"], found["answers"], found["not_counted"]) == (7, 6, 0)
    assert (found["first"], found["last"]) == ("2026-11-24T19:29:00Z", "2026-11-24T19:34:00Z")
    fetches = [tuple(row.values()) for row in found["fetches"]]
    assert fetches == [
        ("contoso.com", "sender", 2, 0),
        ("fabrikam.com", "-", 1, 1),
        ("contoso.com", "Mozilla", 1, 0),
    ]
    assert [tuple(row.values()) for row in found["unknown_hosts"]] == [
        ("mta-sts.evil.example", 1, "2026-11-24T19:34:00Z")
    ]
    assert [tuple(row.values()) for row in found["last_good"]] == [("fabrikam.com", 1, "2026-11-24T19:32:00Z")]
    assert [tuple(row.values()) for row in found["slow"]] == [("fabrikam.com", "last-good", 1, 1500)]
    assert [tuple(row.values()) for row in found["old_versions"]] == [
        ("contoso.com", _OLD, _NEW, 2, "2026-11-24T19:30:20Z", 20)
    ]


def test_standard_input_is_read_and_people_see_tables() -> None:
    result = CliRunner().invoke(app, ["stats", "-", "--format", "table"], input=_message("contoso.com", "fresh"))
    assert result.output.startswith("1 answers in 1 lines\n\nFetches\n")
    assert "\nUnknown hosts: none\n" in result.output


def test_no_control_character_is_printed_whatever_the_lines_hold(tmp_path: Path) -> None:
    good = _message("evil.example", "unknown", "-")
    lines = [good, good.replace("evil", "ev\x1b[31mil"), good.replace("sender", "\x9bsender"), '{"message": "\\u001b"}']
    (tmp_path / "log").write_bytes("\n".join([*lines, "\0\x1b]0;x\x07"]).encode() + b"\xff\n")
    result = CliRunner().invoke(app, ["stats", str(tmp_path / "log"), "--format", "table"])
    assert result.output.startswith("1 answers in 5 lines")
    assert result.output.replace("\n", "").isprintable()


def test_a_full_table_says_what_it_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_stats, "LIMIT", 2)
    (tmp_path / "log").write_text("\n".join(_message(f"{at}.example", "unknown", "-") for at in range(5)))
    found = _stats(tmp_path / "log")
    assert (len(found["unknown_hosts"]), found["not_counted"]) == (2, 3)


def test_a_file_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["stats", str(tmp_path / "none")])
    assert result.exit_code == 2
    assert "cannot be read: No such file or directory." in result.stderr
