"""What the chat routes take and answer, and every error, for the API's description. Chats pass through unchanged: here is
only what Arbiter knows of them. What the other routes answer says each route's own type (`services/rows.py`).
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from typing_extensions import TypedDict

Schema = dict[str, Any]
_INTEGER, _NUMBER, _BOOLEAN, _STRING = ({"type": kind} for kind in ("integer", "number", "boolean", "string"))


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


class ResponsesUsage(TypedDict):
    """Tokens of an answer, as clients of OpenAI's Responses read them."""

    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int


def _described(fields: type[Any]) -> Schema:
    return TypeAdapter(fields).json_schema(mode="serialization")


COMPONENTS: dict[str, Schema] = {
    "ChatRequest": {
        "type": "object",
        "required": ["messages"],
        "additionalProperties": True,
        "description": "Any OpenAI chat request; `model` is ignored, what Arbiter does not know goes through unchanged.",
        "properties": {
            "messages": {
                "type": "array",
                "minItems": 1,
                "maxItems": 10_000,
                "items": {
                    "type": "object",
                    "required": ["role"],
                    "properties": {"role": _STRING, "content": {"type": ["string", "array", "null"]}},
                },
            },
            "model": _STRING,
            "stream": {"type": ["boolean", "null"]},
            "stream_options": {"type": ["object", "null"], "properties": {"include_usage": _BOOLEAN}},
            "max_tokens": {"type": ["integer", "null"]},
            "max_completion_tokens": {"type": ["integer", "null"]},
            "tools": {"type": ["array", "null"]},
            "response_format": {"type": ["object", "null"]},
            "metadata": {
                "type": ["object", "null"],
                "description": "`conversation_id` names the conversation that keeps its model",
            },
            "arbiter_max_cost": {
                "type": ["number", "null"],
                "minimum": 0,
                "description": "ceiling in USD; 0: free models",
            },
            "arbiter_max_latency": {
                "type": ["number", "null"],
                "exclusiveMinimum": 0,
                "description": "ceiling in seconds",
            },
            "arbiter_no_cache": {"type": ["boolean", "null"]},
            "arbiter_cache": {"type": ["boolean", "null"]},
            "arbiter_models": {"type": ["array", "null"], "minItems": 1, "items": _STRING, "description": "allow-list"},
            "arbiter_pin": {
                "type": ["string", "null"],
                "description": "exactly this model; never overridden silently",
            },
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
            "choices": {"type": "array", "items": {"type": "object"}},
            "usage": {"type": ["object", "null"]},
            "arbiter": {"$ref": "#/components/schemas/Arbiter"},
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
            "dimensions": {"type": ["integer", "null"], "minimum": 1},
        },
    },
    "EmbeddingAnswer": {
        "type": "object",
        "required": ["data", "arbiter"],
        "additionalProperties": True,
        "properties": {
            "object": _STRING,
            "model": _STRING,
            "data": {"type": "array", "items": {"type": "object"}},
            "usage": {"type": ["object", "null"]},
            "arbiter": {"$ref": "#/components/schemas/Arbiter"},
        },
    },
    "CompletionRequest": {
        "type": "object",
        "required": ["prompt"],
        "additionalProperties": True,
        "description": "A request of OpenAI's legacy completions, and the `arbiter_*` fields of a chat request.",
        "properties": {
            "prompt": {"type": ["string", "array"], "maxItems": 1, "items": _STRING},
            "suffix": {"type": ["string", "null"], "description": "what follows the gap that is to be filled"},
            "model": _STRING,
            "max_tokens": {"type": ["integer", "null"]},
            "stop": {"type": ["string", "array", "null"]},
            "stream": {"type": ["boolean", "null"]},
            "stream_options": {"type": ["object", "null"], "properties": {"include_usage": _BOOLEAN}},
            "temperature": {"type": ["number", "null"]},
            "top_p": {"type": ["number", "null"]},
            "n": {"type": ["integer", "null"], "const": 1},
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
            "choices": {"type": "array", "items": {"type": "object"}},
            "usage": {"type": ["object", "null"]},
            "arbiter": {"$ref": "#/components/schemas/Arbiter"},
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
            "instructions": {"type": ["string", "null"]},
            "stream": {"type": ["boolean", "null"]},
            "max_output_tokens": {"type": ["integer", "null"], "minimum": 1},
            "tools": {"type": ["array", "null"]},
            "tool_choice": {"type": ["string", "object", "null"]},
            "parallel_tool_calls": {"type": ["boolean", "null"]},
            "text": {"type": ["object", "null"]},
            "reasoning": {"type": ["object", "null"]},
            "temperature": {"type": ["number", "null"]},
            "top_p": {"type": ["number", "null"]},
            "include": {"type": ["array", "null"], "items": _STRING},
            "metadata": {"type": ["object", "null"]},
            "prompt_cache_key": {
                "type": ["string", "null"],
                "description": "names the conversation that keeps its model, where `metadata.conversation_id` does not",
            },
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
            "incomplete_details": {"type": ["object", "null"]},
            "model": _STRING,
            "output": {"type": "array", "items": {"type": "object"}},
            "usage": _described(ResponsesUsage),
            "arbiter": {"$ref": "#/components/schemas/Arbiter"},
        },
    },
    "MessagesRequest": {
        "type": "object",
        "required": ["messages"],
        "additionalProperties": True,
        "description": "Any request of Anthropic's Messages, and the `arbiter_*` fields of a chat request.",
        "properties": {
            "messages": {
                "type": "array",
                "minItems": 1,
                "maxItems": 10_000,
                "items": {
                    "type": "object",
                    "required": ["role", "content"],
                    "properties": {
                        "role": {"enum": ["user", "assistant", "system"]},
                        "content": {"type": ["string", "array"]},
                    },
                },
            },
            "model": _STRING,
            "system": {"type": ["string", "array", "null"]},
            "max_tokens": {"type": ["integer", "null"], "minimum": 1},
            "stop_sequences": {"type": ["array", "null"], "items": _STRING},
            "stream": {"type": ["boolean", "null"]},
            "temperature": {"type": ["number", "null"]},
            "top_p": {"type": ["number", "null"]},
            "tools": {"type": ["array", "null"]},
            "tool_choice": {"type": ["object", "null"]},
            "thinking": {"type": ["object", "null"]},
            "output_config": {"type": ["object", "null"]},
            "metadata": {"type": ["object", "null"]},
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
            "content": {"type": "array", "items": {"type": "object"}},
            "stop_reason": _STRING,
            "stop_sequence": {"type": ["string", "null"]},
            "usage": _described(MessagesUsage),
            "arbiter": {"$ref": "#/components/schemas/Arbiter"},
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
