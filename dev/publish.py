"""`func azure functionapp publish` without Azure: the zip that it sends, what the remote build makes of that, and the
means to start Python with nothing else to import.

The rules are those of Azure/azure-functions-core-tools: src/Cli/func/Common/GitIgnoreParser.cs,
FileSystemHelpers.GetLocalFiles, Helpers/PythonHelpers.GetPythonDeploymentPackage and ZipHelper.CreateZip.
"""

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import azure_functions_runtime

from dev import worker

_FUNCIGNORE = ".funcignore"
_REQUIREMENTS = "requirements.txt"
_PACKAGES = ".python_packages"
_READ_WRITE = 0o100666 << 16  # Unix permissions, as a zip holds them
_CREATED_BY_UNIX = 3

ISOLATED = ("-S", "-P")
"""Options of Python with which it imports from `isolated_path` and its standard library alone."""


class Shipping:
    """Whether Core Tools ship a path, by the lines of a .funcignore, whose rules are not git's."""

    _FOLDERS = frozenset({".git", ".vscode"})
    _FILES = frozenset({_FUNCIGNORE, ".gitignore", "local.settings.json", "project.lock.json"})

    def __init__(self, funcignore: str) -> None:
        lines = [line.strip() for line in funcignore.split("\n")]
        lines = [line for line in lines if line and not line.startswith("#")]
        self._denied = self._pattern([line.removeprefix("/") for line in lines if not line.startswith("!")])
        self._allowed = self._pattern([line[1:].removeprefix("/") for line in lines if line.startswith("!")])

    @staticmethod
    def _pattern(lines: list[str]) -> re.Pattern[str]:
        if not lines:
            return re.compile(r"$^", re.ASCII)
        escaped = [re.sub(r"[-\[\]/{}()+?.\\^$|]", r"\\\g<0>", line) for line in lines]
        starred = [line.replace("**", "(.+)").replace("*", r"([^\/]+)") for line in escaped]
        return re.compile(rf"^(({')|('.join(starred)}))\b", re.ASCII)

    def ships(self, path: str) -> bool:
        """Take a file's path from the app's folder, with slashes."""
        *folders, name = (part.lower() for part in PurePosixPath(path).parts)
        if name in self._FILES or self._FOLDERS.intersection(folders):
            return False
        return bool(self._allowed.match(path) or not self._denied.match(path))


def shipped(app_folder: Path) -> list[str]:
    """Return the paths, from the app's folder, of all files there that publish sends, whether or not git has them.

    It deletes .python_packages before it looks, since the remote build installs again; here that is only left out.
    """
    funcignore = app_folder / _FUNCIGNORE
    shipping = Shipping(funcignore.read_text(encoding="utf-8") if funcignore.exists() else "")
    paths: list[str] = []
    for folder, folders, names in app_folder.walk(follow_symlinks=True):
        if folder == app_folder and _PACKAGES in folders:
            folders.remove(_PACKAGES)
        paths += ((folder / name).relative_to(app_folder).as_posix() for name in names)
    return sorted(path for path in paths if shipping.ships(path))


def write_zip(app_folder: Path, archive: Path) -> None:
    """Write the zip that publish sends, with remote build, for the app in that folder."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as package:
        for path in shipped(app_folder):
            entry = zipfile.ZipInfo.from_file(app_folder / path, path)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = _CREATED_BY_UNIX
            entry.external_attr = _READ_WRITE
            package.writestr(entry, (app_folder / path).read_bytes())


def remote_build(archive: Path, app_folder: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Unpack a zip into the folder, and install what its requirements.txt lists as Azure's remote build does.

    That is microsoft/Oryx, whose PythonBashBuildSnippet holds the command. `environment` is pip's: it may say where
    packages come from. Raises subprocess.CalledProcessError when pip cannot.
    """
    with zipfile.ZipFile(archive) as package:
        package.extractall(app_folder)
    pip = (sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--prefer-binary")
    subprocess.run(
        [*pip, "--target", packages_folder(app_folder), "--requirement", app_folder / _REQUIREMENTS],
        env=environment,
        check=True,
    )


def packages_folder(app_folder: Path) -> Path:
    """Return the folder of the app's packages, which the host has Python search before its own."""
    return app_folder / _PACKAGES / "lib" / "site-packages"


def isolated_path(app_folder: Path, worker_folder: Path, program: Path) -> dict[str, str]:
    """Return the environment in which Python, with `ISOLATED`, finds the app's packages and `worker_folder` alone.

    `worker_folder`, which is made, gets links to what Azure has beside the app, the runtime library and dev.worker for
    the host's part of it, and to `program`, which is run with `-m` and its name without `.py`.
    """
    (worker_folder / "dev").mkdir(parents=True)
    (worker_folder / "dev" / "worker.py").symlink_to(worker.__file__)
    runtime = Path(azure_functions_runtime.__file__).parent
    (worker_folder / runtime.name).symlink_to(runtime)
    (worker_folder / program.name).symlink_to(program)
    return {"PYTHONPATH": os.pathsep.join(map(str, (packages_folder(app_folder), worker_folder)))}
