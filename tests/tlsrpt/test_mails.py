"""Reports are found in mails, mbox, zip, folders and files by what they are, never by their names."""

import base64
import gzip
import io
import quopri
import zipfile
from email.message import EmailMessage
from pathlib import Path

import pytest

from policy_store.tlsrpt import mails
from policy_store.tlsrpt.mails import Found, find, find_in
from policy_store.tlsrpt.reading import read
from tests.checkout import tracked
from tests.tlsrpt.making import entry, report, yesterday

_REPORT = report(yesterday(), entry(ok=1))
_MAILS = tracked("tests/data/tls_reports/*.eml")


def _mail(*attachments: tuple[str, bytes, str]) -> bytes:
    mail = EmailMessage()
    mail["Subject"] = "Report Domain: contoso.com Submitter: sender.example Report-ID: <1@sender.example>"
    mail.set_content("This is an aggregate TLS report.")
    for media_type, content, name in attachments:
        main, _, sub = media_type.partition("/")
        mail.add_attachment(content, main, sub, filename=name)
    return mail.as_bytes()


def _zip(**files: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return written.getvalue()


def _nested(depth: int, media_type: bytes) -> bytes:
    """A mail whose parts are in one another."""
    head = b"Content-Type: %b" % media_type
    if media_type.startswith(b"message"):
        return b"Subject: x\n" + (head + b"\n\n") * depth + _REPORT
    parts = [head + b'; boundary="%d"\n\n--%d\n' % (number, number) for number in range(depth)]
    return b"Subject: x\n" + b"".join(parts) + b"\n" + _REPORT


def _part(body: bytes, encoding: str = "base64", media_type: str = "application/tlsrpt+gzip") -> bytes:
    """A mail of one part that is written as it stands."""
    return f"Subject: x\nContent-Type: {media_type}\nContent-Transfer-Encoding: {encoding}\n\n".encode() + body


def _reports(found: list[Found]) -> int:
    assert not [each for each in found if each.problem], found
    for each in found:
        read(each.octets)
    return len(found)


@pytest.mark.parametrize("path", _MAILS, ids=lambda path: path.name)
def test_each_real_mail_has_one_report(path: Path) -> None:
    assert _reports(list(find(path))) == 1


@pytest.mark.parametrize(
    ("media_type", "content", "name"),
    [
        ("application/tlsrpt+gzip", gzip.compress(_REPORT), "r.json.gz"),
        ("application/tlsrpt+json", gzip.compress(_REPORT), "r.json"),
        ("application/tlsrpt+json", _REPORT, "r.999.json"),
        ("application/octet-stream", gzip.compress(_REPORT), "noname"),
        ("application/gzip", _REPORT, "r.json.gz"),
        ("application/zip", _zip(r=_REPORT), "r.zip"),
        ("image/png", _REPORT, "picture.png"),
    ],
)
def test_a_part_is_a_report_by_what_it_is(media_type: str, content: bytes, name: str) -> None:
    assert _reports(list(find_in(_mail((media_type, content, name)), "a.eml"))) == 1


def test_a_mail_with_two_reports_and_a_forwarded_mail_are_read() -> None:
    two = _mail(("application/tlsrpt+gzip", gzip.compress(_REPORT), "1"), ("application/json", _REPORT, "2"))
    assert [each.name for each in find_in(two, "a.eml")] == ["a.eml", "a.eml (2)"]
    outer = EmailMessage()
    outer["Subject"] = "Fwd"
    inner = EmailMessage()
    inner["Subject"] = "Report"
    inner.set_content("text")
    inner.add_attachment(_REPORT, "application", "tlsrpt+json", filename="r")
    outer.set_content("see below")
    outer.add_attachment(inner)
    assert _reports(list(find_in(outer.as_bytes(), "f.eml"))) == 1


@pytest.mark.parametrize(
    "mail",
    [
        _part(quopri.encodestring(_REPORT), "quoted-printable", "text/plain"),
        _part(_REPORT, "8bit", "application/tlsrpt+json"),
        _part(gzip.compress(_REPORT), "binary"),
        _part(base64.encodebytes(gzip.compress(_REPORT)), "7bit"),
        _part(base64.encodebytes(gzip.compress(_REPORT)), "BASE64 "),
        _part(base64.encodebytes(_REPORT.decode().encode("utf-16")), media_type="text/plain; charset=nonsense"),
        _part(base64.encodebytes(_mail(("application/json", _REPORT, "r"))), media_type="message/rfc822"),
        _mail(("application/octet-stream", _mail(("application/json", _REPORT, "r")), "forwarded.eml")),
        _mail(("application/octet-stream", gzip.compress(_mail(("application/json", _REPORT, "r"))), "forwarded.gz")),
        _mail(("text/plain", b"{Report attached}", "a.txt"), ("application/json", _REPORT, "../../r.json")),
        b"\xef\xbb\xbf" + _mail(("application/json", _REPORT, "r")),
        b"From a@example.com Thu Nov 26 00:00:00 2026\n" + _mail(("application/json", _REPORT, "r")),
    ],
    ids=[
        "quoted-printable",
        "8bit",
        "binary",
        "base64 called 7bit",
        "base64 with a space",
        "UTF-16",
        "mail in base64",
        "mail as a file",
        "mail in gzip",
        "text in braces",
        "mark",
        "envelope",
    ],
)
def test_a_report_is_found_however_the_mail_is_put_together(mail: bytes) -> None:
    assert _reports(list(find_in(mail, "a.eml"))) == 1


def test_an_mbox_in_gzip_is_read_and_a_line_of_text_divides_no_mail() -> None:
    mail = _mail(("application/tlsrpt+gzip", gzip.compress(_REPORT), "r")).replace(
        b"This is an", b"From now on all is well.\nThis is an"
    )
    box = (b"From - Thu Nov 26 00:00:00 2026\n" + mail + b"\n") * 3
    assert _reports(list(find_in(gzip.compress(box), "box.gz"))) == 3


def test_a_broken_file_in_a_zip_leaves_the_others_readable() -> None:
    broken = bytearray(_zip(a=_REPORT, b=_REPORT))
    broken[40] ^= 0xFF
    first, second = find_in(bytes(broken), "all.zip")
    assert first.problem
    assert read(second.octets)


def test_names_in_a_zip_are_shown_in_one_short_line() -> None:
    (found,) = find_in(_zip(**{"../\x1b[2J" + "a" * 60_000: _REPORT}), "all.zip")
    assert found.name.isprintable()
    assert len(found.name) < 300


def test_all_that_is_unpacked_from_one_file_is_bounded_however_it_is_nested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mails, "LARGEST_FILE", 10_000_000)
    bomb = _zip(**{str(number): bytes(1_500_000) for number in range(3)})
    found = list(find_in(_zip(**{str(number): bomb for number in range(50)}), "all.zip"))
    assert len(found) < 15
    assert "unpack it first" in found[-1].problem
    (in_gzip,) = find_in(gzip.compress(b"a: " + bytes(20_000_000)), "mail.gz")
    assert "unpack it first" in in_gzip.problem


def test_of_a_mail_with_thousands_of_reports_a_thousand_are_read_and_that_is_told() -> None:
    parts = b"".join(b"--b\nContent-Type: application/json\n\n{}\n" for _ in range(3000))
    found = list(find_in(b"Content-Type: multipart/mixed; boundary=b\n\n" + parts + b"--b--\n", "a.eml"))
    assert len(found) == 1001
    assert "left out" in found[-1].problem


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_an_mbox_is_read_mail_by_mail(end: bytes) -> None:
    mails = [_mail(("application/tlsrpt+gzip", gzip.compress(_REPORT), "r")) for _ in range(3)]
    box = b"".join(b"From a@example.com Thu Nov 26 00:00:00 2026\n" + mail + b"\n\n" for mail in mails)
    found = list(find_in(box.replace(b"\n", end), "box"))
    assert _reports(found) == 3
    assert found[2].name == "box (mail 3)"


def test_a_zip_holds_files_mails_and_zips() -> None:
    mail = _mail(("application/tlsrpt+json", _REPORT, "r"))
    assert _reports(list(find_in(_zip(a=_REPORT, b=gzip.compress(_REPORT), c=mail, d=_zip(e=mail)), "all.zip"))) == 4


def test_a_folder_is_read_in_the_order_of_the_names(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.txt").write_bytes(_REPORT)
    (tmp_path / "a.json.gz").write_bytes(_REPORT)  # plain JSON for all its name
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    found = list(find(tmp_path))
    assert [Path(each.name).name for each in found] == ["a.json.gz", "x.txt"]
    assert _reports(found) == 2


@pytest.mark.parametrize(
    ("octets", "problem"),
    [
        (b"", "it is empty"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ".msg"),
        (b"\x89PNG\r\n\x1a\n", "neither a mail nor a TLS report"),
        (_mail(("text/csv", b"a,b", "a.csv")), "no TLS report in it"),
        (b"PK\x03\x04broken", "cannot be read"),
        (_zip(a=_zip(a=_zip(a=_zip(a=_REPORT)))), "too deeply"),
        (_zip(a=b"a: " + bytes(20_000_000)), "more than"),
        (_zip(), "no file in it"),
        (gzip.compress(b"<?xml version='1.0'?><feedback/>"), "neither a mail nor a TLS report"),
        (gzip.compress(_mail(("text/csv", b"a,b", "a.csv")))[:-9], "gzip data is broken"),
        (_nested(3000, b"multipart/mixed"), "too deeply"),
        (_nested(3000, b"message/rfc822"), "too deeply"),
        (_zip(a=_zip(a=_zip(a=_mail(("application/tlsrpt+json", _REPORT, "r"))))), "too deeply"),
        (_zip(**{str(number): b"" for number in range(10_001)}), "unpack it first"),
    ],
    ids=str.split(
        "empty msg png mail-without broken-zip deep-zip zip-bomb empty-zip DMARC-in-gzip gzip-that-ends-early "
        "nested-parts nested-mails a-mail-too-deep many-files"
    ),
)
def test_what_holds_no_report_is_named_with_its_problem(octets: bytes, problem: str) -> None:
    (found,) = find_in(octets, "file")
    assert problem in found.problem


def test_a_mail_whose_base64_is_damaged_is_a_report_that_cannot_be_read() -> None:
    text = base64.b64encode(gzip.compress(_REPORT))[:-30]
    mail = b"Subject: x\nContent-Type: application/tlsrpt+gzip\nContent-Transfer-Encoding: base64\n\n" + text
    (found,) = find_in(mail, "a.eml")
    with pytest.raises(ValueError, match="ends early"):
        read(found.octets)


def test_a_link_to_a_folder_is_named_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(_REPORT)
    (tmp_path / "b").symlink_to(tmp_path)
    report_, link = find(tmp_path)
    assert report_.octets
    assert "link to a folder" in link.problem


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    (found,) = find(tmp_path / "none")
    assert "No such file" in found.problem
