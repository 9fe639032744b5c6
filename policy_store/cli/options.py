"""The options that several commands share, each with one meaning, and the reading of what a person typed."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from policy_store.cli.errors import CommandError

if TYPE_CHECKING:
    from policy_store.changes.selection import Selection


def _store_names(incomplete: str) -> list[str]:
    """The named stores, for completion in a shell."""
    import os

    from policy_store.cli.config import StoresFile

    try:
        return [name for name in StoresFile.read(os.environ).stores if name.startswith(incomplete)]
    except CommandError:
        return []


StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="STORE",
        help="The store to use instead of that in the app settings: a name from your file (mta-sts stores), the "
        "address of a table service, or a connection string.",
        show_default=False,
        autocompletion=_store_names,
    ),
]
DomainArgument = Annotated[str, typer.Argument(metavar="DOMAIN", help="The policy domain.", show_default=False)]
DomainsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="DOMAIN", help="The policy domains.", show_default=False)
]
AllOption = Annotated[bool, typer.Option("--all", help="Every domain, or only those that match --where.")]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="EXPR",
        help="Only domains with FIELD OP VALUE: domain, customer, mode, mx, max_age or note; = != < <= > >= or ~ "
        "(contains, or a glob with *). All of several must match.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
FormatOption = Annotated[
    Literal["table", "tsv", "csv", "json"] | None,
    typer.Option(
        "--format",
        metavar="table|tsv|csv|json",
        help="How to print: without this option a table on a terminal, and TSV in a pipe or a file.",
        show_default=False,
    ),
]
ResolverOption = Annotated[
    str,
    typer.Option(
        "--resolver",
        metavar="ADDRESS[:PORT]",
        help="Ask this DNS server instead of the system's.",
        show_default=False,
    ),
]
DnsSecondsOption = Annotated[float, typer.Option("--dns-seconds", min=0.1, help="How long a DNS answer may take.")]
HttpsSecondsOption = Annotated[float, typer.Option("--https-seconds", min=0.1, help="How long the policy may take.")]
SmtpSecondsOption = Annotated[
    float, typer.Option("--smtp-seconds", min=0.1, help="How long an SMTP step may take, the greeting too.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would change and change nothing.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation (for scripts).")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Print every difference.")]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Go ahead although it was refused; needs --note with the reason.")
]
ReasonOption = Annotated[
    str,
    typer.Option("--note", metavar="TEXT", help="The reason: it is recorded with the revision.", show_default=False),
]
CustomerOption = Annotated[
    str | None,
    typer.Option(
        "--customer", metavar="NAME", help="Whose domain it is: for people, never served.", show_default=False
    ),
]


def read_domain(text: str) -> str:
    """The policy domain that a person typed. Raises CommandError."""
    from policy_store.names import InvalidName, read_name

    try:
        return read_name(text)
    except InvalidName as error:
        raise CommandError(f"{error}.") from error


def read_domains(texts: Iterable[str]) -> list[str]:
    """The policy domains that a person typed, each once and in their order. Raises CommandError."""
    return list(dict.fromkeys(map(read_domain, texts)))


def read_selection(domains: Sequence[str] | None, *, every: bool, where: Sequence[str] | None) -> "Selection":
    """The domains named, or all that match `--where`. Raises CommandError if neither is given, or both are."""
    from policy_store.changes.selection import Selection, read_conditions

    if bool(domains) == (every or bool(where)):
        raise CommandError("Name the domains, or give --all or --where; not both, not neither.")
    return Selection(tuple(read_domains(domains or ())), read_conditions(where or ()))


def need_reason(*, force: bool, note: str | None) -> None:
    """Raise CommandError if something is forced without a reason."""
    if force and not (note or "").strip():
        raise CommandError("--force needs --note with the reason: it is recorded with the revision.")


def refuse_together(**given: Any) -> None:
    """Raise CommandError if more than one of these options is given, because one would be ignored."""
    names = [f"--{name.replace('_', '-')}" for name, value in given.items() if value]
    if len(names) > 1:
        raise CommandError(f"{' and '.join(names)} do not go together: give one of them.")
