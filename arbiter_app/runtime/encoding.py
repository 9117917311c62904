"""Bodies that a runtime compresses although nobody asked it to: decoded as they come, never beyond a bound.

What the header calls an encoding need not be one: some servers name a character set there, and some proxies keep the header of what
they have unpacked. So the first bytes have a say, too.
"""

from __future__ import annotations

import zlib

GZIP, DEFLATE = ("gzip", "x-gzip"), "deflate"
_FOREIGN = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz", "exi", "pack200-gzip"})
"""Encodings (IANA's list) that are not read here; other names are none."""
_GZIP_MARK = b"\x1f\x8b"
_EITHER = 47
"""zlib's window bits for gzip and zlib alike."""
_RAW = -15
"""... and for deflate without a head, as some servers send it."""


class EncodingError(ValueError):
    """The body cannot be decoded, or would become larger than any answer."""


class Decoder:
    """Feed it bytes of a body in gzip or deflate, get them decoded; what is not compressed at all passes."""

    def __init__(self, encoding: str, limit: int) -> None:
        self._gzip = encoding in GZIP
        self._inflate: zlib._Decompress | None = None
        self._begun = b""
        self._plain = False
        self._left = limit

    def feed(self, data: bytes) -> bytes:
        """What `data` says. Raises EncodingError when it is broken, or more than the limit in all."""
        if self._inflate is None and not self._plain:
            data, self._begun = self._begun + data, b""
            if len(data) < len(_GZIP_MARK):
                self._begun = data
                return b""
            self._begin(data)
        decoded = data if self._plain else self._decompressed(data)
        self._left -= len(decoded)
        if self._left < 0:
            raise EncodingError("the runtime's answer is larger than any answer when decompressed")
        return decoded

    def _begin(self, data: bytes) -> None:
        """Look at the first bytes: whether they are what the header says."""
        zlib_head = data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0
        if data.startswith(_GZIP_MARK) or zlib_head:
            self._inflate = zlib.decompressobj(_EITHER)
        elif self._gzip or data.lstrip()[:1] in (b"{", b"[", b":", b"") or data.startswith((b"data", b"event", b"id")):
            self._plain = True
        else:
            self._inflate = zlib.decompressobj(_RAW)

    def _decompressed(self, data: bytes) -> bytes:
        """Bytes of one stream after the other: gzip may have several, and junk after them is no loss."""
        parts: list[bytes] = []
        left = self._left + 1
        while data and left > 0 and self._inflate is not None:
            if self._inflate.eof:
                data = data.lstrip(b"\0")
                if not data.startswith(_GZIP_MARK):
                    break
                self._inflate = zlib.decompressobj(_EITHER)
            try:
                parts.append(self._inflate.decompress(data, left))
            except zlib.error as error:
                raise EncodingError("the runtime's answer cannot be decompressed") from error
            left -= len(parts[-1])
            data = self._inflate.unused_data
        return b"".join(parts)


def decoder_of(encoding: str | None, limit: int) -> Decoder | None:
    """The decoder for a `content-encoding` header; None where nothing is encoded. Raises EncodingError for one that is not read here."""
    if encoding is None:
        return None
    named = [name for one in encoding.lower().split(",") if (name := one.strip())]
    known = [name for name in named if name in (*GZIP, DEFLATE)]
    if len(known) > 1 or not _FOREIGN.isdisjoint(named):
        raise EncodingError(f"the runtime's answer is encoded as {encoding[:40]!r}, which was not asked for")
    return Decoder(known[0], limit) if known else None
