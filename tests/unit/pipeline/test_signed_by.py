"""What is known to be signed by other models does not go to a model, and nothing goes out with the name of its maker."""

from __future__ import annotations

import json
from typing import Any

from arbiter_app.pipeline.signed import signed_by

OWN = {"type": "reasoning.encrypted", "data": "own", "made_by": "m"}
OTHERS = {"type": "reasoning.encrypted", "data": "others", "made_by": "n"}
NOBODYS = {"type": "reasoning.encrypted", "data": "unknown"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"made_by": 1.10}'}}
EXTRA = {"google": {"thought_signature": "s"}}


def told(*messages: dict[str, Any], model: str = "m") -> tuple[list[dict[str, Any]], bool] | None:
    found = signed_by({model}, json.dumps(messages))
    return None if found is None else (json.loads(found[0]), found[1])


def test_details_of_the_model_stay_and_those_of_others_go() -> None:
    bare = [{name: value for name, value in one.items() if name != "made_by"} for one in (OWN, NOBODYS)]
    answer = {"role": "assistant", "content": "A"}
    assert told({**answer, "reasoning_details": [OWN, OTHERS, NOBODYS]}) == (
        [{**answer, "reasoning_details": bare}],
        True,
    )
    assert told({**answer, "reasoning_details": [OTHERS]}) == ([answer], True)
    assert told({**answer, "reasoning_details": [OWN]}) == ([{**answer, "reasoning_details": bare[:1]}], False)


def test_what_stands_beside_a_call_goes_where_another_made_it() -> None:
    answer = {"role": "assistant", "content": None}
    call = {**CALL, "extra_content": EXTRA, "made_by": "m"}
    kept = {**answer, "tool_calls": [{**CALL, "extra_content": EXTRA}, CALL]}
    assert told({**answer, "tool_calls": [call, CALL]}) == ([kept], False)
    assert told({**answer, "tool_calls": [call, CALL]}, model="n") == ([{**answer, "tool_calls": [CALL, CALL]}], True)


def test_a_history_in_which_nobody_is_named_is_not_touched() -> None:
    assert told({"role": "assistant", "content": 'a "made_by": "m" in words', "tool_calls": [CALL]}) is None
    assert told({"role": "assistant", "reasoning_details": [NOBODYS]}) is None
