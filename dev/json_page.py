"""Writes docs/json.md, the page with what every command prints with `--json`, out of the models:
`python -m dev.json_page`.
"""

from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeAliasType, get_args, get_origin

from pydantic import BaseModel

from policy_store.audit import AuditProblem
from policy_store.azure.runner import Binding
from policy_store.changes.outcome import Outcome, ReasonItem
from policy_store.changes.plan import Task
from policy_store.changes.records import DnsItem
from policy_store.changes.state import Difference, PolicyDetails, PolicyState, RevisionItem
from policy_store.cli.audit import AuditResult
from policy_store.cli.publish import PublishItem
from policy_store.cli.stores import StoreItem
from policy_store.exchange.reports import ImportedReport
from policy_store.lint.findings import Finding
from policy_store.log_stats import FetchCount, LastGood, OldVersion, PostedReports, SlowAnswers, Stats, UnknownHost
from policy_store.sender.dns_check import DnsCheck
from policy_store.sender.report import Check, MailHosts, MxCheck
from policy_store.tlsrpt.overview import ReportDetails, ReportedDay, ReportedFailure, ReportState

PAGE = Path(__file__).parent.parent / "docs" / "json.md"

_HEAD = """# The JSON of the commands

With `--json`, a command prints only JSON on standard output. Questions and messages for people go to standard error.
Times are UTC, as `2026-11-24T19:30:00Z`. A field keeps its meaning between versions.
"""

# The heading, what is printed, and the models, those of nested objects last.
SECTIONS: tuple[tuple[str, str, tuple[type[BaseModel], ...]], ...] = (
    (
        "Commands that change something",
        "`add`, `edit`, `rollback`, `promote`, `retire`, `remove` and `import` print an array with an object for each "
        "domain. In a dry run it says what would be done.",
        (Outcome, ReasonItem),
    ),
    ("list", "An array with an object for each domain, in the order of the domains.", (PolicyState,)),
    ("show", "One object.", (PolicyDetails,)),
    ("history", "An array of revisions, the newest first.", (RevisionItem,)),
    ("diff", "One object.", (Difference,)),
    ("plan", "An array of tasks, the soonest first.", (Task,)),
    ("lint", "An array of findings, those of each file or domain the worst first.", (Finding,)),
    ("check", "An array with an object for each domain.", (Check, MailHosts, MxCheck)),
    ("dns show", "An array of records.", (DnsItem,)),
    ("dns publish", "An array with an object for each domain.", (PublishItem,)),
    ("dns check", "An array with an object for each domain.", (DnsCheck,)),
    ("bind and unbind", "An array with an object for each domain.", (Binding,)),
    ("stores", "An array of the stores that your file names, in its order.", (StoreItem,)),
    ("audit", "One object.", (AuditResult, AuditProblem)),
    ("reports list", "An array with an object for each domain, in the order of the domains.", (ReportState,)),
    ("reports show", "One object.", (ReportDetails, ReportedDay, ReportedFailure)),
    ("reports import", "An array with an object for each report, in the order of the files.", (ImportedReport,)),
    ("stats", "One object.", (Stats, FetchCount, UnknownHost, LastGood, SlowAnswers, PostedReports, OldVersion)),
)


def page() -> str:
    """The text of the page."""
    parts = [_HEAD]
    for heading, what, models in SECTIONS:
        parts.append(f"\n## {heading}\n\n{what}\n")
        for number, model in enumerate(models):
            title = f"\n### {model.__name__}\n\n{_first_sentence(model)}\n" if number else ""
            parts.append(f"{title}\n{fields_table(model)}")
    return "".join(parts)


def fields_table(model: type[BaseModel]) -> str:
    """The fields of a model as a table of Markdown. Raises ValueError for one without a description."""
    lines = ["| field | type | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        if not field.description:
            raise ValueError(f"{model.__name__}.{name} has no description")
        lines.append(f"| `{field.alias or name}` | {_type(field.annotation)} | {field.description} |")
    return "\n".join(lines) + "\n"


def _first_sentence(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split("\n\n")[0].split())


def _type(annotation: Any) -> str:
    if isinstance(annotation, TypeAliasType):
        return _type(annotation.__value__)
    if isinstance(annotation, UnionType) or get_origin(annotation) not in (None, list, Literal):
        return " or ".join(map(_type, get_args(annotation)))
    if get_origin(annotation) is list:
        item = get_args(annotation)[0]
        name = getattr(item, "__name__", "") if hasattr(item, "model_fields") else ""
        return f"array of {name or f'{_type(item)}s'}"
    if get_origin(annotation) is Literal:
        return "string"
    names = {str: "string", int: "number", float: "number", NoneType: "null", bool: "boolean"}
    return names.get(annotation, "object" if hasattr(annotation, "model_fields") else "time")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
