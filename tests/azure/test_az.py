"""How the Azure CLI is started where `az` is a batch file, as on Windows: no word goes through cmd.exe."""

from pathlib import Path

import pytest

from policy_store.azure.az import AzFailed, started_by

_WORDS = ["group", "show", "--query", "[?name=='a|b'] & %PATH%", "-n", "Müller & Söhne"]


def test_a_program_gets_the_words_as_they_are(tmp_path: Path) -> None:
    assert started_by(tmp_path / "az", _WORDS) == [str(tmp_path / "az"), *_WORDS]


@pytest.mark.parametrize("name", ["az.cmd", "az.CMD", "az.bat"])
@pytest.mark.parametrize("python", ["wbin/../python.exe", "wbin/python.exe"], ids=["the installer's", "pip's"])
def test_for_a_batch_file_the_python_beside_it_is_started(tmp_path: Path, name: str, python: str) -> None:
    (tmp_path / "wbin").mkdir()
    (tmp_path / python).touch()
    program, *rest = started_by(tmp_path / "wbin" / name, _WORDS)
    assert Path(program).samefile(tmp_path / python)
    assert rest == ["-IBm", "azure.cli", *_WORDS]


def test_a_batch_file_alone_gets_no_word_that_cmd_would_interpret(tmp_path: Path) -> None:
    az = tmp_path / "az.cmd"
    assert started_by(az, ["group", "show", "-n", "Müller"]) == [str(az), "group", "show", "-n", "Müller"]
    for mark in '"%!^&|<>\n':
        with pytest.raises(AzFailed, match="cannot be given"):
            started_by(az, ["group", "show", "-n", f"a{mark}b"])
