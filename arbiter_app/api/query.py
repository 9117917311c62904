"""The query of a control route: only names that the route knows, each once, and nothing in it that is not plain text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from arbiter_app.pipeline.errors import Unprocessable
from arbiter_app.pipeline.plain import is_plain, listed, quoted

_RESPONSES = ("/v1/responses/{response_id}", "/v1/responses/{response_id}/input_items")
LENIENT = ("/health", "/readyz", "/metrics", "/v1/messages/count_tokens", *_RESPONSES)
"""Probes and scrapers may add what they like; clients of the beta of Anthropic's API say so, and those of Responses what to include."""


def check(pairs: Sequence[tuple[str, str]], known: Mapping[str, bool]) -> None:
    """Raises Unprocessable for what is not asked for here. `known`: the names of a route -> whether one may be repeated."""
    unknown = [name for name, _ in pairs if name not in known]
    if unknown:
        takes = f"known are {', '.join(known)}" if known else "there are none"
        raise Unprocessable(
            f"unknown query parameter {listed(dict.fromkeys(unknown))}; {takes}", param=_param(unknown[0])
        )
    names = [name for name, _ in pairs]
    twice = [name for name in known if not known[name] and names.count(name) > 1]
    if twice:
        raise Unprocessable(f"the query parameter {twice[0]} is given more than once", param=twice[0])
    for name, value in pairs:
        check_plain(name, value)


def check_plain(name: str, value: str) -> None:
    """Raises Unprocessable for a name, id or other short text with characters in it that nobody sees."""
    if not is_plain(value):
        raise Unprocessable(f"{name}: {quoted(value)} has control or invisible characters in it", param=name)


def choice(name: str, value: str | None, allowed: Collection[str]) -> None:
    """Raises Unprocessable for a value that is not one of a few words; none at all is fine."""
    if value and value not in allowed:
        raise Unprocessable(f"{name}: {quoted(value)} is none of {', '.join(allowed)}", param=name)


def _param(name: str) -> str:
    return name[:60] if is_plain(name) else "query"
