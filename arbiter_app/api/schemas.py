"""What goes in and out of every route, as JSON Schemas for the API's description. A test holds them to real answers.

`_object("calls:integer saved:number?")` is an object with these fields, all there; `?` marks one that may be null.
Money is USD, times are unix seconds, `_ms` milliseconds.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def _object(fields: str, **others: Schema) -> Schema:
    properties: Schema = {}
    for field in fields.split():
        name, _, kind = field.partition(":")
        properties[name] = {"type": [kind[:-1], "null"] if kind.endswith("?") else kind}
    return {"type": "object", "required": [*properties, *others], "properties": properties | others}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _map(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _open(schema: Schema) -> Schema:
    """The same, where not every field is there each time."""
    return {name: value for name, value in schema.items() if name != "required"}


_INTEGER, _NUMBER, _BOOLEAN, _STRING = ({"type": kind} for kind in ("integer", "number", "boolean", "string"))
_PAIR = {"type": ["array", "null"], "items": _NUMBER, "minItems": 2, "maxItems": 2}
_NAMES = {"type": ["array", "null"], "items": _STRING}
_MONEY = (
    "calls:integer actual_spend:number actual_spend_exact:string baseline_spend:number saved:number saved_pct:number?"
)
_GROUP = f"{_MONEY} measured_calls:integer mean_quality:number? graded:integer failed:integer"
_ESTIMATE = "cost:number? quality:number? covered:number effective_sample_size:number?"
_INTERVALS = {"cost_interval": _PAIR, "quality_interval": _PAIR}
_DECISION = (
    "seq:integer id:string ts:number request_id:string? key_id:string? conversation:string? task:string difficulty:string "
    "bucket:string classified_by:string model:string mode:string reason:string propensity:number? quality:number? "
    "quality_source:string quality_reason:string? cost:number? cost_state:string answer_cost:number? "
    "classifier_cost:number? judge_cost:number? baseline:number? saved:number? prompt_tokens:integer? "
    "completion_tokens:integer? tokens_needed:integer? eligible_models:integer latency_ms:number? first_byte_ms:number? "
    "overhead_ms:number stream:boolean status:string error_code:string cache:string cascaded_from:string? "
    "asked_tokens:integer?"
)
_AGREEMENT = "task:string against:string n:integer agreement:number low:number high:number bias:number weight:number?"
_CALIBRATION = "id:string created:number changed:number max_usd:number estimate_usd:number state:string note:string"
_KEY_STATE = _object("key_id:string status:string")

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
            "choices": _list({"type": "object"}),
            "usage": {"type": ["object", "null"]},
            "arbiter": _ref("Arbiter"),
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
            "content": _list({"type": "object"}),
            "stop_reason": _STRING,
            "stop_sequence": {"type": ["string", "null"]},
            "usage": _object(
                "input_tokens:integer output_tokens:integer cache_read_input_tokens:integer cache_creation_input_tokens:integer"
            ),
            "arbiter": _ref("Arbiter"),
        },
    },
    "MessagesError": _object("type:string", error=_object("type:string message:string code:string")),
    "TokenCount": _object("input_tokens:integer"),
    "Arbiter": _object(
        "task:string difficulty:string classified_by:string model:string mode:string reason:string decision_id:string "
        "quality:number? quality_reason:string cost:number? cost_state:string baseline_cost:number? saved:number? "
        "tokens_needed:integer? eligible_models:integer budget_max_cost:number? budget_met:boolean? latency_ms:number? "
        "overhead_ms:number max_latency:number? latency_capped:boolean cache:string cache_similarity:number? "
        "cascaded_from:string? degraded:string?",
        failover_from=_NAMES,
    ),
    "Model": _open(
        _object(
            "id:string object:string created:integer owned_by:string routable:boolean input_per_million:number? "
            "output_per_million:number? price_from:string runtime_name:string "
            "state:string context:integer? vision:boolean audio:boolean video:boolean tools:boolean json_schema:boolean baseline:boolean"
        )
    ),
    "Models": _object("object:string", data=_list(_ref("Model"))),
    "Report": _object(
        f"{_MONEY} since:number? baseline_model:string proven:boolean unmeasured_calls:integer failed:integer "
        "aborted:integer classifier_spend:number judge_spend:number calibrate_spend:number explore_calls:integer explore_spend:number "
        "explore_share:number? explore_cap:number? explore_usd_share:number? explore_usd_cap:number? holdout_calls:integer "
        "mean_quality:number? graded:integer mean_latency_ms:number? mean_overhead_ms:number?",
        judge={
            **_object(
                "model:string",
                objective=_or_null(_object(_AGREEMENT)),
                people=_or_null(_object(_AGREEMENT)),
                by_task=_list(_object(_AGREEMENT)),
            ),
            "description": "how often the judge and the truth are on one side of 0.5, with the 95 % interval; its mean "
            "error; and what one judged grade weighs against an objective one",
        },
        interval={**_PAIR, "description": "95 % interval of saved_pct; null while it cannot be stated"},
        interval_usd=_PAIR,
        holdout=_object(
            "calls:integer spend:number routed_calls:integer compared_calls:integer saved:number? saved_pct:number? "
            "proven:boolean quality_difference:number?",
            interval=_PAIR,
            interval_usd=_PAIR,
            quality_interval=_PAIR,
        ),
        placebos=_object(
            "calls:integer",
            lines=_list(_object(f"name:string calls:integer refused:string? {_ESTIMATE}", **_INTERVALS)),
        ),
        cost_states=_object("settled:integer computed:integer estimated:integer unknown:integer"),
        by_bucket=_list(_object(f"bucket:string {_GROUP}")),
        by_model=_list(_object(f"model:string {_GROUP}")),
        by_mode=_list(_object(f"mode:string {_GROUP}")),
    ),
    "WhatIf": _object(
        f"tolerance:number days:number? policy:string calls:integer refused:string? {_ESTIMATE}",
        without=_list(_STRING),
        **_INTERVALS,
        as_routed=_object("cost:number? quality:number? effective_sample_size:number?", **_INTERVALS),
        models=_list(_object("model:string share:number")),
    ),
    "Policy": _object(
        "policy:string baseline:string",
        buckets=_map(
            _list(
                _object(
                    "model:string n:number calls:number quality:number? low:number? high:number? avg_cost:number? "
                    "avg_latency_ms:number? chosen:boolean"
                )
            )
        ),
    ),
    "Decision": _object(_DECISION, failover_from=_NAMES, rejected=_list(_STRING)),
    "Decisions": _object("next:integer?", data=_list(_ref("Decision"))),
    "DecisionWithTrace": _object(
        _DECISION,
        failover_from=_NAMES,
        rejected=_list(_STRING),
        trace={
            "type": ["object", "null"],
            "description": "what each stage saw, decided and took; null once it has been retired",
            "properties": {
                name: {"type": ["object", "null"]}
                for name in ("request", "classify", "filter", "route", "call", "grade", "learn")
            },
        },
    ),
    "TimeSeries": _object(
        "bucket_seconds:integer",
        data=_list(
            _object(
                "ts:integer calls:integer spend:number baseline:number measured_calls:integer p50_ms:number? p95_ms:number?",
                models=_map(_NUMBER),
                modes=_map(_INTEGER),
            )
        ),
    ),
    "Overview": _object(
        "mode:string policy:string baseline_model:string pool_size:integer decisions:integer cache_entries:integer "
        "cache_mode:string cache_hits:integer store:string",
        classifier=_map(_INTEGER),
        alerts=_list(_ref("Alert")),
        active_price_overrides=_map(_NUMBER),
        quarantined=_map({"type": "object"}),
        pool_notes=_list(_STRING),
        learning=_map({"type": ["number", "null"]}),
    ),
    "Pricing": _object("", data=_list(_ref("Model"))),
    "Alert": _object(
        "id:integer ts:number kind:string task:string bucket:string model:string old_unit:number? new_unit:number? "
        "direction:string reason:string settled:number? moved:string then:string summary:string",
        known={"type": ["object", "null"], "description": "calls, graded and votes when it was raised"},
        outcome={
            "type": ["object", "null"],
            "description": "what came of it so far: requests, trials and what they cost, shares by model before and after, "
            "after how many requests traffic had moved, USD a request before, after, and with the model of the alert",
        },
    ),
    "Alerts": _object("", data=_list(_ref("Alert"))),
    "Calibration": _object(
        f"{_CALIBRATION} prompts:integer models:integer total:integer done:integer failed:integer spent_usd:number",
        failures=_list(_STRING),
        table=_list(
            _object(
                "bucket:string model:string n:integer graded:integer judged:integer quality:number? mean_cost:number?"
            )
        ),
    ),
    "Calibrations": _object("", data=_list(_object(_CALIBRATION))),
    "Vote": _object("status:string decision_id:string? task:string model:string rating:string"),
    "Price": _object("model:string multiplier:number active:boolean"),
    "Reset": _object("status:string"),
    "Registered": _object("api_key:string"),
    "Key": _object(
        "key_id:string email:string role:string status:string used_6h:integer limit_6h:integer? used_week:integer "
        "limit_week:integer?"
    ),
    "KeyState": _KEY_STATE,
    "Health": _object(
        "status:string version:string mode:string uptime_s:number store:string learning:string runtime:string "
        "neighbour:string"
    ),
    "Ready": _object("status:string", reasons=_list(_STRING)),
    "Error": _object("", error=_object("message:string type:string param:string? code:string?")),
}

ANSWERS = {
    ("POST", "/v1/messages/count_tokens"): "TokenCount",
    ("GET", "/v1/models"): "Models",
    ("GET", "/v1/models/{model}"): "Model",
    ("GET", "/health"): "Health",
    ("GET", "/readyz"): "Ready",
    ("GET", "/v1/report"): "Report",
    ("GET", "/v1/what-if"): "WhatIf",
    ("GET", "/v1/policy"): "Policy",
    ("GET", "/v1/recent"): "Decisions",
    ("GET", "/v1/decisions/{decision_id}"): "DecisionWithTrace",
    ("GET", "/v1/timeseries"): "TimeSeries",
    ("GET", "/v1/overview"): "Overview",
    ("GET", "/v1/pricing"): "Pricing",
    ("GET", "/v1/alerts"): "Alerts",
    ("POST", "/v1/feedback"): "Vote",
    ("POST", "/v1/simulate-price"): "Price",
    ("POST", "/v1/reset"): "Reset",
    ("POST", "/v1/calibrations"): "Calibration",
    ("GET", "/v1/calibrations"): "Calibrations",
    ("GET", "/v1/calibrations/{calibration_id}"): "Calibration",
    ("POST", "/v1/calibrations/{calibration_id}/start"): "Calibration",
    ("POST", "/v1/calibrations/{calibration_id}/cancel"): "Calibration",
    ("POST", "/v1/register"): "Registered",
    ("GET", "/v1/key"): "Key",
    ("POST", "/v1/key/pause"): "KeyState",
    ("POST", "/v1/key/resume"): "KeyState",
    ("POST", "/v1/key/revoke"): "KeyState",
}
"""The component that a route answers with; routes that answer with text or the description itself are not here."""
