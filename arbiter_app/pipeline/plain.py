"""Text of strangers: what a short line may hold, and how much of it is said back."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

QUOTED_CHARS = 80
QUOTED_NAMES = 5
MAX_EMAIL_CHARS = 254
MAX_TAG_CHARS = 100
MOST_DIGITS = 18
_HIDDEN = ("C", "Zl", "Zp")
_LOCAL_BANNED = frozenset('"(),:;<>@[]\\')


def is_plain(text: str) -> bool:
    """Whether a line holds nothing but what is seen: no control, direction, zero-width or unassigned characters, no
    surrogates and no line breaks (Unicode categories C, Zl and Zp)."""
    return not any(unicodedata.category(char).startswith(_HIDDEN) for char in text)


def is_digits(text: str, most_digits: int = MOST_DIGITS) -> bool:
    """Whether it is a whole number in ASCII digits that a database can hold: `str.isdigit` takes `\u00b2`, too, which `int` does not."""
    return len(text) <= most_digits and text.isascii() and text.isdigit()


def whole_of(stated: object) -> int | None:
    """The whole number, rounded up, that the most lenient runtime may take something for (`"3"`, `3.0`, `" 3 "`); None where there is none."""
    if isinstance(stated, bool) or not isinstance(stated, int | float | str) or len(str(stated)[:41]) > 40:
        return None
    try:
        return math.ceil(float(stated))
    except (ValueError, OverflowError):
        return None


def is_url(text: str, schemes: Collection[str] = ("http", "https")) -> bool:
    """Whether it is a URL of one of these schemes that names a host which can be looked up, and no port that there cannot be."""
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").encode("idna")  # ValueError for labels that are empty or too long
        return parts.scheme in schemes and bool(host) and (parts.port or 1) > 0
    except ValueError:
        return False


def is_tag(text: str) -> bool:
    """Whether this can be a tag of a request: short, without outer space, nothing in it that cannot be shown."""
    return 0 < len(text) <= MAX_TAG_CHARS and text.isprintable() and text == text.strip()


def is_email(text: str) -> bool:
    """Whether this can be an e-mail address: one `@`, a local part, a domain of two labels or more (RFC 5321 lengths)."""
    local, at, domain = text.partition("@")
    if not at or "@" in domain or len(text) > MAX_EMAIL_CHARS or not is_plain(text):
        return False
    return _is_local(local) and _is_domain(domain)


def _is_local(local: str) -> bool:
    dots = local.startswith(".") or local.endswith(".") or ".." in local
    return 0 < len(local) <= 64 and not dots and not any(char.isspace() or char in _LOCAL_BANNED for char in local)


def _is_domain(domain: str) -> bool:
    labels = domain.split(".")
    return 2 <= len(labels) <= 9 and all(
        0 < len(label) <= 63
        and label[0] != "-"
        and label[-1] != "-"
        and all(char.isalnum() or char == "-" or unicodedata.category(char) in ("Mn", "Mc") for char in label)
        for label in labels
    )


def quoted(text: object, most: int = QUOTED_CHARS) -> str:
    """A stranger's text within a sentence: in quotes, escaped, and no longer than `most` characters of it."""
    whole = text if isinstance(text, str) else str(text)
    return ascii(whole[:most]) + ("..." if len(whole) > most else "")


def listed(names: Iterable[str], most: int = QUOTED_NAMES) -> str:
    """Some names of a stranger's list, and how many more there were."""
    everything = list(names)
    more = len(everything) - most
    return ", ".join(quoted(name) for name in everything[:most]) + (f" and {more:,} more" if more > 0 else "")
