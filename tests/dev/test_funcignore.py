"""What `func azure functionapp publish` ships, by Core Tools' own rules, which are not git's."""

import os
import subprocess
import sys
from pathlib import Path

import dev.package
from dev.package import Shipping

ROOT = Path(__file__).parents[2]

# What lies about in a working folder that is used, whether or not it does here now.
PLANTED = [
    ".azurite/__azurite_db_table__.json",
    ".bench/results.json",
    ".git/config",
    ".venv/lib/python3.13/site-packages/x.py",
    ".venv-azure-cli/lib/python3.13/site-packages/x.py",
    "__pycache__/function_app.cpython-313.pyc",
    "dev/node/node_modules/azurite/package.json",
    "local.settings.json",
    "mta_sts.egg-info/PKG-INFO",
    "policy_store/.mypy_cache/3.13/x.json",
    "policy_store/__pycache__/x.pyc",
    "policy_store/cli/__pycache__/x.pyc",
    "policy_store/cli/x.py",
    "policy_store/sender/x.py",
    "tests/x.py",
]


def test_the_app_ships_and_nothing_else() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    shipping = Shipping((ROOT / ".funcignore").read_text(encoding="utf-8"))

    shipped = {path for path in [*listed, *PLANTED] if shipping.ships(path)}

    modules = {
        module.relative_to(ROOT).as_posix()
        for folder in ("policy_store", "policy_store/tables")
        for module in (ROOT / folder).glob("*.py")
    }
    modules |= {f"policy_store/azure/{name}.py" for name in ("__init__", "held", "publisher", "zones")}
    assert shipped == {"function_app.py", "host.json", "requirements.txt", *modules}


def test_what_publishes_ids_finds_all_that_it_needs_in_what_ships(tmp_path: Path) -> None:
    """It is imported by the timer only, and so in no cold start."""
    for path in dev.package.shipped(ROOT):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((ROOT / path).read_bytes())
    subprocess.run(
        [sys.executable, "-c", "import policy_store.azure.publisher"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=True,
    )


def test_the_rules_are_core_tools_own() -> None:
    """Cases of Core Tools' own GitIgnoreParserTests.cs, so that the port here says what the original says."""
    shipping = Shipping(
        "# comment\nnode_modules\n*.log\n!/nonexistent/foo\nnonexistent\n/test1\ntest2\nfoo/*.wat\n*.swp\n"
    )

    assert shipping.ships("test/index.js")
    assert shipping.ships("test1File.wat")
    assert shipping.ships("nonexistent/foo")
    assert shipping.ships("nonexistent/foo/wat")
    assert not shipping.ships("nonexistent/bar")
    assert not shipping.ships("test2")
    assert not shipping.ships("test.swp")
    assert not shipping.ships("node_modules/what.js")
    assert not shipping.ships("foo/bar.wat")
