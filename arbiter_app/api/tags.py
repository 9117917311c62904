"""What a caller says that a request belongs to: the header `x-arbiter-tags`, and `metadata` and `user` of the request. A claim, so
bounded: in number, in length, and to characters that can be shown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from arbiter_app.pipeline.plain import MAX_TAG_CHARS, is_tag

TAGS = b"x-arbiter-tags"
MOST_TAGS = 16
USER = "user"
SAYING = ("metadata", "user", "safety_identifier")
"""The members of a request that may say it."""
MOST_USER_CHARS = MAX_TAG_CHARS - len(USER) - 1


def tags_of(headers: Collection[tuple[bytes, bytes]], payload: Mapping[str, Any]) -> tuple[str, ...]:
    """Tags: `user:` with the end user first, then the header's (between commas), then `metadata` as `name:value`. What is beyond
    `MOST_TAGS`, too long or not to be shown is left out.
    """
    said = [part for name, value in headers if name == TAGS for part in _text(value).split(",")]
    metadata, user = payload.get("metadata"), end_user_of(payload)
    if isinstance(metadata, dict):
        said += [f"{name}:{value}" for name, value in list(metadata.items())[:MOST_TAGS] if isinstance(value, str)]
    if user:
        said.insert(0, f"{USER}:{user}")
    tags = [tag for one in said[: 4 * MOST_TAGS] if is_tag(tag := one.strip())]
    return tuple(dict.fromkeys(tags))[:MOST_TAGS]


def _text(value: bytes) -> str:
    """A header's text: UTF-8, as nearly all write what is not ASCII, else Latin-1, as HTTP once had it."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def end_user_of(payload: Mapping[str, Any]) -> str:
    """For whom a request asks, by its own word: `user`, OpenAI's newer `safety_identifier`, or Anthropic's `metadata.user_id`; empty
    where none of them is a short text."""
    metadata = payload.get("metadata")
    named = metadata.get("user_id") if isinstance(metadata, dict) else None
    for said in (payload.get("user"), payload.get("safety_identifier"), named):
        text = said.strip() if isinstance(said, str) else ""
        if 0 < len(text) <= MOST_USER_CHARS and text.isprintable():
            return text
    return ""
