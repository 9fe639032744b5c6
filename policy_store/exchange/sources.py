"""What files and folders say of many domains: CSV, JSON, lists of domains, folders of policy texts.

Whatever Exchange Online, Entra, Excel, PowerShell and Storage Explorer write is read as the table's rows are, forgiving
what has one meaning only. Nothing is passed over in silence: what is not read is a problem with its place.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from policy_store.exchange.folders import read_folder
from policy_store.exchange.lists import read_list
from policy_store.exchange.objects import read_objects
from policy_store.exchange.proposal import Proposal
from policy_store.exchange.text import UnreadableText, read_text
from policy_store.lint.findings import Note

STANDARD_INPUT = "-"

_NAMED = 10  # columns of a source that nothing reads


def proposals(source: str | Path) -> Iterator[Proposal]:
    """What one source says, in its order: a file, a folder of policy texts, `-` for standard input.

    What kind of text a file holds is seen from its beginning. A source in which nothing is found is a problem too.
    """
    nothing = True
    for proposal in _read(source):
        nothing = False
        yield proposal
    if nothing:
        what = "no policy text is in this folder" if _is_folder(source) else "there is no domain in it"
        yield _wrong(source, "no_policies", what)


def together(sources: Iterable[str | Path]) -> list[Proposal]:
    """What several sources say, each domain once.

    A domain that is given again with the same content has one meaning; with different content no place of it counts.
    """
    found = [proposal for source in sources for proposal in proposals(source)]
    first: dict[str, Proposal] = {}
    places: dict[str, list[str]] = {}
    contradicted: set[str] = set()
    for proposal in found:
        if proposal.domain:
            places.setdefault(proposal.domain, []).append(proposal.place)
            if not first.setdefault(proposal.domain, proposal).says_the_same(proposal):
                contradicted.add(proposal.domain)
    return [
        _with_the_others(proposal, places) if proposal.domain in contradicted else proposal
        for proposal in found
        if proposal.domain in contradicted or proposal.domain is None or first[proposal.domain] is proposal
    ]


def unread_lines(found: Iterable[Proposal]) -> Iterator[str]:
    """A sentence for each source with columns or keys that hold something and that nothing reads."""
    names: dict[str, dict[str, None]] = {}
    for proposal in found:
        if proposal.unread:
            names.setdefault(proposal.file, {}).update(dict.fromkeys(proposal.unread))
    for file, here in names.items():
        more = f" and {len(here) - _NAMED} more" if len(here) > _NAMED else ""
        yield f"{file}: nothing reads {', '.join(list(here)[:_NAMED])}{more}: what is in there does not come in"


def _with_the_others(proposal: Proposal, places: dict[str, list[str]]) -> Proposal:
    others = [place for place in places[proposal.domain or ""] if place != proposal.place]
    return proposal.with_problem("domain_twice", f"{', '.join(others)} says something else of it")


def _read(source: str | Path) -> Iterator[Proposal]:
    try:
        if _is_folder(source):
            yield from read_folder(Path(source))
            return
        text = read_text(source)
    except OSError as error:
        yield _wrong(source, "unreadable", f"it cannot be read: {error.strerror}")
        return
    except UnreadableText as error:
        yield _wrong(source, "unreadable", str(error), error.line)
        return
    if text.lstrip().startswith(("[", "{")) or _name(source).lower().endswith(".json"):
        yield from read_objects(text, _name(source))
    else:
        yield from read_list(text, _name(source))


def _is_folder(source: str | Path) -> bool:
    return str(source) != STANDARD_INPUT and Path(source).is_dir()


def _name(source: str | Path) -> str:
    return "standard input" if str(source) == STANDARD_INPUT else str(source)


def _wrong(source: str | Path, code: str, message: str, line: int | None = None) -> Proposal:
    return Proposal.refused(_name(source), line, [Note(code, message, line)])
