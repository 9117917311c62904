"""The API's description: OpenAPI 3.1 of every route, and a page that shows it without any script from elsewhere."""

from __future__ import annotations

import functools
import html
import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, Response

from arbiter_app.api.roles import ROLES
from arbiter_app.api.schemas import COMPONENTS

Document = dict[str, Any]
TEXT = {"/metrics": "text/plain", "/v1/reference": "text/html"}
CHAT_ERRORS = {
    400: "malformed JSON, a prompt that fits no window, no capable model, or the runtime's own refusal",
    402: "the runtime is out of credit",
    408: "the body did not arrive in time",
    413: "the body is too large",
    422: "`messages` is missing or no list of messages, or an `arbiter_*` field has the wrong type",
    429: "the key's limit or the runtime's is used up; see `Retry-After`",
    502: "no model answered; the message names those tried",
    503: "draining or overloaded; see `Retry-After`",
    504: "the whole deadline passed",
}
MESSAGES_ERRORS = {status: why for status, why in CHAT_ERRORS.items() if status != 422} | {
    400: "malformed JSON, no Messages request, a prompt that fits no window, no capable model, or the runtime's own refusal"
}
RESPONSES_ERRORS = CHAT_ERRORS | {
    400: "malformed JSON, what needs stored contents or a tool of OpenAI's own, a prompt that fits no window, no capable model, or "
    "the runtime's own refusal",
    422: "`input` is missing or no list of items, or a field has the wrong type",
}
COMPLETIONS_ERRORS = CHAT_ERRORS | {
    400: "malformed JSON, no text as prompt, what a chat cannot give (`logprobs`, `echo`, several completions), a prompt that fits no "
    "window, or the runtime's own refusal",
    422: "a field has the wrong type",
}
EMBEDDINGS_ERRORS = CHAT_ERRORS | {
    400: "malformed JSON, no model named, or the runtime's own refusal",
    404: "the runtime does not serve the model that is named",
    422: "`input` is missing or empty, or there is an `arbiter_*` field",
}
KEY_ERRORS = {401: "no key, or one that is malformed, unknown or revoked", 403: "a paused key, or the wrong role"}
OWN_ERRORS = {
    "/v1/decisions/{decision_id}": {404: "no such decision of yours"},
    "/v1/models/{model}": {404: "no such model"},
    "/v1/responses/{response_id}": {400: "always: no contents are kept (`ARBITER_KEEP_CONTENT_HOURS` is off)"},
    "/v1/responses/{response_id}/input_items": {
        400: "always: no contents are kept (`ARBITER_KEEP_CONTENT_HOURS` is off)"
    },
    "/v1/feedback": {404: "no such decision of yours"},
    "/v1/calibrations/{calibration_id}": {404: "no such calibration"},
    "/v1/calibrations/{calibration_id}/start": {404: "no such calibration"},
    "/v1/calibrations/{calibration_id}/cancel": {404: "no such calibration"},
    "/v1/register": {403: "sign-up is closed", 415: "the body is not sent as JSON", 429: "too many sign-ups"},
    "/readyz": {},
}
_DECISION = {"decision_id": "$response.body#/arbiter/decision_id"}
_CALIBRATION = {"calibration_id": "$response.body#/id"}


def _link(method: str, path: str, parameters: dict[str, str], body: dict[str, str] | None = None) -> Document:
    """A request that follows from an answer: its path's parameters, and its body, are read from there."""
    link: Document = {"operationRef": f"#/paths/{path.replace('/', '~1')}/{method}"}
    if parameters:
        link["parameters"] = parameters
    if body:
        link["requestBody"] = body
    return link


LINKS: dict[tuple[str, str], dict[str, Document]] = {
    ("POST", "/v1/chat/completions"): {
        "decision": _link("get", "/v1/decisions/{decision_id}", _DECISION),
        "vote": _link("post", "/v1/feedback", {}, {**_DECISION, "rating": "up"}),
    },
    ("GET", "/v1/recent"): {
        "decision": _link("get", "/v1/decisions/{decision_id}", {"decision_id": "$response.body#/data/0/id"}),
        "older": _link("get", "/v1/recent", {"before": "$response.body#/next"}),
    },
    ("GET", "/v1/models"): {"model": _link("get", "/v1/models/{model}", {"model": "$response.body#/data/1/id"})},
    ("POST", "/v1/calibrations"): {
        "calibration": _link("get", "/v1/calibrations/{calibration_id}", _CALIBRATION),
        "start": _link("post", "/v1/calibrations/{calibration_id}/start", _CALIBRATION),
        "cancel": _link("post", "/v1/calibrations/{calibration_id}/cancel", _CALIBRATION),
    },
}
"""What a program can ask next, by the request that was answered."""
STYLE = (
    ":root{color-scheme:light dark}body{font:15px/1.5 system-ui;margin:2rem auto;max-width:60rem;padding:0 1rem}"
    "details{border-top:1px solid #8884;padding:.5rem 0}summary{cursor:pointer}code,pre{font-family:ui-monospace,monospace}"
    "pre{overflow-x:auto;background:#8881;padding:.75rem;border-radius:6px}small{opacity:.75}"
)
CHAT: Document = {
    "summary": "Route a chat request",
    "description": "Any OpenAI chat request. `model` is ignored: choosing it is the product.",
    "tags": ["chat"],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ChatRequest"}}},
    },
    "responses": {
        "200": {
            "description": "The runtime's answer plus `arbiter`. With `stream`, server-sent events of "
            "`chat.completion.chunk`: `arbiter` is in the last chunk before `[DONE]`.",
            "headers": {
                name: {"schema": {"type": "string"}}
                for name in ("x-request-id", "x-arbiter-decision", "x-arbiter-model", "x-arbiter-task")
            },
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/ChatAnswer"}},
                "text/event-stream": {"schema": {"type": "string"}},
            },
        }
    },
}

MESSAGES: Document = {
    "summary": "Route a request in Anthropic's form",
    "description": "Any request of Anthropic's Messages API, and the `arbiter_*` fields. `model` is ignored. What the chosen model's "
    "runtime has no word for is named in `arbiter.dropped`.",
    "tags": ["chat"],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/MessagesRequest"}}},
    },
    "responses": {
        "200": {
            "description": "A message plus `arbiter`. With `stream`, Anthropic's events: `arbiter` is in `message_delta`.",
            "headers": CHAT["responses"]["200"]["headers"],
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/MessagesAnswer"}},
                "text/event-stream": {"schema": {"type": "string"}},
            },
        }
    },
}
RESPONSES: Document = {
    "summary": "Route a request in the form of OpenAI's Responses",
    "description": "Any request of OpenAI's Responses API that needs no stored contents, and the `arbiter_*` fields. `model` is ignored. "
    "What the chosen model's runtime has no word for is named in `arbiter.dropped`.",
    "tags": ["chat"],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ResponsesRequest"}}},
    },
    "responses": {
        "200": {
            "description": "A response plus `arbiter`. With `stream`, its events: `arbiter` is in the response of the last one.",
            "headers": CHAT["responses"]["200"]["headers"],
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/ResponsesAnswer"}},
                "text/event-stream": {"schema": {"type": "string"}},
            },
        }
    },
}
COMPLETIONS: Document = {
    "summary": "Route a text completion",
    "description": "A request of OpenAI's legacy completions with one prompt, and a `suffix` where a gap is to be filled, and the "
    "`arbiter_*` fields. `model` is ignored. A chat model is asked to go on with the text.",
    "tags": ["chat"],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/CompletionRequest"}}},
    },
    "responses": {
        "200": {
            "description": "A text completion plus `arbiter`. With `stream`, its chunks: `arbiter` is in the last before `[DONE]`.",
            "headers": CHAT["responses"]["200"]["headers"],
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/CompletionAnswer"}},
                "text/event-stream": {"schema": {"type": "string"}},
            },
        }
    },
}
EMBEDDINGS: Document = {
    "summary": "Embed texts with the model that is named",
    "description": "Any request of OpenAI's embeddings. It goes to the model that it names, unchanged: vectors of different models do not "
    "mix, so that nothing is routed.",
    "tags": ["chat"],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/EmbeddingRequest"}}},
    },
    "responses": {
        "200": {
            "description": "The runtime's answer plus `arbiter`.",
            "headers": CHAT["responses"]["200"]["headers"],
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/EmbeddingAnswer"}}},
        }
    },
}
ASKING = {
    "/v1/embeddings": EMBEDDINGS,
    "/v1/chat/completions": CHAT,
    "/v1/messages": MESSAGES,
    "/v1/responses": RESPONSES,
    "/v1/completions": COMPLETIONS,
}
"""The routes that FastAPI does not know of."""
ASKING_ERRORS = {
    "/v1/chat/completions": CHAT_ERRORS,
    "/v1/messages": MESSAGES_ERRORS,
    "/v1/responses": RESPONSES_ERRORS,
    "/v1/completions": COMPLETIONS_ERRORS,
    "/v1/embeddings": EMBEDDINGS_ERRORS,
}


def mount(app: FastAPI) -> None:
    """Add `/v1/openapi.json` and `/v1/reference`. Both are made once, when they are first asked for."""
    root_path = app.state.services.settings.root_path
    described = functools.cache(lambda: describe(app, root_path))
    machine = functools.cache(lambda: json.dumps(described()).encode())
    human = functools.cache(lambda: page(described()).encode())

    @app.get("/v1/openapi.json", tags=["reference"])
    async def openapi() -> Response:
        """This description."""
        return Response(machine(), media_type="application/json")

    @app.get("/v1/reference", tags=["reference"])
    async def reference() -> Response:
        """The description as a page."""
        return HTMLResponse(human())


def describe(app: FastAPI, root_path: str = "") -> Document:
    """The OpenAPI document: FastAPI's, with the routes of the dialects, roles and errors that it does not know of.

    `root_path` is that of a proxy in front, under which clients find the routes.
    """
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    if root_path:
        document["servers"] = [{"url": root_path}]
    document["paths"] = {**{path: {"post": dict(one)} for path, one in ASKING.items()}, **document["paths"]}
    document["paths"]["/v1/messages/count_tokens"]["post"]["requestBody"] = MESSAGES["requestBody"]
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas.update(COMPONENTS)
    document["components"]["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer"},
        "session": {"type": "apiKey", "in": "cookie", "name": "arbiter_session"},
    }
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            _complete(method.upper(), path, operation)
    return document


def _complete(method: str, path: str, operation: Document) -> None:
    rule = ROLES.get((method, path), "nobody")
    operation["x-role"] = rule
    if rule != "anonymous":
        operation["security"] = [{"key": []}, {"session": []}]
    if rule in ("reads", "signup", "loopback"):
        operation["security"].append({})
    responses = {"200": operation["responses"]["200"]}
    if path in TEXT:
        responses["200"]["content"] = {TEXT[path]: {"schema": {"type": "string"}}}
    if (method, path) in LINKS:
        responses["200"]["links"] = LINKS[method, path]
    if path == "/readyz":
        responses["503"] = {"description": "Not ready; `reasons` says why", "content": responses["200"]["content"]}
    shape = "MessagesError" if path.startswith("/v1/messages") else "Error"
    responses |= {str(status): _problem(why, shape) for status, why in _errors(path, rule, operation).items()}
    operation["responses"] = responses | {"default": _problem("Any other error has the same shape", shape)}


def _errors(path: str, rule: str, operation: Document) -> dict[int, str]:
    found = ASKING_ERRORS.get(path, {})
    if rule not in ("anonymous", "signup"):
        found = {**found, **KEY_ERRORS}
    if path.startswith("/v1/") and not path.startswith("/v1/messages"):
        found = {422: "a parameter or field is unknown, given twice, or of the wrong type or value", **found}
    if "requestBody" in operation:
        found = {
            400: "the body is no valid JSON",
            **found,
            408: "the body did not arrive in time",
            413: "the body is too large",
        }
    return dict(sorted({**found, **OWN_ERRORS.get(path, {})}.items()))


def _problem(why: str, shape: str) -> Document:
    return {
        "description": why,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{shape}"}}},
    }


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
