"""What a caller says that a request belongs to: the header `x-arbiter-tags`, and `metadata` and `user` of the request. A claim, so
bounded: in number, in length, and to characters that can be shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

TAGS = b"x-arbiter-tags"
MOST_TAGS, MOST_CHARS = 16, 100
USER = "user"


def tags_of(headers: Iterable[tuple[bytes, bytes]], payload: Mapping[str, Any]) -> tuple[str, ...]:
    """Tags, the header's first (between commas), then `metadata` as `name:value` and `user:` with the end user. What is beyond
    `MOST_TAGS`, too long or not to be shown is left out.
    """
    said = [part for name, value in headers if name == TAGS for part in value.decode("latin-1").split(",")]
    metadata, user = payload.get("metadata"), payload.get("user")
    if isinstance(metadata, dict):
        said += [f"{name}:{value}" for name, value in list(metadata.items())[:MOST_TAGS] if isinstance(value, str)]
    if isinstance(user, str):
        said.append(f"{USER}:{user}")
    tags = [tag for one in said[: 4 * MOST_TAGS] if 0 < len(tag := one.strip()) <= MOST_CHARS and tag.isprintable()]
    return tuple(dict.fromkeys(tags))[:MOST_TAGS]
