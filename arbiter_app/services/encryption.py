"""Contents at rest: compressed, and encrypted where the operator has given a key.

Fernet (AES-128-CBC with HMAC-SHA256, https://github.com/fernet/spec) of `cryptography`, the package that everybody keeps to: the first
key encrypts, every key decrypts, so that keys can be changed while contents of the old one last.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

MOST_BYTES = 256_000_000
"""Of a content, unpacked: no request and answer come near, and what stands in a store may have been put there by others."""


class Unreadable(Exception):
    """Contents that none of the keys opens, that are damaged, or that are not those of their place."""


def place_of(key_id: str, name: str) -> str:
    """The place of what is kept under a name for a key."""
    return f"{key_id} {name}"


class Encryption:
    """Writes and reads bodies with some Fernet keys (32 bytes as URL-safe base64, each), or none."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = MultiFernet([Fernet(key) for key in keys]) if keys else None

    @property
    def on(self) -> bool:
        """Whether there is a key."""
        return self._keys is not None

    def write(self, place: str, content: bytes) -> tuple[bool, bytes]:
        """Whether it is encrypted, and the body. `place` is where alone it may be read."""
        packed = zlib.compress(place.encode() + b"\0" + content)
        return (False, packed) if self._keys is None else (True, self._keys.encrypt(packed))

    def read(self, place: str, encrypted: bool, body: bytes) -> bytes:
        """The content of a body. Raises Unreadable."""
        if encrypted:
            body = self._decrypted(body)
        written, _, content = _unpacked(body).partition(b"\0")
        if written != place.encode():
            raise Unreadable("it was written for another place")
        return content

    def _decrypted(self, body: bytes) -> bytes:
        if self._keys is None:
            raise Unreadable("it is encrypted, and ARBITER_CONTENT_KEYS is not set")
        try:
            return self._keys.decrypt(body)
        except InvalidToken:
            raise Unreadable("none of ARBITER_CONTENT_KEYS opens it") from None


def _unpacked(body: bytes) -> bytes:
    """Raises Unreadable for what is no whole packed content, and for what would be larger than any."""
    unpack = zlib.decompressobj()
    try:
        content = unpack.decompress(body, MOST_BYTES)
    except zlib.error:
        raise Unreadable("it is damaged") from None
    if not unpack.eof:
        raise Unreadable("it is too large, or damaged")
    return content
