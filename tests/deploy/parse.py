"""Run by the Azure CLI's own Python: reads commands, each a list of words after `az`, and prints for each what the
parser of the Azure CLI says is wrong, or null. No command is run.
"""

import json
import logging
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

from azure.cli.core import get_default_cli
from knack.events import EVENT_INVOKER_POST_PARSE_ARGS


class _Parsed(BaseException):
    """The parser is through; no handler of the command may see this as an error of its own."""


def _wrong(cli: Any, words: list[str]) -> str | None:
    said, hints = StringIO(), StringIO()
    log = logging.StreamHandler(said)
    log.setLevel(logging.ERROR)
    logging.getLogger("cli").addHandler(log)
    try:
        with redirect_stderr(hints), redirect_stdout(hints):
            cli.invoke(words)
    except _Parsed:
        return None
    except SystemExit:
        pass
    finally:
        logging.getLogger("cli").removeHandler(log)
    return said.getvalue().strip() or "it ended without a word"


def _stop(*_: object, **__: object) -> None:
    raise _Parsed


def main() -> None:
    """Answer the commands of standard input on standard output."""
    cli = get_default_cli()
    cli.register_event(EVENT_INVOKER_POST_PARSE_ARGS, _stop)
    print(json.dumps([_wrong(cli, words) for words in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
