"""How check shows what it found: one domain with all details, many with a line each, and JUnit for a pipeline."""

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.padding import Padding
from rich.text import Text

from policy_store.cli.errors import CommandError
from policy_store.cli.lint import print_findings
from policy_store.cli.screen import print_table, printer
from policy_store.lint.findings import SEVERITIES
from policy_store.sender.report import Check
from policy_store.sender.verdict import WORST_FIRST, Word

_STYLES: dict[Word, str] = {"deferred": "bold red", "unprotected": "yellow", "unknown": "cyan", "verified": "green"}
_MEANING: dict[Word, str] = {
    "verified": "a message goes to a verified host over TLS, or not at all",
    "unprotected": "a message is delivered, but nothing stops an attacker on the way",
    "deferred": "no MX host passes: a message waits, and bounces after some days",
    "unknown": "what happens to a message cannot be found out from here",
}
_EXCHANGE = {"5.4.8": "5.4.8 (4.4.8 while it retries)", "5.7.5": "5.7.5 (4.7.5 while it retries)"}


COLUMNS = ("domain", "verdict", "if_enforced", "policy", "mail_hosts", "findings")


def cells(item: Check) -> tuple[str, ...]:
    """A check as one row of data, by COLUMNS."""
    findings = "; ".join(f"{found.severity} {found.code}: {found.message}" for found in item.findings)
    return item.domain, item.verdict, item.if_enforced, item.published, _checked(item), findings


def print_checks(found: Sequence[Check], *, verbose: bool) -> None:
    """Print one domain whole; of many the details of those with problems, the worst first, then a line for each and the
    totals. `verbose` prints the details of all.
    """
    ordered = sorted(found, key=_how_bad)
    if len(ordered) > 1:
        _print_lines(ordered)
    for item in ordered:
        if verbose or len(ordered) == 1 or item.is_bad or item.saw_nothing:
            print_check(item)
    if len(ordered) > 1:
        printer().print(_totals(ordered))


def print_check(item: Check) -> None:
    """Print one domain: the verdict, the policy, the MX hosts, the findings with their remedies."""
    console = printer()
    enforced = "" if item.if_enforced == item.verdict else f" (if enforced: {item.if_enforced})"
    console.print(Text.assemble((item.domain, "bold"), ": ", (item.verdict, _STYLES[item.verdict]), enforced))
    for line in (_MEANING[item.verdict], f"policy: {_policy(item)}", f"mail hosts: {_mail_hosts(item)}"):
        console.print(Padding(Text(line), (0, 0, 0, 2)))
    if item.reports_to:
        here = (
            "an app like this one receives them" if item.reports_posted_here else "no app like this one receives them"
        )
        console.print(Padding(Text(f"reports go to {', '.join(item.reports_to)}: {here}"), (0, 0, 0, 2)))
    if item.mx:
        rows = [
            (mx.host, mx.verdict, mx.if_enforced, _EXCHANGE.get(mx.exchange_code or "", ""), mx.result_type or "")
            for mx in item.mx
        ]
        print_table(("MX host", "verdict", "enforced", "Exchange", "report"), rows)
    print_findings(item.findings, title=False)
    console.print()


def _policy(item: Check) -> str:
    report = f" (a report would say {item.result_type})" if item.result_type else ""
    return ("cannot be found out from here" if item.published == "unknown" else item.published) + report


def _mail_hosts(item: Check) -> str:
    """What the mail hosts do, in a few words."""
    hosts = item.mail_hosts
    counts = (("verified", hosts.passing), ("not verified", hosts.failing), ("not checked", hosts.not_checked))
    words = ", ".join(f"{count} {word}" for word, count in counts if count) or hosts.state
    return f"{words}: {hosts.why}" if hosts.why else words


def _print_lines(found: Sequence[Check]) -> None:
    """A line for each domain."""
    rows = [("domain", "verdict", "policy", "mail hosts", "findings")]
    rows += [(item.domain, item.verdict, item.published, _checked(item), _problems(item)) for item in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:  # never folded, so that a search finds each name
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        printer().print(Text(line.rstrip()), soft_wrap=True)
    printer().print()


def _checked(item: Check) -> str:
    hosts = item.mail_hosts
    return f"{hosts.passing} of {len(item.mx)} verified" if hosts.state == "checked" else hosts.state


def _problems(item: Check) -> str:
    """How many errors and warnings there are."""
    counts = Counter(found.severity for found in item.findings)
    words = (("error", counts["error"]), ("warning", counts["warning"]))
    return ", ".join(f"{count} {word}{'s' if count > 1 else ''}" for word, count in words if count)


def _totals(found: Sequence[Check]) -> str:
    words = Counter(item.verdict for item in found)
    parts = [f"{words[word]} {word}" for word in WORST_FIRST if words[word]]
    blind = sum(item.saw_nothing for item in found)
    bad = sum(item.is_bad for item in found)
    parts += [f"{bad} with problems"] if bad else []
    parts += [f"nothing could be looked up for {blind}"] if blind else []
    return f"{len(found)} domains: {', '.join(parts)}"


def _how_bad(item: Check) -> tuple[int, int]:
    """The worst first: by the verdict, then by the worst finding."""
    severities = [SEVERITIES.index(found.severity) for found in item.findings]
    return WORST_FIRST.index(item.verdict), min(severities, default=len(SEVERITIES))


def write_junit(found: Sequence[Check], path: Path) -> None:
    """Write a test case for each domain: a failure where somebody has to do something, an error where nothing could be
    looked up. Raises CommandError.
    """
    blind = sum(item.saw_nothing for item in found)
    failures = sum(item.is_bad and not item.saw_nothing for item in found)
    suite = ET.Element(
        "testsuite", name="mta-sts check", tests=str(len(found)), failures=str(failures), errors=str(blind)
    )
    for item in found:
        case = ET.SubElement(suite, "testcase", classname="mta-sts", name=item.domain)
        text = "\n".join(_lines(item))
        if item.saw_nothing:
            ET.SubElement(case, "error", message="nothing could be looked up").text = text
        elif item.is_bad:
            ET.SubElement(case, "failure", message=f"{item.verdict}: {_MEANING[item.verdict]}").text = text
        else:
            ET.SubElement(case, "system-out").text = text
    try:
        ET.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from error


def _lines(item: Check) -> Iterator[str]:
    yield f"policy: {_policy(item)}"
    yield f"mail hosts: {_mail_hosts(item)}"
    for found in item.findings:
        yield f"{found.severity} {found.code}: {found.message}"
