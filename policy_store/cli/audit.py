"""The command `audit`: what the app's timer does every five minutes, done at once, with the result for a person."""

import typer
from pydantic import Field

from policy_store.audit import AuditProblem, AuditReport, recorder
from policy_store.audit import audit as see_to
from policy_store.cli.command import app
from policy_store.cli.errors import PROBLEM
from policy_store.cli.options import FormatOption, JsonOption, StoreOption
from policy_store.cli.screen import complain, manner, print_json, print_rows, progress, say, shape_of
from policy_store.cli.session import open_store, operator


class AuditResult(AuditReport):
    """The result of `audit`: the counts, and everything that a person has to fix."""

    problems: list[AuditProblem] = Field(description="in the order of the domains")


@app.command("audit")
def audit(format_: FormatOption = None, json: JsonOption = False, store: StoreOption = "") -> None:
    """Record what was changed by hand and report what is broken.

    Example: mta-sts audit --json
    """
    tables = open_store(store)
    problems: list[AuditProblem] = []
    report = see_to(
        progress(tables.entries(), "walking both tables"),
        tables.policies,
        tables.history,
        by=recorder(operator()),
        tell=problems.append,
    )
    if not manner.quiet:
        manner.name_store()
    shape = shape_of(format_, json=json)
    if shape == "json":
        print_json(AuditResult(**report.model_dump(), problems=problems))
    else:
        if problems:
            rows = ((problem.domain, problem.message) for problem in problems)
            print_rows(("domain", "problem"), rows, shape)
        if problems and shape == "table":
            print()
        tell = say if shape == "table" else complain
        tell(str(report))
    if any(problem.severity == "error" for problem in problems):
        raise typer.Exit(PROBLEM)
