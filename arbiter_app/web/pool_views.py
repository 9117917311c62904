"""The pool in rows for the models page: models with the layer of each fact, offers, changes of a price list, and the audit log."""

from __future__ import annotations

from typing import Any

import orjson

from arbiter_app.pipeline.types import Capability
from arbiter_app.services.rows.models import EditedModel, OfferedModel, PriceChange
from arbiter_app.services.rows.people import AuditRow
from arbiter_app.web.formats import NOTHING, count
from arbiter_app.web.views import View, abilities, per_million

LAYERS = {
    "catalog": "catalog file",
    "runtime": "runtime's list",
    "operator": "edited here",
    "library": "price list",
    "unknown": "not known",
}
ACTIONS = {
    "model.add": "added",
    "model.edit": "edited",
    "model.retire": "retired",
    "price_list.import": "price list",
    "store.reset": "reset",
}
SHOWN_CHARS = 160
DRAFT = ("input", "output", "cached", "context", *map(str, Capability))
"""The keys that the form has."""
BLANK: View = dict.fromkeys(("id", "new", "title", "retired", "edited", "placed", "trial", *DRAFT), "")


def offer(row: OfferedModel) -> View:
    """A model that a runtime lists and nobody has added."""
    return {
        "id": row["id"],
        "runtime": row["runtime"],
        "input": per_million(row["input_per_million"]),
        "output": per_million(row["output_per_million"]),
        "context": count(row["context"]) if row["context"] else "unknown",
        "can": ", ".join(abilities(row)) or "text",
        "source": LAYERS.get(row["price_from"], row["price_from"]),
    }


def layers(row: EditedModel) -> View:
    """Where a model's facts come from, in words."""
    said = {name: LAYERS.get(str(layer), str(layer)) for name, layer in row["sources"].items()}
    edited = ", ".join(key for key in row["edit"] if key not in ("added", "retired"))
    return {
        "price_from": said["price"],
        "context_from": said["context"],
        "from": said["price"],
        "from_title": f"price: {said['price']}; context: {said['context']}; capabilities: {said['capabilities']}",
        "edited": f"edited: {edited}" if edited else "added here" if row["edit"].get("added") else "",
        "retired": "yes" if row["retired"] else "",
        "switched": "yes" if row["sources"]["routable"] == "operator" else "",
    }


def draft_of(row: EditedModel) -> View:
    """A model in the form that edits it."""
    facts = {"input": row["input_per_million"], "output": row["output_per_million"], "context": row["context"]}
    able = set(abilities(row)) | ({"json_schema"} if row["json_schema"] else set())
    return {
        **BLANK,
        "id": row["id"],
        "title": f"Edit {row['id']}",
        "retired": "yes" if row["retired"] else "",
        "edited": layers(row)["edited"],
        "placed": "yes" if row.get("deployments") else "",
        "trial": "yes" if row["routable"] else "",
        **{name: "" if value is None else f"{value:.10g}" for name, value in facts.items()},
        "cached": "" if row["edit"].get("cached") is None else f"{row['edit']['cached']:.10g}",
        **{str(one): "yes" if str(one) in able else "" for one in Capability},
    }


def change(row: PriceChange) -> View:
    """What a price list changes: one key of one model."""
    return {
        "model": row["model"],
        "key": row["key"],
        "before": "new model" if row["new"] else _said(row["before"]),
        "after": _said(row["after"]),
    }


def act(row: AuditRow) -> View:
    """An administrative act."""
    return {
        "id": str(row["id"]),
        "ts": f"{row['ts']:.3f}",
        "who": row["email"] or row["key_id"],
        "action": ACTIONS.get(row["action"], row["action"]),
        "subject": row["subject"],
        "before": _told(row["before"]),
        "after": _told(row["after"]),
    }


def _told(value: Any) -> str:
    """A value of the log in a line: `input 2.5, output 10`."""
    if value is None or value == {}:
        return NOTHING
    if not isinstance(value, dict):
        return _said(value)[:SHOWN_CHARS]
    words = [name if one is True else f"{name} {_said(one)}" for name, one in value.items()]
    return ", ".join(words)[:SHOWN_CHARS]


def _said(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:.10g}"
    return value if isinstance(value, str) else orjson.dumps(value).decode()
