"""The app as it is deployed: the size of what publish sends and of what the remote build leaves, and its cold start."""

import compileall
import shutil
import tempfile
from pathlib import Path

from bench import answer_once
from bench.cold import first_answer
from bench.common import ROOT, Figure, fill, milliseconds, octets, progress, ratio
from dev import package
from dev.azurite import Azurite
from dev.publish import ISOLATED, isolated_path, remote_build, write_zip

_ROUNDS = 11


def measure() -> list[Figure]:
    """The package starts as unpacked, then compiled, then the checkout, in turn; each with a connection string."""
    not_compiled: list[float] = []
    compiled: list[float] = []
    checkout: list[float] = []
    with tempfile.TemporaryDirectory() as folder, Azurite() as store:
        built, archive, app, worker = (Path(folder) / name for name in ("publish", "app.zip", "wwwroot", "worker"))
        progress("package: pip installs the packages")
        package.build(ROOT, built)
        write_zip(built, archive)
        remote_build(archive, app)
        sizes = [
            octets("octets of the zip that publish sends", archive.stat().st_size),
            octets("octets of files, packages installed", _size(app)),
        ]
        fill(store.connection_string, ["d0.example"])
        settings = {"POLICY_STORE": store.connection_string}
        deployed = {**settings, **isolated_path(app, worker, Path(answer_once.__file__))}
        compileall.compile_dir(worker, quiet=1)
        for turn in range(-1, _ROUNDS):  # the first warms the page cache
            # pip compiled the packages; the app itself Python compiles in its first start, and keeps it or cannot.
            _forget_compiled(app)
            unpacked = first_answer(app, deployed, "answer_once", ISOLATED)
            _compile(app)
            taken = (unpacked, first_answer(app, deployed, "answer_once", ISOLATED), first_answer(ROOT, settings))
            if turn >= 0:
                for seconds, one in zip((not_compiled, compiled, checkout), taken, strict=True):
                    seconds.append(one)
            progress(f"package: round {turn + 1} of {_ROUNDS}")
    return [
        *sizes,
        ratio("cold start, package / checkout", compiled, checkout),
        milliseconds("cold start, package", compiled),
        milliseconds("cold start, package not yet compiled", not_compiled),
    ]


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _forget_compiled(app: Path) -> None:
    for folder in (app / "__pycache__", *(app / "policy_store").rglob("__pycache__")):
        shutil.rmtree(folder, ignore_errors=True)


def _compile(app: Path) -> None:
    """Compile the app here, since Python may have been told not to keep what it compiles."""
    compileall.compile_file(app / "function_app.py", quiet=1)
    compileall.compile_dir(app / "policy_store", quiet=1)
