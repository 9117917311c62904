"""The API's description: OpenAPI 3.1 of every route, and a page that shows it without any script from elsewhere."""

from __future__ import annotations

import functools
import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, Response

from arbiter_app.api.reference_page import page
from arbiter_app.api.roles import ROLES
from arbiter_app.api.schemas import COMPONENTS

Document = dict[str, Any]
TEXT = {"/metrics": "text/plain", "/v1/reference": "text/html", "/v1/audit.csv": "text/csv"}
TEXT |= {"/v1/spend.csv": "text/csv", "/v1/contents.jsonl": "application/jsonl"}
TEXT |= {"/v1/pool/prices.toml": "application/toml", "/v1/pool/prices.csv": "text/csv"}
CHAT_ERRORS = {
    400: "malformed JSON, a prompt that fits no window, no capable model, or the runtime's own refusal",
    402: "the runtime is out of credit, or a budget in dollars has too little left",
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
RESPONSES_ERRORS = {status: why for status, why in CHAT_ERRORS.items() if status != 422} | {
    400: "malformed JSON, no Responses request, what needs contents that are not kept, or a tool of OpenAI's own, a prompt that fits no window, "
    "no capable model, or the runtime's own refusal",
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
NOT_KEPT = {
    400: "no contents are kept (`ARBITER_KEEP_CONTENT_HOURS` is off)",
    404: "no such response of yours, or it has expired",
}
ANSWERS = {
    ("GET", "/v1/responses/{response_id}"): "ResponsesAnswer",
    ("GET", "/v1/responses/{response_id}/input_items"): "InputItems",
}
"""The components of routes that pass on JSON as it is."""
OWN_ERRORS = {
    "/v1/decisions/{decision_id}": {404: "no such decision of yours"},
    "/v1/decisions/{decision_id}/content": {404: "no content of that decision is kept"},
    "/v1/decisions/{decision_id}/again": {404: "no content of that decision is kept"},
    "/v1/models/{model}": {404: "no such model"},
    "/v1/pool/models/{model}": {404: "no such model"},
    "/v1/pool/models/{model}/trial": {404: "no such model"},
    "/v1/responses/{response_id}": NOT_KEPT,
    "/v1/responses/{response_id}/input_items": NOT_KEPT,
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


def _content(schema: str) -> Document:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _body(schema: str) -> Document:
    return {"required": True, "content": _content(schema)}


def _asking(summary: str, description: str, asks: str, gives: str, answer: str, *, streams: bool = True) -> Document:
    """A route of a dialect: the components that it takes (`asks`) and gives, and what the answer is in words."""
    streamed: Document = {"text/event-stream": {"schema": {"type": "string"}}} if streams else {}
    headers = ("x-request-id", "x-arbiter-decision", "x-arbiter-model", "x-arbiter-task")
    ok = {
        "description": answer,
        "headers": {name: {"schema": {"type": "string"}} for name in headers},
        "content": _content(gives) | streamed,
    }
    return {
        "summary": summary,
        "description": description,
        "tags": ["chat"],
        "requestBody": _body(asks),
        "responses": {"200": ok},
    }


ASKING: dict[str, tuple[Document, dict[int, str]]] = {
    "/v1/embeddings": (
        _asking(
            "Embed texts with the model that is named",
            "Any request of OpenAI's embeddings. It goes to the model that it names, unchanged: vectors of "
            "different models do not mix, so that nothing is routed.",
            asks="EmbeddingRequest",
            gives="EmbeddingAnswer",
            answer="The runtime's answer plus `arbiter`.",
            streams=False,
        ),
        EMBEDDINGS_ERRORS,
    ),
    "/v1/chat/completions": (
        _asking(
            "Route a chat request",
            "Any OpenAI chat request. `model` is ignored: choosing it is the product.",
            asks="ChatRequest",
            gives="ChatAnswer",
            answer="The runtime's answer plus `arbiter`. With `stream`, server-sent events of `chat.completion.chunk`: "
            "`arbiter` is in the last chunk before `[DONE]`.",
        ),
        CHAT_ERRORS,
    ),
    "/v1/messages": (
        _asking(
            "Route a request in Anthropic's form",
            "Any request of Anthropic's Messages API, and the `arbiter_*` fields. `model` is ignored. What the "
            "chosen model's runtime has no word for is named in `arbiter.dropped`.",
            asks="MessagesRequest",
            gives="MessagesAnswer",
            answer="A message plus `arbiter`. With `stream`, Anthropic's events: `arbiter` is in `message_delta`.",
        ),
        MESSAGES_ERRORS,
    ),
    "/v1/responses": (
        _asking(
            "Route a request in the form of OpenAI's Responses",
            "Any request of OpenAI's Responses API, and the `arbiter_*` fields. What needs stored contents is "
            "served where they are kept (`ARBITER_KEEP_CONTENT_HOURS`). "
            "`model` is ignored. What the chosen model's runtime has no word for is named in `arbiter.dropped`.",
            asks="ResponsesRequest",
            gives="ResponsesAnswer",
            answer="A response plus `arbiter`. With `stream`, its events: `arbiter` is in the response of the last one.",
        ),
        RESPONSES_ERRORS,
    ),
    "/v1/completions": (
        _asking(
            "Route a text completion",
            "A request of OpenAI's legacy completions with one prompt, and a `suffix` where a gap is to be "
            "filled, and the `arbiter_*` fields. `model` is ignored. A chat model is asked to go on with the "
            "text.",
            asks="CompletionRequest",
            gives="CompletionAnswer",
            answer="A text completion plus `arbiter`. With `stream`, its chunks: `arbiter` is in the last before "
            "`[DONE]`.",
        ),
        COMPLETIONS_ERRORS,
    ),
}
"""The routes that FastAPI does not know of, and their errors."""


READ_BY_US = {"/v1/messages/count_tokens": "MessagesRequest", "/v1/route": "ChatRequest"}
"""Routes whose bodies FastAPI does not read, and what they take."""


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
    document["paths"] = {**{path: {"post": dict(one)} for path, (one, _) in ASKING.items()}, **document["paths"]}
    for path, schema in READ_BY_US.items():
        document["paths"][path]["post"]["requestBody"] = _body(schema)
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
    if (method, path) in ANSWERS:
        responses["200"]["content"] = _content(ANSWERS[method, path])
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
    _, found = ASKING.get(path, ({}, {}))
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
        "content": _content(shape),
    }
