"""What all commands share: the typer app, exit codes, the store they work on, and how they print."""

import getpass
import json
import os
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from policy_store.names import InvalidName, read_name
from policy_store.settings import Settings, SettingsError
from policy_store.tables.connection import open_table
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.history import History
from policy_store.tables.policies import PolicyTable, RowChanged, RowExists

DONE, PROBLEM, WRONG_USE, UNREACHABLE = 0, 1, 2, 3  # exit codes

LOCAL_SETTINGS = Path("local.settings.json")


class CommandError(Exception):
    """The command ends here: one sentence with the next step, and the exit code."""

    def __init__(self, message: str, code: int = WRONG_USE) -> None:
        super().__init__(message)
        self.code = code


class _Command(TyperGroup):
    """The command as a whole: every error ends in one sentence and an exit code, never in a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CommandError as error:
            message, code = str(error), error.code
        except (RowChanged, RowExists) as error:
            message, code = f"{error}.", PROBLEM
        except (SettingsError, InvalidName) as error:
            message, code = f"{error}.", WRONG_USE
        except AzureError as error:
            message, code = _storage_sentence(error), UNREACHABLE
        complain(message)
        raise typer.Exit(code)


app = typer.Typer(
    cls=_Command,
    name="mta-sts",
    help="Look after the MTA-STS policies of many domains.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)

StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="STORE",
        help="A connection string or the https address of a table service, in place of the app settings.",
        show_default=False,
    ),
]
DomainArgument = Annotated[str, typer.Argument(metavar="DOMAIN", help="The policy domain.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ResolverOption = Annotated[
    str,
    typer.Option(
        "--resolver",
        metavar="ADDRESS[:PORT]",
        help="Ask this DNS server in place of the system's.",
        show_default=False,
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would change and change nothing.")]


@dataclass(frozen=True)
class Store:
    """The two tables, and the settings that led to them."""

    policies: PolicyTable
    history: History
    settings: Settings


def open_store(store: str = "") -> Store:
    """The store that `--store` names, else the app settings in the environment, else those in local.settings.json.

    Makes no request. Raises SettingsError.
    """
    if store:
        name = "POLICY_STORE__tableServiceUri" if store.startswith("https://") else "POLICY_STORE"
        settings = Settings.read({name: store})
    else:
        settings = Settings.read(_environment())
    policies = PolicyTable(open_table(settings, operator=True))
    return Store(policies, History(open_table(settings, HISTORY_TABLE, operator=True)), settings)


def _environment() -> dict[str, str]:
    if any(name.startswith("POLICY_STORE") for name in os.environ) or not LOCAL_SETTINGS.is_file():
        return dict(os.environ)
    try:
        values = json.loads(LOCAL_SETTINGS.read_text(encoding="utf-8-sig"))["Values"]
        return {**os.environ, **{str(name): str(value) for name, value in values.items()}}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise SettingsError(f"{LOCAL_SETTINGS} has no object Values: copy local.settings.sample.json anew") from error


def now() -> datetime:
    """The time that every command goes by."""
    return datetime.now(UTC)


def operator() -> str:
    """Who is to be recorded with a revision: the user at this machine."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def read_domain(text: str) -> str:
    """The policy domain that a person typed. Raises CommandError."""
    try:
        return read_name(text)
    except InvalidName as error:
        raise CommandError(f"{error}.") from error


def read_domains(texts: Iterable[str]) -> list[str]:
    """The policy domains that a person typed, each once and in their order. Raises CommandError."""
    return list(dict.fromkeys(map(read_domain, texts)))


def printer() -> Console:
    """Standard output: coloured on a terminal only, 80 columns where nothing says how wide it is."""
    return Console(highlight=False, soft_wrap=False)


def complain(message: str) -> None:
    """Print a message for people on standard error."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(message, markup=False)


def print_json(items: BaseModel | Iterable[BaseModel]) -> None:
    """Print a model, or an array of models as they come, as JSON with the characters of ASCII."""
    if isinstance(items, BaseModel):
        print(json.dumps(items.model_dump(mode="json", by_alias=True), indent=2))
        return
    separator = "[\n"
    for item in items:
        print(separator + json.dumps(item.model_dump(mode="json", by_alias=True)), end="")
        separator = ",\n"
    print("[]" if separator == "[\n" else "\n]")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a plain table for people; long cells are folded, so that it fits the width."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    printer().print(table)


def progress[T](items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """The items; where standard error is a terminal, it says how many are done while the next one is worked on.

    Nothing of that is left whenever an item is handed out: what is printed then, in whatever way, begins a line.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    shown = ""

    def show(text: str) -> None:
        nonlocal shown
        if shown or text:
            sys.stderr.write(f"\r{' ' * len(shown)}\r{text}")
            sys.stderr.flush()
        shown = text

    start = time.monotonic()
    try:
        show(what)
        for done, item in enumerate(items, 1):
            show("")
            yield item
            show(_how_far(what, done, total, time.monotonic() - start))
    finally:
        show("")


def _how_far(what: str, done: int, total: int | None, seconds: float) -> str:
    if total is None:
        return f"{what} {done}"
    return f"{what} {done}/{total}, {timedelta(seconds=round(seconds / done * (total - done)))} left"


def _storage_sentence(error: AzureError) -> str:
    if isinstance(error, ClientAuthenticationError) and error.status_code is None:
        return "No identity for the store was found: run 'az login', or name a connection string with --store."
    reason = " ".join(str(error.message or error).split())[:200]
    if isinstance(error, ServiceRequestError):
        reason = "it takes no connection, or its name is not in DNS"
    elif isinstance(error, ServiceResponseError):
        reason = "it takes connections, but does not answer"
    if isinstance(error, HttpResponseError) and error.status_code in (401, 403):
        return (
            f"The store refuses access ({error.status_code}): check the key, or ask for the role Storage Table Data "
            "Contributor on both tables and wait some minutes after it was given."
        )
    if isinstance(error, HttpResponseError) and error.status_code == 404:
        return "The tables policies and policyhistory are not in this store: check the settings, or create both tables."
    return f"The store cannot be reached: {reason}. Check the settings and the network, or name a store with --store."
