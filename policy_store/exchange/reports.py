"""Mailed TLS reports brought in from files: what a person imports, that person vouches for."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from policy_store.tables.policies import PolicyTable
from policy_store.tables.reports import ReportTable
from policy_store.tables.row import InvalidRow
from policy_store.tlsrpt.mails import Found
from policy_store.tlsrpt.reading import NotAReport, inflated, parse
from policy_store.tlsrpt.rows import Source, rows_of


class ImportedReport(BaseModel):
    """What became of one report in a file."""

    model_config = ConfigDict(frozen=True)

    file: str = Field(description="the file, and the place in it if it has several reports")
    domains: list[str] = Field(description="the domains of this store that the report is about")
    reporter: str = Field(description="who wrote it; empty if it could not be read")
    new: int = Field(description="policy entries that were added")
    known: int = Field(description="policy entries that were there already")
    problem: str = Field(description="why nothing was taken from it; empty if something was")


def import_reports(
    found: Iterable[Found], policies: PolicyTable, reports: ReportTable, *, now: datetime
) -> Iterator[ImportedReport]:
    """Add the reports about domains that `policies` has, one after the other; the first makes the table where it is
    missing. Raises CannotMake, an AzureError of the storage.
    """
    ours: dict[str, bool] = {}
    made = False

    def is_ours(domain: str) -> bool:
        if domain not in ours:
            try:
                ours[domain] = policies.get(domain) is not None
            except InvalidRow:
                ours[domain] = True
        return ours[domain]

    for each in found:
        if each.problem:
            yield _refused(each, each.problem)
            continue
        try:
            plain = inflated(each.octets)
            report = parse(plain)
        except NotAReport as error:
            yield _refused(each, "; ".join(error.problems))
            continue
        if problem := report.range.problem(now):
            yield _refused(each, problem)
            continue
        rows = rows_of(report, Source("imported", now), plain, is_ours)
        if rows and not made:
            reports.make_if_missing()
            made = True
        new = sum([reports.add(row) for row in rows])
        yield ImportedReport(
            file=each.name,
            domains=sorted({row.domain for row in rows}),
            reporter=rows[0].reporter if rows else "",
            new=new,
            known=len(rows) - new,
            problem="" if rows else "it is about no domain of this store",
        )


def _refused(found: Found, problem: str) -> ImportedReport:
    return ImportedReport(file=found.name, domains=[], reporter="", new=0, known=0, problem=problem)
