"""Multipart forms and compression of bodies in memory."""

from __future__ import annotations

import gzip
import sys
import zlib

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fine_tuning_formats.bodies import ContentEncodingError, MultipartPart, decompress, parse_multipart, write_multipart

TYPE = "multipart/form-data; boundary=x"
names = st.text("abc[]-_", min_size=1, max_size=8)
filenames = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(str.strip)
contents = st.binary(max_size=40).filter(lambda content: b"\r\n--x" not in b"\r\n" + content)
forms = st.lists(st.builds(MultipartPart, names, st.none() | filenames, contents), max_size=4).map(tuple)


@given(forms)
@example((MultipartPart("file", 'a"b%41\\é\r\n.jsonl', b"\r\n"),))
def test_a_form_is_read_as_it_was_written(parts: tuple[MultipartPart, ...]) -> None:
    """Names, file names and contents of a form are parsed byte for byte as written."""
    assert parse_multipart(TYPE, write_multipart(parts, "x")) == parts


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='\\"%'), min_size=1, max_size=20))
def test_a_form_of_httpx_is_read(filename: str) -> None:
    """A form written by httpx is parsed, its file under its own name."""
    filename = filename.strip() or "a"
    request = httpx.Request("POST", "http://x", data={"purpose": "p"}, files={"file": (filename, b"{}\n")})
    parts = parse_multipart(request.headers["content-type"], request.read())
    assert parts == (("purpose", None, b"p"), ("file", filename, b"{}\n"))


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        *(
            (TYPE, b""),
            (TYPE, b"--x\r\n\r\ncut off"),
            ("application/json", b"--x--"),
            ("multipart/form-data", b"--x--"),
        ),
        ("multipart/mixed; boundary=x", b"--x--"),
    ],
)
def test_what_is_no_form_is_none(content_type: str, body: bytes) -> None:
    """A body with another media type, no boundary or no end is not parsed as a form."""
    assert parse_multipart(content_type, body) is None


@pytest.mark.parametrize(
    ("content_encoding", "body"),
    [
        *(("", b"plain"), ("identity", b"plain"), ("gzip", gzip.compress(b"plain", mtime=0))),
        *(
            ("X-GZIP", gzip.compress(b"pl", mtime=0) + gzip.compress(b"ain", mtime=0)),
            ("deflate", zlib.compress(b"plain")),
        ),
        *(
            ("deflate", zlib.compress(b"plain")[2:-4]),
            ("deflate, gzip", gzip.compress(zlib.compress(b"plain"), mtime=0)),
        ),
    ],
)
def test_compression_is_undone(content_encoding: str, body: bytes) -> None:
    """Each coding of the content-encoding header is decoded, the last one first."""
    assert decompress(body, content_encoding) == b"plain"


LIBRARIES = {"zstd": ("compression.zstd", "backports.zstd", "zstandard"), "br": ("brotli", "brotlicffi")}


@pytest.mark.parametrize(("coding", "name"), [(coding, name) for coding, names in LIBRARIES.items() for name in names])
def test_compression_is_undone_by_the_library_that_is_there(
    coding: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coding that Python may lack is decoded by any library for it, and is an error if none is installed."""
    library = pytest.importorskip(name)
    for other in LIBRARIES[coding]:
        monkeypatch.setitem(sys.modules, other, library if other == name else None)
    packed = library.compress(b"plain")

    assert decompress(packed, coding) == b"plain"
    assert decompress(gzip.compress(packed), f"{coding}, gzip") == b"plain"
    if coding == "zstd":
        assert decompress(packed + packed, coding) == b"plainplain"
    with pytest.raises(ContentEncodingError) as caught:
        decompress(packed[:-1], coding)
    assert caught.value.is_known

    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ContentEncodingError, match=f"none of .*{name}.* is installed") as caught:
        decompress(packed, coding)
    assert not caught.value.is_known


@pytest.mark.parametrize(("content_encoding", "is_known"), [("gzip", True), ("deflate", True), ("zip", False)])
def test_compression_that_cannot_be_undone_is_named(content_encoding: str, is_known: bool) -> None:
    """A body that cannot be decoded is an error that names the coding, and says whether it is known."""
    with pytest.raises(ContentEncodingError, match=content_encoding) as caught:
        decompress(b"plain", content_encoding)
    assert (caught.value.coding, caught.value.is_known) == (content_encoding, is_known)
