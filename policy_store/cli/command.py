"""The command as a whole: its commands in the order of a day's work, each imported when it is called; and one sentence
instead of a traceback, whatever goes wrong.
"""

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import CompletionItem, TyperGroup  # type: ignore[attr-defined] # what completion asks for is not exported
from typer.main import get_command, get_command_from_info, get_group_from_info

from policy_store.cli.errors import explained
from policy_store.cli.screen import manner, prepare_output

# The heading, the name, the module, and the first sentence of its help: so that help imports none of the modules.
COMMANDS = {
    "Look": {
        "web": ("web", "Do all of this in a browser: a page on this machine only."),
        "list": ("look", "List the policies: mode, patterns, age of the revision, problems."),
        "show": ("look", "Show everything about the policy of one domain."),
        "plan": ("promote", "List what has to be done next, and when, in all domains."),
        "check": ("check", "Look at domains as a sending server does: what happens to a message, and why."),
        "lint": ("lint", "Find what senders refuse or misinterpret, in the rows of the store or in files."),
        "reports": ("reports", "The TLS reports that senders write: look at them, and import those that came by mail."),
        "history": ("look", "List the revisions of a domain, the newest first."),
        "diff": ("look", "Show what changed between two revisions of a domain."),
    },
    "Change": {
        "add": ("edit", "Add the policy of a domain, in testing unless you say otherwise."),
        "import": ("bulk", "Add many policies from files: CSV, JSON, accepted domains, or a folder of policy texts."),
        "edit": ("edit", "Change the policies of some domains, each only if nobody else changed it meanwhile."),
        "promote": ("promote", "Go from testing to enforce, once nothing in the policy or in DNS would stop mail."),
        "rollback": ("edit", "Put an older policy in force again, as a new revision with a new id."),
        "retire": ("promote", "Withdraw policies; prints from when the TXT record and the row may be deleted."),
        "remove": ("remove", "Remove a retired domain, row and DNS record; its history stays."),
    },
    "DNS and Azure": {
        "dns": ("dns", "The DNS records: print, check and publish them."),
        "bind": ("bind", "Bind mta-sts.DOMAIN to the app, with a free certificate or your own."),
        "unbind": ("bind", "Remove mta-sts.DOMAIN from the app, with its free certificate."),
    },
    "Look after the store": {
        "stores": ("stores", "List the stores that your configuration file names, for --store NAME."),
        "audit": ("audit", "Record what was changed by hand and report what is broken."),
        "backup": ("backup", "Save both tables in one file: every row with all its cells, every revision."),
        "restore": ("backup", "Put back what is in a backup and missing in the tables; what is there stays."),
        "export": ("bulk", "Write policies to a CSV or JSON file, or to a folder of policy texts."),
        "site": ("site", "Write policies as static sites, for Azure Static Web Apps or GitHub Pages."),
        "stats": ("stats", "Count exported log lines: fetches by domain and sender, unknown hosts, slow answers."),
    },
}


class _Commands(MutableMapping[str, Any]):
    """The commands by name; asking for one imports its module, which registers it with `app`."""

    def __init__(self) -> None:
        self._modules = {name: module for group in COMMANDS.values() for name, (module, _) in group.items()}
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            import_module(f"policy_store.cli.{self._modules[name]}")
            self._made[name] = _made(name)
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        raise NotImplementedError

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


class _Command(TyperGroup):
    """Every error ends in one sentence and an exit code, never in a traceback."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**{**attributes, "commands": {}})
        self.commands = _Commands()

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run it. Patterns stay as they are typed: typer would put file names in their place on Windows."""
        prepare_output()
        manner.begin()
        return super().main(*args, **{**extra, "windows_expand_args": False})

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """`help COMMAND` is `COMMAND --help`."""
        return super().parse_args(ctx, [*args[1:], "--help"] if args[:1] == ["help"] else args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (BrokenPipeError, ModuleNotFoundError):  # nobody reads on; the command is not wholly installed
            raise
        except Exception as error:
            if type(error).__module__.startswith("typer"):  # wrong use, which typer words itself; and the end
                raise
            message, code = explained(error)
        manner.name_store(before=message)
        raise typer.Exit(code)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """The commands that begin so, of which none is imported for it; or the options."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=sentence)
            for group in COMMANDS.values()
            for name, (_, sentence) in group.items()
            if name.startswith(incomplete)
        ]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Plain text, because the library that draws frames takes longer to import than everything else here."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        self.format_options(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The commands under their headings."""
        for heading, commands in COMMANDS.items():
            with formatter.section(heading):
                formatter.write_dl([(name, sentence) for name, (_, sentence) in commands.items()])


def _made(name: str) -> Any:
    """The command or the group of commands that a module registered, with the options that every command has."""
    for info in app.registered_commands:
        if info.name == name:
            return _mannered(get_command_from_info(info, pretty_exceptions_short=False, rich_markup_mode="rich"))
    for group in app.registered_groups:
        if group.name == name:
            made = get_group_from_info(
                group, pretty_exceptions_short=False, suggest_commands=True, rich_markup_mode="rich"
            )
            for command in made.commands.values():
                _mannered(command)
            return made
    raise KeyError(name)


def _mannered(command: Any) -> Any:
    """The command with `--quiet` and `--verbose`, unless it has a `--verbose` of its own."""
    taken = {option for parameter in command.params for option in parameter.opts}
    command.params += [parameter for parameter in get_command(_manners).params if taken.isdisjoint(parameter.opts)]
    return command


app = typer.Typer(
    cls=_Command,
    name="mta-sts",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(*, wanted: bool) -> None:
    if wanted:
        from policy_store import __version__

        print(f"mta-sts {__version__}")
        raise typer.Exit


def _be_quiet(*, wanted: bool) -> None:
    manner.quiet = manner.quiet or wanted


def _be_verbose(*, wanted: bool) -> None:
    """Have each request over HTTP told in a line."""
    if wanted and not manner.verbose:
        import logging

        manner.verbose = True
        requests = logging.getLogger("urllib3.connectionpool")
        requests.setLevel(logging.DEBUG)
        requests.addHandler(logging.StreamHandler())


QuietOption = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Print only what was asked for, and errors.", callback=_be_quiet, expose_value=False
    ),
]
VerboseOption = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Say which store it is, and each request to it.",
        callback=_be_verbose,
        expose_value=False,
    ),
]

_manners = typer.Typer(add_completion=False)


@_manners.command()
def _every_command(quiet: QuietOption = False, verbose: VerboseOption = False) -> None:
    """Hold the options that every command has."""


@app.callback()
def mta_sts(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Look after the MTA-STS policies of many domains."""
