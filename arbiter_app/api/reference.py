"""The API's description: OpenAPI 3.1 of every route, and a page that shows it without any script from elsewhere."""

from __future__ import annotations

import html
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse, Response

from arbiter_app.api.roles import ROLES

CHAT_PATH = {
    "post": {
        "summary": "Route a chat request",
        "description": "Any OpenAI chat request. `model` is ignored: choosing it is the product.",
        "tags": ["chat"],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ChatRequest"}}},
        },
        "responses": {
            "200": {
                "description": "The runtime's answer plus `arbiter`; an SSE stream when `stream` is true, with the "
                "`arbiter` object in the last chunk before `[DONE]`.",
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/ChatAnswer"}},
                    "text/event-stream": {"schema": {"type": "string"}},
                },
            }
        },
    }
}
SCHEMAS: dict[str, Any] = {
    "ChatRequest": {
        "type": "object",
        "required": ["messages"],
        "additionalProperties": True,
        "properties": {
            "messages": {"type": "array", "minItems": 1, "items": {"type": "object"}},
            "stream": {"type": "boolean"},
            "arbiter_max_cost": {"type": "number", "exclusiveMinimum": 0, "description": "ceiling in USD"},
            "arbiter_max_latency": {"type": "number", "exclusiveMinimum": 0, "description": "ceiling in seconds"},
            "arbiter_no_cache": {"type": "boolean"},
            "arbiter_models": {"type": "array", "items": {"type": "string"}, "description": "allow-list"},
            "arbiter_pin": {"type": "string", "description": "exactly this model; never overridden silently"},
        },
    },
    "ChatAnswer": {
        "type": "object",
        "additionalProperties": True,
        "properties": {"choices": {"type": "array"}, "usage": {"type": "object"}, "arbiter": {"type": "object"}},
    },
    "Error": {
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "properties": {
                    "message": {"type": "string"},
                    "type": {"type": "string"},
                    "param": {"type": ["string", "null"]},
                    "code": {"type": ["string", "null"]},
                },
            }
        },
    },
}


def mount(app: FastAPI) -> None:
    """Add `/v1/openapi.json` and `/v1/reference`."""

    @app.get("/v1/openapi.json", tags=["reference"])
    async def openapi() -> Response:
        """This description."""
        return JSONResponse(describe(app))

    @app.get("/v1/reference", tags=["reference"])
    async def reference() -> Response:
        """The description as a page."""
        return HTMLResponse(page(describe(app)))


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the chat route and the error shape that FastAPI does not know of."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    document["paths"] = {"/v1/chat/completions": CHAT_PATH, **document["paths"]}
    document.setdefault("components", {}).setdefault("schemas", {}).update(SCHEMAS)
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    problem = {
        "description": "Error",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = problem
            operation["x-role"] = ROLES.get((method.upper(), path), "nobody")
            if operation["x-role"] != "anonymous":
                operation["security"] = [{"key": []}]
    return document


def page(document: dict[str, Any]) -> str:
    """One self-contained page."""
    rows = "".join(
        f"<tr><td>{method.upper()}</td><td><code>{html.escape(path)}</code></td><td>{operation['x-role']}</td>"
        f"<td>{html.escape(operation.get('description') or operation.get('summary', ''))}</td></tr>"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<title>Arbiter API</title><style>:root{color-scheme:light dark}body{font:15px/1.5 system-ui;margin:2rem auto;"
        "max-width:70rem;padding:0 1rem}table{border-collapse:collapse;width:100%;display:block;overflow-x:auto}"
        "td,th{border-top:1px solid #8884;padding:.5rem;text-align:left;vertical-align:top}</style>"
        "<h1>Arbiter API</h1><p>The machine-readable description is at <a href=/v1/openapi.json>/v1/openapi.json</a>.</p>"
        f"<table><thead><tr><th>Method<th>Path<th>Role<th>What</tr></thead><tbody>{rows}</tbody></table></html>"
    )
