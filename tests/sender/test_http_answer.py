"""An HTTP answer as senders read it: the media type beside postfix-mta-sts-resolver's own library, and encodings."""

import gzip
import zlib

import pytest
from aiohttp.helpers import parse_content_type
from postfix_mta_sts_resolver.utils import is_plaintext

from policy_store.sender.http_answer import NotHttp, decoded, media_type

_TEXT = b"version: STSv1\r\n"
_BROKEN = [
    "text/plain; charset",
    "text/plain; charset=",
    "text/plain; charset: utf-8",
    "text/plain; charset=utf-8,text/plain",
    "text/plain; charset=utf-8; charset=utf-8",
    "text/plain; charset = utf-8",
    'text/plain; charset="utf-8',
    "text/plain; =utf-8",
    "text/plain; a b",
]
_FINE = [
    "text/plain",
    "Text/Plain",
    "text/plain;",
    "text/plain ; charset=utf-8",
    "text/plain;charset=UTF-8;",
    'text/plain; charset="utf-8"; format=flowed; x="a;b=\\"c"',
    "text/plain; charset=us-ascii",
]
_NONE = [
    "",
    "text",
    "plain",
    "*",
    "text/",
    "/plain",
    "text/plain/x",
    "charset=utf-8",
    "text/plain, text/plain",
    "text plain",
]


@pytest.mark.parametrize("value", _FINE)
def test_a_media_type_may_have_parameters(value: str) -> None:
    found = media_type([value])
    assert found.plain
    assert (found.broken, found.unusual) == ("", "")


@pytest.mark.parametrize("value", _BROKEN)
def test_a_broken_parameter_is_named(value: str) -> None:
    found = media_type([value])
    assert found.plain
    assert found.broken


@pytest.mark.parametrize("value", _NONE)
def test_what_is_no_media_type_is_not_plain_text(value: str) -> None:
    assert not media_type([value]).plain
    assert not is_plaintext(value)


def test_no_header_is_no_plain_text() -> None:
    assert not media_type([]).plain


@pytest.mark.parametrize("value", [*_BROKEN, *_FINE, "text/plain; charset=x-unknown", "text/plain; charset=utf-16"])
def test_the_charset_is_that_of_the_resolvers_library(value: str) -> None:
    """It decodes by the charset that its library reads, ASCII without one, and finds no policy where it cannot."""
    charset = parse_content_type(value)[1].get("charset")
    try:
        theirs = "ä".encode().decode(charset if charset is not None else "ascii", "replace")
    except LookupError:
        theirs = None
    ours = media_type([value]).charset
    assert ("ä".encode().decode(ours, "replace") if ours else None) == theirs


@pytest.mark.parametrize("charset", ["punycode", "idna", "unicode_escape", "rot13", "hex", "x" * 400])
def test_a_charset_that_is_no_charset_of_texts_is_not_read(charset: str) -> None:
    assert media_type([f"text/plain; charset={charset}"]).charset is None


@pytest.mark.parametrize(
    ("body", "codings", "said"),
    [
        (_TEXT, [], ""),
        (_TEXT, ["identity"], ""),
        (_TEXT, ["utf-8"], ""),
        (gzip.compress(_TEXT, mtime=0), ["gzip"], "gzip"),
        (gzip.compress(_TEXT, mtime=0), ["GZIP"], "gzip"),
        (zlib.compress(_TEXT), ["deflate"], "deflate"),
        (zlib.compress(_TEXT)[2:-4], ["deflate"], "deflate"),
    ],
)
def test_a_body_is_decoded_as_senders_do(body: bytes, codings: list[str], said: str) -> None:
    assert decoded(body, codings, 1000) == (_TEXT, said)


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (_TEXT, "gzip"),
        (_TEXT, "br"),
        (_TEXT, "zstd"),
        (b"\x00", "deflate"),
        (gzip.compress(_TEXT, mtime=0), "x-gzip"),
        (gzip.compress(_TEXT, mtime=0), "gzip, identity"),
    ],
)
def test_what_cannot_be_decoded_is_said(body: bytes, coding: str) -> None:
    with pytest.raises(NotHttp, match=coding):
        decoded(body, [coding], 1000)


def test_no_more_is_decoded_than_the_limit() -> None:
    body, _ = decoded(gzip.compress(b"x" * 10**7), ["gzip"], 1000)
    assert len(body) == 1001
