"""The pool in rows for the models page: models with the layer of each fact, offers, changes of a price list, and the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

import orjson

from arbiter_app.moments import moment
from arbiter_app.pipeline.types import Capability
from arbiter_app.services.rows.models import EditedModel, OfferedModel, PriceChange
from arbiter_app.services.rows.people import AuditRow
from arbiter_app.web.formats import NOTHING, count, percent
from arbiter_app.web.views import View, abilities, per_million

LAYERS = {
    "catalog": "catalog file",
    "runtime": "runtime's list",
    "operator": "edited here",
    "library": "price list",
    "unknown": "not known",
}
ACTIONS = {
    "budget.remove": "budget removed",
    "budget.set": "budget set",
    "content.ask_again": "prompt asked again",
    "content.delete": "contents deleted",
    "content.export": "contents exported",
    "content.read": "contents read",
    "content.search": "contents searched",
    "invitation.accept": "invitation accepted",
    "invitation.make": "invited",
    "invitation.withdraw": "invitation withdrawn",
    "key.change": "key changed",
    "key.make": "key created",
    "key.rotate": "key rotated",
    "model.add": "model added",
    "model.edit": "model edited",
    "model.retire": "model retired",
    "notification_rule.add": "rule created",
    "notification_rule.change": "rule changed",
    "notification_rule.remove": "rule deleted",
    "person.change": "person changed",
    "person.enter": "signed in",
    "price_list.import": "price list imported",
    "project.change": "project changed",
    "project.make": "project created",
    "project.member": "member changed",
    "store.reset": "everything reset",
}
"""What somebody did, by the name that it has in the audit log."""
NAMES = {
    "limit_usd": "limit",
    "project_id": "project",
    "timezone": "time zone",
    "error_share": "error rate",
    "overlap_s": "overlap",
}
"""What a value of the log is called, where it is not by its own name."""
SHOWN_CHARS = 200
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


def act(row: AuditRow, projects: Mapping[str, str]) -> View:
    """An administrative act; `projects` are names by id."""
    before, after = _told(row["before"], projects), _told(row["after"], projects)
    return {
        "id": str(row["id"]),
        "ts": f"{row['ts']:.3f}",
        "who": row["email"] or row["key_id"],
        "action": ACTIONS.get(row["action"], row["action"]),
        "subject": " ".join(projects.get(word, word) for word in row["subject"].split(" ")),
        "before": _cut(before),
        "after": _cut(after),
        "whole": f"{before} → {after}",
    }


def _told(value: Any, projects: Mapping[str, str]) -> str:
    """A value of the log in a line: `input 2.5, output 10`."""
    if not isinstance(value, dict):
        return _said(value)
    words = [_named(name, one, projects) for name, one in value.items() if one not in (None, "")]
    return ", ".join(words) or NOTHING


def _named(name: str, value: Any, projects: Mapping[str, str]) -> str:
    """A member of the log's values: money, times, shares and projects as people write them."""
    told = NAMES.get(name, name.replace("_", " "))
    if value is True:
        return told
    if isinstance(value, int | float) and name in ("expires", "muted_until"):
        return f"{told} {moment(value, UTC):%-d %b %Y %H:%M} UTC" if value else f"{told} never"
    if name == "limit_usd":
        return f"{told} ${value}"
    if name in ("soft", "error_share"):
        return f"{told} {percent(100 * value, 0)}"
    return f"{told} {projects.get(value, value) if name == 'project_id' else _said(value)}"


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"


def _said(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:.10g}"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return " ".join(value)
    return value if isinstance(value, str) else orjson.dumps(value).decode()
