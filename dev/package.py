"""What ships to Azure: function_app.py, the modules of policy_store that it imports, and two files that Azure reads.

`make package`, or `python -m dev.package`, copies them into .publish, and `func azure functionapp publish` sends that
folder. Whatever else lies in a checkout stays there. Only Python's own library is needed.
"""

import ast
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = ".publish"

_APP = "function_app.py"
_PACKAGE = "policy_store"
_READ_BY_AZURE = ("host.json", "requirements.txt")
_LIST = ".funcignore"
_NOTHING = "**"  # to Core Tools: every path
_MADE_BY_TOOLS = {".python_packages", "__pycache__"}


class PackageError(Exception):
    """The folder cannot be built; the sentence says why."""


def shipping(root: Path) -> list[str]:
    """Return the list of what ships of the checkout `root`: paths from there, with slashes, in order.

    A module ships with the table of data beside it that has its name.
    """
    modules: set[Path] = set()
    unread = {Path(_APP)}
    while unread:
        modules |= unread
        unread = {module for read in unread for module in _imported(root, read)} - modules
    data = {module.with_suffix(".toml") for module in modules if (root / module).with_suffix(".toml").is_file()}
    return sorted([*_READ_BY_AZURE, *(path.as_posix() for path in modules | data)])


def _imported(root: Path, module: Path) -> Iterator[Path]:
    """The modules of policy_store that a module names in an import, anywhere, within functions too. Nothing is run."""
    for node in ast.walk(ast.parse((root / module).read_bytes())):
        names: list[tuple[str, ...]] = []
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = module.parts[: -node.level] if node.level else ()
            base = (*package, *(node.module.split(".") if node.module else ()))
            names = [(*base, alias.name) for alias in node.names]
        for name in names:
            if name[0] == _PACKAGE:
                places = [Path(*name[:count]) for count in range(1, len(name) + 1)]
                files = [file for place in places for file in (place / "__init__.py", place.with_suffix(".py"))]
                yield from (file for file in files if (root / file).is_file())


def build(root: Path, folder: Path) -> list[str]:
    """Make `folder` again from what ships of the checkout `root`, and return that list.

    A .funcignore in it repeats the list, so that a file saved there afterwards does not ship either. Raises
    PackageError where the folder holds something that no build put there, and OSError.
    """
    if saved := _saved(folder):
        raise PackageError(
            f"{folder} contains {', '.join(saved)}, which does not belong to the app: move it away, then try again."
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    paths = shipping(root)
    (folder / _LIST).write_text("\n".join([_NOTHING, *(f"!{path}" for path in paths), ""]), encoding="utf-8")
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / path, folder / path)
    return paths


def _saved(folder: Path) -> list[str]:
    """What lies in the folder and neither a build nor a tool put there."""
    listed = folder / _LIST
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.exists() else []
    built = {_LIST, *(line.removeprefix("!") for line in lines)}
    found = {path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()}
    return sorted(
        path.as_posix()
        for path in found
        if path.as_posix() not in built and not _MADE_BY_TOOLS.intersection(path.parts)
    )


def main() -> None:
    """Build .publish, and print what is in it."""
    if sys.version_info < (3, 13):  # noqa: UP036 - nothing is installed before this runs
        sys.exit(f"This is Python {sys.version.split()[0]}: the app is written in that of 3.13 or later.")
    try:
        paths = build(ROOT, ROOT / FOLDER)
    except (PackageError, OSError) as error:
        sys.exit(str(error))
    print("\n".join(paths))
    print(f"\n{len(paths)} files are in {FOLDER}/. Publish them with:")
    print(f"func azure functionapp publish APP --python --script-root {FOLDER}")


if __name__ == "__main__":
    main()
