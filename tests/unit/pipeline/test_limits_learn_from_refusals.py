"""What one refused request teaches of a model, and that it concerns only requests that the model must refuse, too."""

from __future__ import annotations

import pytest

from arbiter_app.pipeline.limits import LACK_S, MOST_LACKS, LearnedLimits, refused_field
from arbiter_app.pipeline.ports import Refusal, Refused


def refused(message: str, code: str | None = None, param: str | None = None) -> Refusal:
    return Refusal(Refused.UNSUPPORTED, 400, message, "invalid_request_error", code, param)


UNLIKE = (
    "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported."
)
LITELLM = "gpt-5 models don't support temperature=0.2. Only temperature=1 is supported."
LARGE = "max_tokens is too large: 999999. This model supports at most 16384 completion tokens."
PARTS = "'response_format.type' json_schema: unsupported parameter for this model"
VALUES = [
    ("temperature", "0.2", "1", refused(UNLIKE, "unsupported_value", "temperature")),
    ("temperature", "0.2", "1", refused(LITELLM, "UnsupportedParamsError")),
    ("temperature", "0.2", "1", refused("Unsupported parameter: temperature 0.2", "unsupported_parameter", "temperature")),
    ("max_tokens", "999999", "100", refused(LARGE, None, "max_tokens")),
    ("reasoning_effort", '"xhigh"', '"low"', refused("Unsupported value: 'reasoning_effort'", "unsupported_value")),
    ("tools", '[{"strict":true}]', "[]", refused("Extra inputs are not permitted", "extra_forbidden", "tools.0.strict")),
    ("tools", "[1,2]", "[1]", refused("This model does not support tools of that number")),
    ("response_format", '{"type":"json_schema"}', '{"type":"json_object"}', refused(PARTS)),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "another", "refusal"), VALUES, ids=str)
def test_a_refused_value_keeps_a_model_from_that_value_alone(
    field: str, value: str, another: str, refusal: Refusal
) -> None:
    limits, asked, other = LearnedLimits(), {field: value}, {field: another}
    limits.learn_lack("m", asked, refusal, 0.0)
    assert limits.lacking(asked, 1.0) == {"m": field}
    assert limits.lacking({**asked, "user": '"u"'}, 1.0) == {"m": field}
    assert limits.lacking(other, 1.0) == limits.lacking({}, 1.0) == {}
    assert limits.lacking(asked, LACK_S + 1) == {}


@pytest.mark.parametrize(
    "refusal",
    [
        refused("Unsupported parameter: 'seed' is not supported with this model.", "unsupported_parameter", "seed"),
        refused("Extra inputs are not permitted", "extra_forbidden", "seed"),
        refused("Unrecognized request argument supplied: seed"),
        refused("Unsupported parameter: 'seed'. Known are temperature, top_p"),
    ],
    ids=lambda one: one.message[:30],
)
def test_a_refused_field_keeps_a_model_from_all_that_have_it(refusal: Refusal) -> None:
    limits = LearnedLimits()
    limits.learn_lack("m", {"temperature": "0", "seed": "7"}, refusal, 0.0)
    assert limits.lacking({"seed": "8"}, 1.0) == {"m": "seed"}
    assert limits.lacking({"temperature": "0"}, 1.0) == {}


def test_many_refused_values_push_out_the_oldest_and_no_new_ones() -> None:
    limits = LearnedLimits()
    for at in range(MOST_LACKS + 1):
        limits.learn_lack("m", {"seed": str(at)}, refused("Unsupported value: 'seed'"), 0.0)
    assert limits.lacking({"seed": "0"}, 1.0) == {}
    assert limits.lacking({"seed": str(MOST_LACKS)}, 1.0) == {"m": "seed"}


def test_the_field_that_is_named_first_is_meant() -> None:
    asked = {"temperature": "0", "seed": "1", "messages": "[]"}
    assert refused_field(asked, None, "seed is unsupported; use temperature") == "seed"
    assert refused_field(asked, "messages[0].content", "temperature") is None
    assert refused_field(asked, None, "no") is None
