"""The commands in a page of Markdown, for bash and for PowerShell: for tests that hold each against the program's own
parser.
"""

import re
import shlex
from collections.abc import Iterator

_BLOCK = re.compile(r"^ *```(?P<shell>sh|powershell)\n(?P<script>.*?)^ *```$", re.DOTALL | re.MULTILINE)
_PAIR = re.compile(
    r"^ *```sh\n(?P<sh>[^`]*)^ *```$\s*^PowerShell:$\s*^ *```powershell\n(?P<powershell>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)
_ASSIGNMENT = re.compile(r"^( *)\$(?:env:)?(\w+) *= *((?:.*\\\n)*.*)$", re.MULTILINE)
_IN_QUOTES = re.compile(r"\\.|\$\(|.", re.DOTALL)
_OUTSIDE = re.compile(r" *\\\n *|\\.|'[^']*'|(?<!\S)#[^\n]*|\$\(|[<>]&|&&|\|\||.", re.DOTALL)
# What stands before a command's name: keywords, and settings for this command alone.
_BEFORE = re.compile(r"""(?:(?:if|then|else|while|until|do|!)\s+|\w+=(?:[^\s$"'(]*|'[^']*'|"[^"$]*")\s+)*""")

_SUBSTITUTION = re.compile(r"\$\((?:[^()]|\([^()]*\))*\)")


def commands(program: str, text: str) -> Iterator[tuple[int, str]]:
    """Every command of `program` in the `sh` and `powershell` blocks of `text`: the line that it begins on, the first
    being 1, and the whole command as one line, without comments and with what it is piped into.

    A command begins a line, or follows `&&`, `||`, `;`, `|`, a keyword or `$(`. There is no reading of here-documents.
    """
    for block in _BLOCK.finditer(text):
        first = text.count("\n", 0, block.start("script")) + 1
        script = block["script"] if block["shell"] == "sh" else _as_sh(block["script"])
        for line, command in sorted(_pipelines(script), key=lambda found: found[0]):
            if command.split(maxsplit=1)[:1] == [program]:
                yield first + line, command


def pairs(text: str) -> Iterator[tuple[str, str]]:
    """The blocks of `text` that say the same for both shells, each as the two scripts, for sh and for PowerShell: an
    `sh` block, a line `PowerShell:`, and a `powershell` block.
    """
    for pair in _PAIR.finditer(text):
        yield pair["sh"], pair["powershell"]


def _as_sh(script: str) -> str:
    """A script for PowerShell as one for sh, line by line: they differ in how a line goes on, how a variable is set and
    how a file's lines become words.
    """
    return _ASSIGNMENT.sub(r"\1\2=$(\3)", script.replace("`\n", "\\\n").replace(" (Get-Content ", " $(Get-Content "))


def words(command: str) -> list[str]:
    """The words of the program of `command`: `$(…)` is one, `$NAME` stays, what follows `|` or `>` is left out."""
    while (plain := _SUBSTITUTION.sub("SUBSTITUTED", command)) != command:
        command = plain
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|<>")
    lexer.whitespace_split, lexer.commenters = True, ""
    found = list(lexer)
    return found[: next((at for at, word in enumerate(found) if set(word) <= set("|<>")), None)]


def _pipelines(script: str) -> Iterator[tuple[int, str]]:
    """Each command of `script` with what it is piped into, and the number of line ends before it."""
    parts: list[str] = []
    lines: list[int] = []
    open_: list[list[int] | None] = [[0]]  # where the commands of each open `$(` begin; None within double quotes
    at = line = 0
    script += "\n"
    while at < len(script):
        begins = open_[-1]
        match = (_IN_QUOTES if begins is None else _OUTSIDE).match(script, at)
        assert match
        token, here = match[0], len(parts)
        at = match.end()
        parts.append(
            " " if token.lstrip().startswith("\\\n") else "" if token[0] == "#" and begins is not None else token
        )
        lines.append(line)
        line += token.count("\n")
        if token == "$(":
            open_.append([here + 1])
        elif begins is None:
            if token == '"':
                open_.pop()
        elif token == '"':
            open_.append(None)
        elif token == "|":
            begins.append(here + 1)
        elif token in ("&&", "||", ";", "&", "\n", ")"):
            for begin in begins:
                command = "".join(parts[begin:here])
                name_at = len(command) - len(_BEFORE.sub("", command.lstrip(), count=1))
                yield lines[_part_at(parts, begin, name_at)], command[name_at:].strip()
            if token == ")" and len(open_) > 1:
                open_.pop()
            else:
                open_[-1] = [here + 1]


def _part_at(parts: list[str], begin: int, offset: int) -> int:
    """The index of the part that holds the character `offset` after the beginning of the part `begin`."""
    for index in range(begin, len(parts)):
        offset -= len(parts[index])
        if offset < 0:
            return index
    return begin
