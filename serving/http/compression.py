"""Content encodings: compressed bodies, unpacked within a bound, and long answers, compressed."""

from __future__ import annotations

import re
import zlib
from typing import Final

MIN_BYTES: Final = 1_024  # of an answer that is worth compressing
LEVEL: Final = 1  # a list of 5 kB to a third in 50 µs; level 6 takes twice that for a tenth less
MAX_MEMBERS: Final = 8  # of a gzip file; each costs a copy of what follows
ENCODINGS: Final = ("gzip", "deflate")

_GZIP: Final = 31  # window bits, RFC 1952
_ZLIB: Final = 15  # RFC 1950
_RAW: Final = -15  # RFC 1951: what some clients send as deflate
_COMPRESSIBLE = re.compile(r"text/|application/(?:[a-z.+-]*\+)?json|image/svg\+xml|.*javascript")
_QUALITY = re.compile(r"\s*(?P<name>[\w*-]+)\s*(?:;\s*q\s*=\s*(?P<q>[0-9.]+))?\s*")


class CorruptError(Exception):
    """Bytes that are not what their encoding says."""


class TooLargeError(Exception):
    """More than is taken."""


def inflate(raw: bytes, encoding: str, max_bytes: int) -> bytes:
    """Return what a compressed body holds.

    Args:
        raw: the body.
        encoding: one of `ENCODINGS`.
        max_bytes: of the result; never more are made.

    Raises:
        CorruptError: it is not of that encoding, or cut off.
        TooLargeError: it holds more.

    >>> inflate(zlib.compress(b"tea"), "deflate", 10)
    b'tea'
    """
    bits = _GZIP if encoding == "gzip" else _ZLIB if _is_zlib(raw) else _RAW
    found = b""
    for _ in range(MAX_MEMBERS):
        member = zlib.decompressobj(bits)
        try:
            found += member.decompress(raw, max_bytes + 1 - len(found))
        except zlib.error as error:
            raise CorruptError(str(error)) from error
        if len(found) > max_bytes:
            raise TooLargeError
        if not member.eof:
            raise CorruptError("it is cut off")
        raw = member.unused_data
        if not raw:
            return found
        if encoding != "gzip":
            raise CorruptError("something follows its end")
    raise CorruptError(f"it has more than {MAX_MEMBERS} parts")


def deflate(body: bytes) -> bytes:
    """Return a body as gzip."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(body) + packer.flush()


def takes_gzip(accept_encoding: str) -> bool:
    """Return whether a client takes gzip, by its `Accept-Encoding`.

    >>> takes_gzip("gzip, br"), takes_gzip("gzip;q=0, *"), takes_gzip("*;q=0.1"), takes_gzip("")
    (True, False, True, False)
    """
    named: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        if found := _QUALITY.fullmatch(part):
            named[found["name"]] = _number(found["q"])
    return named.get("gzip", named.get("x-gzip", named.get("*", 0.0))) > 0


def is_compressible(media_type: str) -> bool:
    """Return whether bytes of a media type become fewer.

    >>> is_compressible("application/problem+json"), is_compressible("image/png")
    (True, False)
    """
    return _COMPRESSIBLE.match(media_type) is not None


def _number(q: str | None) -> float:
    try:
        return float(q) if q is not None else 1.0
    except ValueError:
        return 0.0


def _is_zlib(raw: bytes) -> bool:
    """Return whether bytes begin with a header of RFC 1950."""
    return len(raw) >= 2 and raw[0] & 15 == 8 and int.from_bytes(raw[:2]) % 31 == 0
