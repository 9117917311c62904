"""The list of models as Anthropic's clients read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from arbiter_app.pipeline.types import Json

PAGE = 20
"""Models of a page where no limit is asked for."""


def model_of(row: Mapping[str, Any]) -> Json:
    """A model of OpenAI's list in Anthropic's form."""
    created = datetime.fromtimestamp(row["created"], UTC).isoformat().replace("+00:00", "Z")
    return {
        "type": "model",
        "id": row["id"],
        "display_name": row["id"],
        "created_at": created,
        "max_input_tokens": row.get("context"),
        "max_tokens": None,
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": None,
    }


def page_of(rows: Sequence[Mapping[str, Any]], *, limit: int, after: str | None, before: str | None) -> Json:
    """A page of the models of OpenAI's list, in Anthropic's form: after one, or before one, or from the first on."""
    ids = [row["id"] for row in rows]
    if after in ids:
        rest = rows[ids.index(after) + 1 :]
    elif before in ids:
        rest = rows[: ids.index(before)][::-1]
    else:
        rest = rows
    page = rest[:limit]
    if after not in ids and before in ids:
        page = page[::-1]
    data = [model_of(row) for row in page]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return {"data": data, "has_more": len(rest) > limit, **ends}
