"""Text files in the encodings that people's programs write, and what is no text."""

import io
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_store.exchange.text import UnreadableText, decoded, lines_of

_LIST = "domain;note\r\nmünchen.example;Кунде\r\nb.example;x\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_every_encoding_of_unicode_is_read_alike(encoding: str) -> None:
    assert decoded(_LIST.encode(encoding)) == _LIST
    assert "".join(lines_of(io.BytesIO(_LIST.encode(encoding)), 1000)) == _LIST


def test_marks_at_the_beginning_are_no_part_of_the_text() -> None:
    assert decoded("\ufeff\ufeffdomain".encode()) == "domain"


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"domain\r\nm\xfcller.example\r\n", 2, "the byte 0xfc is neither UTF-8 nor UTF-16"),
        (b"domain\n\nm\x81ller.example\n", 3, "'CSV UTF-8' in Excel"),
        ("domain\r\na".encode("utf-16")[:-1], 2, "cut or damaged"),
        (b"domain\na\0b\n", 2, "NUL"),
        (b"PK\x03\x04\x14\0\x06\0", None, "an Excel workbook (.xlsx)"),
    ],
)
def test_what_is_no_text_is_named_with_its_line(content: bytes, line: int | None, said: str) -> None:
    with pytest.raises(UnreadableText) as error:
        decoded(content)
    assert (error.value.line, said in str(error.value)) == (line, True)


def test_a_log_of_any_size_is_read_in_pieces() -> None:
    """Bytes that are no character are replaced: a log of others may lie between the app's lines."""
    log = "one\r\n".encode("utf-16") * 1 + ("x" * 5000 + "\n").encode("utf-16-le")
    lines = list(lines_of(io.BytesIO(log), 1000))
    assert lines[0] == "one\r\n"
    assert "".join(lines[1:]) == "x" * 5000 + "\n"
    assert max(map(len, lines)) == 1000
    assert list(lines_of(io.BytesIO(b"a\xff\nb\n"), 1000)) == ["a\ufffd\n", "b\n"]


def test_a_file_stays_open_after_its_lines() -> None:
    file = io.BytesIO(b"a\n")
    list(lines_of(file, 1000))
    assert not file.closed


@given(st.binary(max_size=100))
def test_no_bytes_are_too_strange(content: bytes) -> None:
    with suppress(UnreadableText):
        assert "\0" not in decoded(content)
