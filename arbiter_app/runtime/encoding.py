"""Bodies that a runtime compresses although nobody asked it to: decoded as they come, never beyond a bound."""

from __future__ import annotations

import zlib

_WINDOW_BITS = {"gzip": 47, "x-gzip": 47, "deflate": 47}


class EncodingError(ValueError):
    """The body cannot be decoded, or would become larger than any answer."""


class Decoder:
    """Feed it bytes of a body, get them decoded. Raises EncodingError for an encoding it does not know."""

    def __init__(self, encoding: str, limit: int) -> None:
        bits = _WINDOW_BITS.get(encoding.strip().lower())
        if bits is None:
            raise EncodingError(f"the runtime's answer is encoded as {encoding[:40]!r}, which was not asked for")
        self._inflate = zlib.decompressobj(bits)
        self._left = limit

    def feed(self, data: bytes) -> bytes:
        """What `data` says. Raises EncodingError when it is broken, or more than the limit in all."""
        try:
            decoded = self._inflate.decompress(data, self._left + 1)
        except zlib.error as error:
            raise EncodingError("the runtime's answer cannot be decompressed") from error
        self._left -= len(decoded)
        if self._left < 0:
            raise EncodingError("the runtime's answer is larger than any answer when decompressed")
        return decoded

    @property
    def ended(self) -> bool:
        """Whether the compressed data came to its end."""
        return self._inflate.eof


def decoder_of(encoding: str | None, limit: int) -> Decoder | None:
    """The decoder for a `content-encoding` header; None where nothing is encoded."""
    return None if encoding is None or encoding.strip().lower() in ("", "identity") else Decoder(encoding, limit)
