"""What `func azure functionapp publish` sends of a folder, by Core Tools' own rules, which are not git's."""

from pathlib import Path

from dev.publish import Shipping, shipped
from tests.checkout import ROOT
from tests.planted import AT_THE_TOP, BELOW


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


def test_packages_left_by_another_build_do_not_ship(tmp_path: Path) -> None:
    """Publish deletes them first, wherever .funcignore stands to them."""
    for path in ("function_app.py", ".python_packages/lib/site-packages/x.py", "module/.python_packages/y.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()

    assert shipped(tmp_path) == ["function_app.py", "module/.python_packages/y.py"]


def test_nothing_ships_from_the_root_of_the_checkout() -> None:
    """But for names without a letter or digit of ASCII, which no line of a .funcignore can match."""
    shipping = Shipping((ROOT / ".funcignore").read_text(encoding="utf-8"))
    paths = {"function_app.py", "host.json", "requirements.txt", "policy_store/row.py", *AT_THE_TOP, *BELOW}
    assert {path for path in paths if shipping.ships(path)} == {"名单"}


def test_publishing_the_root_ends_before_an_empty_package_is_sent() -> None:
    """Core Tools make a folder of this name first (PythonHelpers.GetPythonDeploymentPackage): a file is in the way."""
    assert (ROOT / ".python_packages").is_file()
