"""The API's description as a page for people: one self-contained document, without any script from elsewhere."""

from __future__ import annotations

import html
import json
from typing import Any

Document = dict[str, Any]
STYLE = (
    ":root{color-scheme:light dark}body{font:15px/1.5 system-ui;margin:2rem auto;max-width:60rem;padding:0 1rem}"
    "details{border-top:1px solid #8884;padding:.5rem 0}summary{cursor:pointer}code,pre{font-family:ui-monospace,monospace}"
    "pre{overflow-x:auto;background:#8881;padding:.75rem;border-radius:6px}small{opacity:.75}"
)


def page(document: Document) -> str:
    """One self-contained page: each route with its role, parameters, body, answer and errors."""
    schemas = document["components"]["schemas"]
    routes = "".join(
        _route(method, path, operation, schemas)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Arbiter API</title><style>{STYLE}</style><h1>Arbiter API</h1>"
        f"<p>{html.escape(document['info']['description'])} "
        "Machine-readable: <a href=openapi.json>openapi.json</a>.</p>"
        f"{routes}</html>"
    )


def _route(method: str, path: str, operation: Document, schemas: Document) -> str:
    parts = [f"<p>{html.escape(operation.get('description') or operation.get('summary', ''))}</p>"]
    for parameter in operation.get("parameters", []):
        said = html.escape(parameter.get("description", ""))
        parts.append(f"<p><code>{parameter['name']}</code> <small>in {parameter['in']}</small> {said}</p>")
    if "requestBody" in operation:
        parts.append(_block("Body", operation["requestBody"]["content"], schemas))
    for status, answer in operation["responses"].items():
        if status == "200":
            parts.append(_block("Answer", answer.get("content", {}), schemas))
        else:
            parts.append(f"<p><code>{status}</code> {html.escape(answer['description'])}</p>")
    return (
        f"<details><summary><code>{method.upper()} {html.escape(path)}</code> "
        f"<small>{operation['x-role']}</small></summary>{''.join(parts)}</details>"
    )


def _block(title: str, content: Document, schemas: Document) -> str:
    """A body's schema, its own component resolved."""
    schema = content.get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    shown = json.dumps(schemas.get(name, schema), indent=1)
    return f"<h4>{title} {html.escape(name)}</h4><pre>{html.escape(shown)}</pre>"
