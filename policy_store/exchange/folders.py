"""Policy texts in a folder: files named after their domains, and copies of the sites and repositories that had them."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from policy_store.exchange.lists import read_list
from policy_store.exchange.objects import read_objects
from policy_store.exchange.proposal import Proposal
from policy_store.exchange.text import LARGEST, UnreadableText, decoded, read_text
from policy_store.lint.findings import Note
from policy_store.lint.known_names import has_top_level_domain, is_hosted
from policy_store.names import InvalidName, domain_of_host, mail_domain, quoted, read_domain
from policy_store.policy import Policy, PolicySyntaxError

TEXT_NAME = "mta-sts.txt"

_WELL_KNOWN = ".well-known"
_CNAME = "CNAME"  # beside .well-known: the host of a site at GitHub Pages
_GIT = ".git"
_NOT_OURS = (_GIT, "node_modules", "__pycache__", "__MACOSX")
_LISTS = (".csv", ".tsv", ".xlsx", ".xls")
_TEXTS = ("", ".txt", ".lst", ".list", ".json")  # which may be lists
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
_OUR_NAME = re.compile(r"mta[-_ .]?sts", re.IGNORECASE)
_BEGINNING = re.compile(r"^\s*version\b", re.IGNORECASE | re.MULTILINE)
_POLICY = re.compile(r"\s*version\s*:\s*sts", re.IGNORECASE)
_HEAD = 512  # bytes of a file that show whether it is a policy


def read_folder(folder: Path) -> Iterator[Proposal]:
    """What the policy texts in `folder` say, in the order of their paths; whatever looks like one and is not read is a
    problem, and so is a folder that looks like a site and holds none.
    """
    looked_at: dict[Path, bool] = {}  # the folders that look like sites -> whether a policy or a problem is in them
    for parent, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if name not in _NOT_OURS)
        here = Path(parent)
        site = _site_of(folder, here)
        if here != folder and _is_expected(here):
            looked_at[here] = False
        for name in sorted(files):
            if found := _read(folder, here / name, in_site=site):
                for above in here.parents if here not in looked_at else (here, *here.parents):
                    if above in looked_at:
                        looked_at[above] = True
                yield found
    for path, seen in looked_at.items():
        # A folder in a folder that is told of already says nothing new.
        if not seen and not any(above in looked_at for above in path.parents):
            yield _wrong(path, "near_text_name", f"no {TEXT_NAME} is in this folder")


def _site_of(folder: Path, here: Path) -> bool:
    """Whether `here` lies in a copy of a site or a repository, where many texts are something else."""
    inside = [here, *(above for above in here.parents if above == folder or folder in above.parents)]
    marks = (_WELL_KNOWN, _GIT)
    return any(above.name == _WELL_KNOWN or any((above / mark).exists() for mark in marks) for above in inside)


def _is_expected(folder: Path) -> bool:
    """Whether a folder looks as if it held a policy: by its name, or as the copy of a site."""
    if folder.name.lower().endswith(_GIT):  # a repository without its files
        return True
    if (folder / _GIT).exists() or (folder / _WELL_KNOWN).is_dir() or _OUR_NAME.search(folder.name):
        return True
    return _domain_of(folder.name) is not None and has_top_level_domain(folder.name.lower())


def _read(folder: Path, path: Path, *, in_site: bool) -> Proposal | None:
    """What a file says; None for one that has nothing to do with policies."""
    if path.name.startswith("._"):  # what macOS keeps beside each file
        return None
    try:
        if not path.is_file():  # a pipe or a device would not end
            return None
        if path.name.lower() == TEXT_NAME:
            return _policy(path, *_domain_of_site(folder, path))
        if in_site:
            return _read_in_site(path)
        if path.suffix.lower() == ".txt" and "." in path.stem:
            return _policy(path, *_domain_of_file(path))
        if path.suffix.lower() in _LISTS:
            return _list(path)
        if path.suffix.lower() in _ARCHIVES:
            return _wrong(path, "unreadable", "this is an archive: unpack it")
        if _OUR_NAME.search(path.name):
            return _nearly(path)
        if _is_policy(path):
            return _wrong(path, "path_domain", "this is a policy")
        is_text = path.suffix.lower() in _TEXTS and path.name != _CNAME
        return _list(path) if is_text and _names_domains(path) else None
    except OSError as error:
        return _wrong(path, "unreadable", f"the file cannot be read: {error.strerror}")


def _read_in_site(path: Path) -> Proposal | None:
    """What a file in a site or a repository says, where most texts are something else: only what is a policy counts."""
    is_text = path.suffix.lower() in ("", ".txt")
    if (is_text or path.parent.name == _WELL_KNOWN) and _OUR_NAME.search(path.name):
        return _nearly(path)
    if not is_text or not _is_policy(path):
        return None
    if "." in path.stem:
        return _policy(path, *_domain_of_file(path))
    return _wrong(path, "path_domain", "this is a policy")


def _list(path: Path) -> Proposal:
    return _wrong(path, "near_text_name", "this is a list: import it by itself")


def _names_domains(path: Path) -> bool:
    """Whether a file is a list of domains."""
    try:
        text = read_text(path)
    except UnreadableText:
        return False
    read = read_objects if path.suffix.lower() == ".json" else read_list
    found = (proposal.domain for proposal in read(text, str(path)) if not proposal.problems)
    return any(domain is not None and has_top_level_domain(domain) for domain in found)


def _nearly(path: Path) -> Proposal:
    return _wrong(path, "near_text_name", f"{quoted(path.name)} is nearly {TEXT_NAME}, and is not read")


def _is_policy(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    try:
        return bool(_POLICY.match(decoded(head)))
    except UnreadableText:
        return False


def _domain_of_file(path: Path) -> tuple[str | None, Note | None]:
    """The domain in the name of a file such as contoso.com.txt or mta-sts.contoso.com.txt."""
    if path.stem.lower() == TEXT_NAME or path.stem.lower().endswith(f".{TEXT_NAME}"):
        return None, Note("near_text_name", f"{quoted(path.name)} is nearly {TEXT_NAME}, and is not read")
    return _domain(path.stem)


def _domain_of_site(folder: Path, path: Path) -> tuple[str | None, Note | None]:
    """The domain that a mta-sts.txt is for: what a CNAME beside `.well-known` or further up says, or else the first
    folder upwards whose name has a dot, as in `mta-sts.contoso.com/.well-known/` and `contoso.com/docs/.well-known/`.
    """
    root = folder.resolve()
    for site in path.resolve().parents:
        if site.name != _WELL_KNOWN:
            if (site / _CNAME).is_file():
                return _domain_of_cname(site / _CNAME)
            if "." in site.name.strip("."):
                return _domain(site.name)
        if site == root:
            break
    return None, Note("path_domain", "no folder above it is named after a domain")


def _domain_of_cname(path: Path) -> tuple[str | None, Note | None]:
    try:
        lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    except UnreadableText as error:
        return None, Note("cname_file", f"{path}: {error}")
    with suppress(InvalidName):
        if len(lines) == 1 and (domain := domain_of_host(read_domain(lines[0]))):
            return domain, None
    return None, Note("cname_file", f"{path} names {quoted(' '.join(lines))}, which is not a policy host")


def _domain(name: str) -> tuple[str | None, Note | None]:
    """The domain after which a file or folder is named, and why it is not one."""
    try:
        domain = mail_domain(name.lower())
    except InvalidName as error:
        return None, Note("path_domain", str(error))
    reason = ""
    if is_hosted(domain):
        reason = f"{domain} is the name of a site at its host, not of a mail domain"
    elif _OUR_NAME.search(domain):
        reason = f"{domain} has mta-sts in it, though not as its first label"
    elif not has_top_level_domain(domain):
        reason = f"{domain}: there is no top-level domain {domain.rpartition('.')[2]}"
    return (None, Note("path_domain", reason)) if reason else (domain, None)


def _domain_of(name: str) -> str | None:
    """The domain that a name is, for the question whether it is one."""
    try:
        return mail_domain(name)
    except InvalidName:
        return None


def _policy(path: Path, domain: str | None, wrong: Note | None) -> Proposal:
    """The policy in a file. A byte order mark and UTF-16 are forgiven here: what is served has neither."""
    file = str(path)
    try:
        with path.open("rb") as content:
            text = decoded(content.read(LARGEST))
        if not _BEGINNING.search(text):
            return _wrong(path, "no_policy_text", "no line begins with 'version'", domain)
        if wrong:
            return Proposal.refused(file, None, [wrong])
        policy = Policy.parse(text)
    except UnreadableText as error:
        return Proposal.refused(file, error.line, [Note("unreadable", str(error), error.line)], domain)
    except PolicySyntaxError as error:
        notes = [Note(problem.code, problem.message, problem.line) for problem in error.problems]
        return Proposal.refused(file, None, notes, domain)
    return Proposal(file, None, domain, policy.mode, policy.mx, policy.max_age)


def _wrong(path: Path, code: str, message: str, domain: str | None = None) -> Proposal:
    return Proposal.refused(str(path), None, [Note(code, message)], domain)
