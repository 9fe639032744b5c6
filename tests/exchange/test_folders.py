"""Policy texts in folders: every text comes in under the right domain, or is a problem; nothing is passed over."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from policy_store.exchange.sources import proposals
from tests.conftest import load_cases

_TEXT = "version: STSv1\r\nmode: testing\r\nmx: mx.contoso.com\r\nmax_age: 604800\r\n"


def _lay_out(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files. `policy` stands for a policy; a name that ends with a slash is a folder."""
    for name, content in files.items():
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_TEXT.encode() if content == "policy" else content.encode())


@pytest.mark.parametrize("case", load_cases("folders.json"))
def test_texts_come_in_under_their_domains_and_the_rest_is_told(case: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / case.get("folder", "old")
    folder.mkdir()
    _lay_out(folder, case["files"])
    found = list(proposals(folder))
    good = {one.domain: str(Path(one.file).relative_to(folder)) for one in found if not one.problems}
    wrong = [[str(Path(one.file).relative_to(folder)), problem.code] for one in found for problem in one.problems]
    assert good == case["domains"]
    assert wrong == case["problems"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_text_and_a_cname_in_another_encoding_are_read(tmp_path: Path, encoding: str) -> None:
    _lay_out(tmp_path, {"a/.well-known/": ""})
    (tmp_path / "a" / ".well-known" / "mta-sts.txt").write_bytes(_TEXT.encode(encoding))
    (tmp_path / "a" / "CNAME").write_bytes("mta-sts.northwind.example\r\n".encode(encoding))
    [found] = proposals(tmp_path)
    assert (found.domain, found.mx, found.problems) == ("northwind.example", ("mx.contoso.com",), ())


def test_what_is_wrong_with_a_policy_has_its_line(tmp_path: Path) -> None:
    _lay_out(tmp_path, {"a.example.txt": "version: STSv1\nmode: enforced\nmx: a.example.\nmax_age: 604800\n"})
    [found] = proposals(tmp_path)
    assert [(problem.line, problem.code) for problem in found.problems] == [(2, "mode_value"), (3, "mx_value")]
    assert found.sentences[0].startswith(f"{tmp_path / 'a.example.txt'} line 2: a.example: mode is 'enforced'")


def test_a_cname_that_is_wrong_is_named(tmp_path: Path) -> None:
    _lay_out(tmp_path, {"a/.well-known/mta-sts.txt": "policy", "a/CNAME": "www.northwind.example\n"})
    [found] = proposals(tmp_path)
    assert f"{(tmp_path / 'a' / 'CNAME').resolve()} names 'www.northwind.example'" in found.sentences[0]


def test_a_pipe_a_broken_link_and_a_ring_of_links_do_not_stop_the_others(tmp_path: Path) -> None:
    _lay_out(tmp_path, {"a.example.txt": "policy"})
    os.mkfifo(tmp_path / "b.example.txt")
    (tmp_path / "c.example.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "ring").symlink_to(tmp_path)
    assert [(one.domain, one.problems) for one in proposals(tmp_path) if not one.problems] == [("a.example", ())]


def test_the_folder_itself_may_be_the_site(tmp_path: Path) -> None:
    site = tmp_path / "mta-sts.contoso.com"
    _lay_out(site, {".well-known/mta-sts.txt": "policy", "LICENSES/AGPL-3.0-only.txt": "GNU"})
    assert [(one.domain, one.problems) for one in proposals(site)] == [("contoso.com", ())]
