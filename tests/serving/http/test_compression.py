"""Bodies unpack within a bound; bombs do not go off."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from serving.http.compression import (
    MAX_MEMBERS,
    CorruptError,
    TooLargeError,
    deflate,
    inflate,
    takes_gzip,
)

BODY = b"tea " * 1000


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("packed", "encoding"),
    [
        (gzip.compress(BODY), "gzip"),
        (gzip.compress(BODY[:7]) + gzip.compress(BODY[7:]), "gzip"),
        (deflate(BODY), "gzip"),
        (zlib.compress(BODY), "deflate"),
        (raw_deflate(BODY), "deflate"),
    ],
)
def test_a_body_comes_out_as_it_went_in(packed: bytes, encoding: str) -> None:
    """Also in several members, and deflate with and without its header."""
    assert inflate(packed, encoding, len(BODY)) == BODY


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_is_refused_before_it_is_unpacked(encoding: str) -> None:
    """One byte beyond the bound is too many."""
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    with pytest.raises(TooLargeError):
        inflate(pack(BODY), encoding, len(BODY) - 1)
    bomb = pack(b"0" * 50_000_000)
    tracemalloc.start()
    with pytest.raises(TooLargeError):
        inflate(bomb, encoding, 1000)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 1_000_000


@pytest.mark.parametrize(
    "packed",
    [b"", b"{}", gzip.compress(BODY)[:-9], gzip.compress(BODY) + b"x",
     gzip.compress(b"") * (MAX_MEMBERS + 1)],
)  # fmt: skip
def test_what_is_no_gzip_is_refused(packed: bytes) -> None:
    """Cut off, followed by something, or of very many parts."""
    with pytest.raises(CorruptError):
        inflate(packed, "gzip", 1_000_000)


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        ("", False), ("gzip", True), ("br, GZIP", True), ("gzip;q=0", False), ("*", True),
        ("gzip;q=0.000, *;q=1", False), ("identity", False), ("gzip;q=x", False), ("x-gzip", True),
    ],
)  # fmt: skip
def test_a_client_says_whether_it_takes_gzip(header: str, takes: bool) -> None:
    """By its weights too."""
    assert takes_gzip(header) is takes
