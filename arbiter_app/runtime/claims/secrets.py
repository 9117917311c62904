"""The one place that hides secrets: every fault, error, log line and byte of a runtime goes through it.

Whoever is given a secret tells it here (`keep`), once and for the whole process. A secret is hidden wherever it stands by
itself, as it is and in the forms that servers quote it in (percent-encoded, base64, inside JSON). A short secret is hidden
only between word boundaries, and one that is no more than a short word is none: the key `x` must not turn `context` into
something else.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, urlsplit

import orjson

HIDDEN = "[key]"
LEAST_CHARS = 8
"""Shorter ones are placeholders (`x`, `none`, `EMPTY`), and words of every other message."""
LONG_CHARS = 16
"""From here on a secret that is no mere word is hidden inside words, too."""
PREFIXES = ("sk-", "arb_")
"""Beginnings that only keys have; behind one of them a few characters are enough."""

_FOREIGN = re.compile(
    r"""\b(?:arb_|sk-|key-)(?=[\w-]*\d)[\w-]{4,}  # the prefixes that keys carry; words behind one of them have no digits
    |\bsk-[A-Za-z_]+-[\w-]{8,}
    |(?i:(?<=bearer\s)|(?<=basic\s))(?=[^\s"',]*[\d._=-])[^\s"',]+  # an Authorization header
    |(?<=://)[^/\s:@]+:[^/\s@]+(?=@)             # user and password in a URL""",
    re.VERBOSE,
)

_MODEL = re.compile(
    r"(?:[\w.]+/)?(?:gpt|chatgpt|claude|gemini|gemma|llama|deepseek|mistral|mixtral|qwen|grok|phi|o\d)[\w.:-]{0,24}$"
)


class Secrets:
    """The secrets of one process."""

    def __init__(self) -> None:
        self._kept: set[str] = set()
        self._text: re.Pattern[str] | None = None
        self._needles: tuple[bytes, ...] = ()

    def keep(self, *secrets: str) -> None:
        """Hide these from now on. Those too short to be a secret are left out."""
        new = {secret for one in secrets if is_secret(secret := one.strip())} - self._kept
        if not new:
            return
        self._kept |= new
        forms = sorted({form for secret in self._kept for form in _forms(secret)}, key=len, reverse=True)
        self._text = re.compile("|".join(_pattern(form) for form in forms))
        # A form that holds another is found by that one.
        self._needles = tuple(one.encode() for one in forms if not any(other in one for other in forms if other != one))

    def keep_url(self, url: str) -> None:
        """Hide the user and password that stand in a URL."""
        try:
            parts = urlsplit(url)
            if parts.password:
                self.keep(parts.password, f"{parts.username or ''}:{parts.password}")
        except ValueError:
            return

    def hide(self, text: str) -> str:
        """The text without the secrets."""
        return text if self._text is None else self._text.sub(HIDDEN, text)

    def hide_bytes(self, data: bytes) -> bytes:
        """The same for bytes on their way through: what has no secret in it comes back as it is."""
        for needle in self._needles:
            if needle in data:
                return self.hide(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        return data

    def hide_each(self, several: list[bytes]) -> list[bytes]:
        """The same for several at once."""
        for needle in self._needles:
            if any([needle in one for one in several]):
                return [self.hide_bytes(one) for one in several]
        return several

    def in_any(self, pieces: Iterable[bytes]) -> Iterator[bool]:
        """For each piece of some bytes, whether a secret ends in it; one may have begun in the piece before."""
        longest, before = max(map(len, self._needles), default=1) - 1, b""
        for piece in pieces:
            edge = before + piece[:longest]
            yield any(needle in piece or needle in edge for needle in self._needles)
            before = (before + piece)[-longest:] if len(piece) < longest else piece[len(piece) - longest :]

    def forget(self) -> None:
        """Start anew (tests)."""
        self.__init__()  # type: ignore[misc]


def is_secret(text: str) -> bool:
    """Whether a text is worth hiding: long, or of letters and digits that are no model's name."""
    if text.startswith(PREFIXES):
        return len(text) >= 6
    if len(text) >= LONG_CHARS and not _MODEL.match(text):
        return True
    mixed = any(one.isdigit() for one in text) and any(one.isalpha() for one in text)
    return len(text) >= LEAST_CHARS and mixed and not _MODEL.match(text)


def without_foreign(text: str, hidden: str = HIDDEN) -> str:
    """The text without what looks like a secret of somebody else: keys by their prefix, headers, passwords in URLs."""
    return _FOREIGN.sub(hidden, text)


def _forms(secret: str) -> Iterable[str]:
    data = secret.encode()
    yield secret
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield orjson.dumps(secret).decode()[1:-1]
    for lead in (b"", b":"):  # by itself, and as the password of nobody
        # The last letters of base64 depend on what follows; those that do not are enough.
        encoded = base64.b64encode(lead + data).decode()
        yield encoded.rstrip("=")
        yield encoded.rstrip("=").replace("+", "-").replace("/", "_")


def _pattern(form: str) -> str:
    escaped = re.escape(form)
    if len(form) >= LONG_CHARS and not re.fullmatch(r"[A-Za-z_-]+", form):
        return escaped
    return rf"(?<![\w-]){escaped}(?![\w-])"


_all = Secrets()
keep, keep_url, hide, hide_bytes, hide_each = _all.keep, _all.keep_url, _all.hide, _all.hide_bytes, _all.hide_each
in_any = _all.in_any
