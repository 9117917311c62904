"""The official `openai` package for Python, unchanged: legacy text completions of a running Arbiter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.served import OPERATOR, served
from tests.stranger import Stranger, chunk, plain, stranger, stream

PROMPT = "def double(number):\n    "
USAGE = {
    "prompt_tokens": 90,
    "completion_tokens": 6,
    "total_tokens": 96,
    "prompt_tokens_details": {"cached_tokens": 64},
}


@pytest.fixture(scope="module")
def client(base_url: str, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=base_url, api_key=key, max_retries=0) as one:
        yield one


@pytest.fixture(scope="module")
def over(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stranger, openai.OpenAI]]:
    """An Arbiter over a runtime that says what a test wants."""
    quiet = {"ARBITER_JUDGE_SAMPLE": "0", "ARBITER_CASCADE": "0"}
    with (
        stranger() as runtime,
        served(tmp_path_factory.mktemp("over"), **runtime.settings, **quiet) as one,
        openai.OpenAI(base_url=f"{one.url}/v1", api_key=OPERATOR, max_retries=0) as client,
    ):
        yield runtime, client


def told(**fields: Any) -> dict[str, Any]:
    return {"model": "auto", "prompt": PROMPT, **fields}


def test_a_completion_carries_text_usage_and_arbiter(client):
    answer = client.completions.create(**told(max_tokens=40))
    assert answer.object == "text_completion" and answer.id.startswith("cmpl-")
    assert answer.choices[0].text and answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    arbiter = answer.model_extra["arbiter"]
    assert (arbiter["task"], arbiter["difficulty"], arbiter["model"]) == ("open", "easy", answer.model)


def test_a_stream_says_the_same_in_pieces(client):
    fields = told(extra_body={"arbiter_pin": "gpt-4o"}, seed=7)
    text = client.completions.create(**fields).choices[0].text
    chunks = list(client.completions.create(**fields, stream=True, stream_options={"include_usage": True}))
    assert "".join(one.choices[0].text for one in chunks[:-1]) == text
    assert {one.object for one in chunks} == {"text_completion"} and len({one.id for one in chunks}) == 1
    assert [one.choices[0].finish_reason for one in chunks[:-1] if one.choices[0].finish_reason] == ["stop"]
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert chunks[-1].model_extra["arbiter"]["model"] == "gpt-4o"
    last = list(client.completions.create(**fields, stream=True))[-1]
    assert last.choices[0].finish_reason == "stop" and last.model_extra["arbiter"] and last.usage is None


def test_a_gap_reaches_the_model_with_both_of_its_sides(over):
    runtime, client = over
    runtime.say = lambda body: plain(
        {"role": "assistant", "content": "<think>Hm.</think>return 2 * number"}, usage=USAGE
    )
    answer = client.completions.create(
        **told(suffix="\n\nprint(double(4))", stop=["\n\n"], max_tokens=30, temperature=0.5)
    )
    asked = json.loads(runtime.last)
    system, user = asked["messages"]
    assert system["role"] == "system" and "autocompletion" in system["content"] and "gap" in system["content"]
    assert (
        f"<before_gap>{PROMPT}</before_gap>" in user["content"] and "<after_gap>\n\nprint(double(4))" in user["content"]
    )
    assert (asked["stop"], asked["max_tokens"], asked["temperature"]) == (["\n\n"], 30, 0.5)
    assert not {"prompt", "suffix", "n", "echo", "best_of", "logprobs"} & asked.keys()
    assert answer.choices[0].text == "return 2 * number"
    assert answer.usage.prompt_tokens == 90 and answer.usage.prompt_tokens_details.cached_tokens == 64


def test_a_prompt_alone_is_the_whole_message_and_may_stand_in_a_list(over):
    runtime, client = over
    runtime.say = lambda body: plain()
    client.completions.create(**told(prompt=[PROMPT], n=1, best_of=1, echo=False))
    asked = json.loads(runtime.last)
    assert asked["messages"][1]["role"] == "user" and "max_tokens" not in asked


def test_an_answer_that_was_cut_says_so(over):
    runtime, client = over
    runtime.say = lambda body: stream(chunk({"content": "ret"}), chunk({"content": "urn"}), chunk({}, "length"))
    chunks = list(client.completions.create(**told(stream=True)))
    assert (
        "".join(one.choices[0].text for one in chunks) == "return" and chunks[-1].choices[0].finish_reason == "length"
    )


def test_a_stream_that_breaks_is_an_error(over):
    runtime, client = over
    runtime.say = lambda body: stream(chunk({"content": "ret"}), b'data: {"error":{"message":"boom"}}', done=False)
    with pytest.raises(openai.APIError, match="boom"):
        list(client.completions.create(**told(stream=True)))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"logprobs": 0}, "logprobs"),
        ({"echo": True}, "echo"),
        ({"n": 2}, "n"),
        ({"best_of": 3}, "best_of"),
        ({"prompt": [1, 2, 3]}, "prompt"),
        ({"prompt": [[1, 2], [3]]}, "prompt"),
        ({"prompt": ["one", "two"]}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"suffix": 7}, "suffix"),
        ({"extra_body": {"tools": []}}, "tools"),
    ],
    ids=str,
)
def test_what_a_chat_cannot_give_is_a_clear_400(client, fields, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(**told(**fields))
    assert caught.value.param == param and caught.value.code in ("unsupported_parameter", "bad_request")


def test_a_prompt_that_fits_no_window_is_the_prompts_fault(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(**told(prompt="word " * 1_500_000))
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "prompt")
