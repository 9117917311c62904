"""What the chat routes take and answer, and every error, for the API's description. Chats pass through unchanged: here is
only what Arbiter knows of them. What the other routes answer says each route's own type (`services/rows/`).
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from arbiter_app.policy import Objective

Schema = dict[str, Any]
_INTEGER, _NUMBER, _BOOLEAN, _STRING = ({"type": kind} for kind in ("integer", "number", "boolean", "string"))
_OBJECTS: Schema = {"type": "array", "items": {"type": "object"}}
_ARBITER: Schema = {"$ref": "#/components/schemas/Arbiter"}


class ArbiterFields(TypedDict):
    """The `arbiter` object of an answer: what was decided, and what it cost in USD."""

    task: str
    difficulty: str
    classified_by: str
    model: str
    mode: str
    reason: str
    decision_id: str
    quality: float | None
    quality_reason: str
    cost: float | None
    cost_state: str
    baseline_cost: float | None
    saved: float | None
    tokens_needed: int | None
    eligible_models: int
    budget_max_cost: float | None
    budget_met: bool | None
    latency_ms: float | None
    overhead_ms: float
    max_latency: float | None
    latency_capped: bool
    cache: str
    cache_similarity: float | None
    failover_from: list[str] | None
    cascaded_from: str | None
    degraded: str | None


class ErrorFields(TypedDict):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class MessagesErrorFields(TypedDict):
    """What went wrong, as Anthropic's clients read it."""

    type: str
    message: str
    code: str


class MessagesUsage(TypedDict):
    """Tokens of an answer, as Anthropic's clients read them."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int
    cache_creation: dict[str, int]


class ResponsesUsage(TypedDict):
    """Tokens of an answer, as clients of OpenAI's Responses read them."""

    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int


def _described(fields: type[Any]) -> Schema:
    return TypeAdapter(fields).json_schema(mode="serialization")


def _or_null(*kinds: str, **more: Any) -> Schema:
    return {"type": [*kinds, "null"], **more}


def _messages(required: list[str], properties: Schema) -> Schema:
    """A list of messages, of which each has these properties."""
    message = {"type": "object", "required": required, "properties": properties}
    return {"type": "array", "minItems": 1, "maxItems": 10_000, "items": message}


COMPONENTS: dict[str, Schema] = {
    "ChatRequest": {
        "type": "object",
        "required": ["messages"],
        "additionalProperties": True,
        "description": "Any OpenAI chat request. `model` is `auto` or a preset such as `auto:cheap`, any other is ignored; what Arbiter "
        "does not know goes through unchanged.",
        "properties": {
            "messages": _messages(["role"], {"role": _STRING, "content": _or_null("string", "array")}),
            "model": _STRING,
            "stream": _or_null("boolean"),
            "stream_options": _or_null("object", properties={"include_usage": _BOOLEAN}),
            "max_tokens": _or_null("integer"),
            "max_completion_tokens": _or_null("integer"),
            "tools": _or_null("array"),
            "response_format": _or_null("object"),
            "metadata": _or_null("object", description="`conversation_id` names the conversation that keeps its model"),
            "arbiter_max_cost": _or_null("number", minimum=0, description="ceiling in USD; 0: free models"),
            "arbiter_max_latency": _or_null("number", exclusiveMinimum=0, description="ceiling in seconds"),
            "arbiter_no_cache": _or_null("boolean"),
            "arbiter_no_shadow": _or_null("boolean", description="no other model is asked beside the answer"),
            "arbiter_cache": _or_null("boolean"),
            "arbiter_models": _or_null(
                "array", minItems=1, items=_STRING, description="the models that may serve; one behind a `!` may not"
            ),
            "arbiter_pin": _or_null("string", description="exactly this model; never overridden silently"),
            "arbiter_tolerance": _or_null(
                "number", minimum=0, maximum=1, description="how far under the best quality is still good enough"
            ),
            "arbiter_objective": {"enum": [*Objective, None], "description": "what is wanted most"},
        },
    },
    "ChatAnswer": {
        "type": "object",
        "required": ["choices", "arbiter"],
        "additionalProperties": True,
        "properties": {
            "id": _STRING,
            "object": _STRING,
            "created": _INTEGER,
            "model": _STRING,
            "choices": _OBJECTS,
            "usage": _or_null("object"),
            "arbiter": _ARBITER,
        },
    },
    "EmbeddingRequest": {
        "type": "object",
        "required": ["model", "input"],
        "additionalProperties": True,
        "description": "Any request of OpenAI's embeddings; it goes through unchanged.",
        "properties": {
            "model": {"type": "string", "minLength": 1, "maxLength": 200},
            "input": {"type": ["string", "array"], "minLength": 1, "minItems": 1},
            "encoding_format": {"enum": ["float", "base64"]},
            "dimensions": _or_null("integer", minimum=1),
        },
    },
    "EmbeddingAnswer": {
        "type": "object",
        "required": ["data", "arbiter"],
        "additionalProperties": True,
        "properties": {
            "object": _STRING,
            "model": _STRING,
            "data": _OBJECTS,
            "usage": _or_null("object"),
            "arbiter": _ARBITER,
        },
    },
    "CompletionRequest": {
        "type": "object",
        "required": ["prompt"],
        "additionalProperties": True,
        "description": "A request of OpenAI's legacy completions, and the `arbiter_*` fields of a chat request.",
        "properties": {
            "prompt": {"type": ["string", "array"], "maxItems": 1, "items": _STRING},
            "suffix": _or_null("string", description="what follows the gap that is to be filled"),
            "model": _STRING,
            "max_tokens": _or_null("integer"),
            "stop": _or_null("string", "array"),
            "stream": _or_null("boolean"),
            "stream_options": _or_null("object", properties={"include_usage": _BOOLEAN}),
            "temperature": _or_null("number"),
            "top_p": _or_null("number"),
            "n": _or_null("integer", const=1),
        },
    },
    "CompletionAnswer": {
        "type": "object",
        "required": ["id", "object", "created", "model", "choices", "arbiter"],
        "properties": {
            "id": _STRING,
            "object": {"const": "text_completion"},
            "created": _INTEGER,
            "model": _STRING,
            "choices": _OBJECTS,
            "usage": _or_null("object"),
            "arbiter": _ARBITER,
        },
    },
    "ResponsesRequest": {
        "type": "object",
        "required": ["input"],
        "additionalProperties": True,
        "description": "A request of OpenAI's Responses, and the `arbiter_*` fields of a chat request.",
        "properties": {
            "input": {"type": ["string", "array"]},
            "model": _STRING,
            "instructions": _or_null("string"),
            "stream": _or_null("boolean"),
            "max_output_tokens": _or_null("integer", minimum=1),
            "tools": _or_null("array"),
            "tool_choice": _or_null("string", "object"),
            "parallel_tool_calls": _or_null("boolean"),
            "text": _or_null("object"),
            "reasoning": _or_null("object"),
            "temperature": _or_null("number"),
            "top_p": _or_null("number"),
            "include": _or_null("array", items=_STRING),
            "metadata": _or_null("object"),
            "prompt_cache_key": _or_null(
                "string",
                description="names the conversation that keeps its model, where `metadata.conversation_id` does not",
            ),
        },
    },
    "ResponsesAnswer": {
        "type": "object",
        "required": ["id", "object", "created_at", "status", "model", "output", "usage", "arbiter"],
        "properties": {
            "id": _STRING,
            "object": {"const": "response"},
            "created_at": _INTEGER,
            "status": {"enum": ["completed", "incomplete"]},
            "incomplete_details": _or_null("object"),
            "model": _STRING,
            "output": _OBJECTS,
            "usage": _described(ResponsesUsage),
            "arbiter": _ARBITER,
        },
    },
    "InputItems": {
        "type": "object",
        "required": ["object", "data", "first_id", "last_id", "has_more"],
        "properties": {
            "object": {"const": "list"},
            "data": _OBJECTS,
            "first_id": _or_null("string"),
            "last_id": _or_null("string"),
            "has_more": {"type": "boolean"},
        },
    },
    "MessagesRequest": {
        "type": "object",
        "required": ["messages"],
        "additionalProperties": True,
        "description": "Any request of Anthropic's Messages, and the `arbiter_*` fields of a chat request.",
        "properties": {
            "messages": _messages(
                ["role", "content"],
                {"role": {"enum": ["user", "assistant", "system"]}, "content": {"type": ["string", "array"]}},
            ),
            "model": _STRING,
            "system": _or_null("string", "array"),
            "max_tokens": _or_null("integer", minimum=1),
            "stop_sequences": _or_null("array", items=_STRING),
            "stream": _or_null("boolean"),
            "temperature": _or_null("number"),
            "top_p": _or_null("number"),
            "tools": _or_null("array"),
            "tool_choice": _or_null("object"),
            "thinking": _or_null("object"),
            "output_config": _or_null("object"),
            "metadata": _or_null("object"),
        },
    },
    "MessagesAnswer": {
        "type": "object",
        "required": ["id", "type", "role", "model", "content", "stop_reason", "usage", "arbiter"],
        "properties": {
            "id": _STRING,
            "type": {"const": "message"},
            "role": {"const": "assistant"},
            "model": _STRING,
            "content": _OBJECTS,
            "stop_reason": _STRING,
            "stop_sequence": _or_null("string"),
            "usage": _described(MessagesUsage),
            "arbiter": _ARBITER,
        },
    },
    "MessagesError": {
        "type": "object",
        "required": ["type", "error"],
        "properties": {"type": _STRING, "error": _described(MessagesErrorFields)},
    },
    "Arbiter": _described(ArbiterFields),
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {"error": _described(ErrorFields)},
    },
}
