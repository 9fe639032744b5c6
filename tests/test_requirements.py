"""requirements.txt is what the app needs and no more, each package up to the major version that was tried."""

from pathlib import Path

from packaging.requirements import Requirement

_LINES = (Path(__file__).parents[1] / "requirements.txt").read_text(encoding="utf-8").splitlines()
_REQUIREMENTS = [Requirement(line.partition(" #")[0]) for line in _LINES if not line.startswith("#")]


def test_only_the_packages_of_the_app_are_listed() -> None:
    """The worker is the platform's own: one in the package would shadow it."""
    assert {requirement.name for requirement in _REQUIREMENTS} == {
        "azure-data-tables",
        "azure-functions",
        "azure-identity",
        "azure-mgmt-dns",
        "pydantic",
    }


def test_each_has_a_lowest_version_and_ends_before_the_next_major_one() -> None:
    for requirement in _REQUIREMENTS:
        bounds = {bound.operator: bound.version for bound in requirement.specifier}
        assert set(bounds) == {">=", "<"}, requirement
        assert int(bounds["<"]) == int(bounds[">="].partition(".")[0]) + 1, requirement
