"""Responses that are kept: gone on from, fetched, listed and deleted by the key that asked for them, and by nobody else."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from cryptography.fernet import Fernet

from tests.api.test_the_description_is_true import answer_of, check, described
from tests.conftest import OPERATOR, Running, running
from tests.stranger import STREAM, Said, Stranger, chunk, plain, stranger, stream
from tests.unit.dialects import test_responses_answers_become_chats as responses

CATALOG = """
[runtimes.gpt]
base_url = "{gpt}"
dialect = "openai-responses"
key_env = "GPT_KEY"

[models."deepseek-v4"]
input = 0.5
output = 1.5
context = 128_000

[models."gpt-5"]
input = 1.25
output = 10
context = 400_000
[[models."gpt-5".deployments]]
runtime = "gpt"
"""
KEPT = {"ARBITER_KEEP_CONTENT_HOURS": "1", "ARBITER_JUDGE_SAMPLE": "0", "ARBITER_CACHE": "false"}
FORECAST: dict[str, Any] = {"type": "function", "name": "forecast", "parameters": {"type": "object"}, "strict": False}
CALL = {"id": "c1", "type": "function", "function": {"name": "forecast", "arguments": '{"city": "Rome", "at": 1.50}'}}
CHAT = {"extra_body": {"arbiter_pin": "deepseek-v4"}}
NATIVE = {"extra_body": {"arbiter_pin": "gpt-5"}}


@pytest.fixture(scope="module")
def chats() -> Iterator[Stranger]:
    with stranger() as one:
        yield one


@pytest.fixture(scope="module")
def gpt() -> Iterator[Stranger]:
    with stranger() as one:
        yield one


@pytest.fixture(scope="module")
def over(tmp_path_factory: pytest.TempPathFactory, chats: Stranger, gpt: Stranger) -> Iterator[Running]:
    """An Arbiter that keeps responses, over a runtime of chats and one of Responses."""
    directory = tmp_path_factory.mktemp("kept")
    catalog = directory / "catalog.toml"
    catalog.write_text(CATALOG.format(gpt=gpt.url))
    parts = dict.fromkeys(("BASELINE_MODEL", "ARBITER_CLASSIFIER_MODEL", "ARBITER_JUDGE_MODEL"), "deepseek-v4")
    own = {"ARBITER_CATALOG": str(catalog), "GPT_KEY": "key-of-gpt-0123456789", "ARBITER_SIGNUP": "true"}
    with running(directory, **own, **parts, **chats.settings, **KEPT) as one:
        yield one


@pytest.fixture
def client(over: Running) -> Iterator[openai.OpenAI]:
    with client_of(over) as one:
        yield one


def client_of(over: Running, key: str = OPERATOR) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{over.url}/v1", api_key=key, max_retries=0)


def heard(runtime: Stranger) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(runtime.last)
    return body


def said(message: dict[str, Any], finish: str = "stop") -> Any:
    return lambda body: (
        stream(chunk(message), chunk({}, finish)) if json.loads(body).get("stream") else plain(message, finish)
    )


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_a_conversation_goes_on_from_what_is_kept(client: openai.OpenAI, chats: Stranger, streamed: bool) -> None:
    def ask(**fields: Any) -> Any:
        if not streamed:
            return client.responses.create(model="auto", tools=[FORECAST], **fields, **CHAT)
        events = list(client.responses.create(model="auto", tools=[FORECAST], stream=True, **fields, **CHAT))
        return events[-1].response

    chats.say = said({"role": "assistant", "content": None, "tool_calls": [{"index": 0, **CALL}]}, "tool_calls")
    first = ask(input="Weather in Rome?", instructions="Be brief.")
    assert (first.store, first.previous_response_id) == (True, None)
    chats.say = said({"role": "assistant", "content": "Sunny."})
    result = {"type": "function_call_output", "call_id": "c1", "output": "sun"}
    second = ask(input=[result], previous_response_id=first.id)
    assert second.previous_response_id == first.id
    third = ask(input="And tomorrow?", previous_response_id=second.id)
    assert [{name: value for name, value in one.items() if value is not None} for one in heard(chats)["messages"]] == [
        {"role": "user", "content": "Weather in Rome?"},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "sun"},
        {"role": "assistant", "content": "Sunny."},
        {"role": "user", "content": "And tomorrow?"},
    ], "instructions are those of the request alone"
    assert b"1.50" in chats.last, "arguments go on as they were written"
    listed = list(client.responses.input_items.list(third.id, order="asc", limit=2))
    assert [one.type for one in listed] == ["message", "function_call", "function_call_output", "message", "message"]
    newest = client.responses.input_items.list(third.id, limit=1)
    assert newest.data[0].content[0].text == "And tomorrow?" and newest.has_more  # type: ignore[union-attr]


def test_a_response_is_fetched_as_it_was_given_and_deleted_once(
    over: Running, client: openai.OpenAI, chats: Stranger
) -> None:
    chats.say = said({"role": "assistant", "content": "Paris."})
    given = client.responses.create(model="auto", input="Capital of France?", **CHAT)
    assert client.responses.retrieve(given.id).to_dict() == given.to_dict()
    document, path = described(over), "/v1/responses/{response_id}"
    for method, route in (("GET", path), ("GET", f"{path}/input_items")):
        value = over.http.request(method, route.format(response_id=given.id)).json()
        check(document, answer_of(document, method, route), value)
    client.responses.delete(given.id)
    for ask in (client.responses.retrieve, client.responses.delete, client.responses.input_items.list):
        with pytest.raises(openai.NotFoundError):
            ask(given.id)


def test_what_another_key_asked_is_not_there(over: Running, client: openai.OpenAI, chats: Stranger) -> None:
    chats.say = said({"role": "assistant", "content": "Paris."})
    given = client.responses.create(model="auto", input="A secret question", **CHAT)
    heard_before = len(chats.heard)
    with client_of(over, over.caller()) as other:
        for ask in (other.responses.retrieve, other.responses.delete, other.responses.input_items.list):
            with pytest.raises(openai.NotFoundError):
                ask(given.id)
        with pytest.raises(openai.BadRequestError) as caught:
            other.responses.create(model="auto", input="Go on", previous_response_id=given.id)
        assert (caught.value.param, caught.value.code) == ("previous_response_id", "previous_response_not_found")
        reference: Any = {"type": "item_reference", "id": given.output[0].id}
        with pytest.raises(openai.BadRequestError) as caught:
            other.responses.create(model="auto", input=[reference, {"role": "user", "content": "Go on"}])
        assert caught.value.code == "item_not_found"
    assert len(chats.heard) == heard_before and client.responses.retrieve(given.id).id == given.id


def test_what_is_not_to_be_stored_is_not(client: openai.OpenAI, chats: Stranger) -> None:
    chats.say = said({"role": "assistant", "content": "Paris."})
    given = client.responses.create(model="auto", input="Capital of France?", store=False, **CHAT)
    assert given.store is False
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(given.id)


def test_items_are_referred_to_by_their_ids(client: openai.OpenAI, chats: Stranger) -> None:
    chats.say = said({"role": "assistant", "content": "Paris."})
    given = client.responses.create(model="auto", input="Capital of France?", **CHAT)
    question: Any = {"role": "user", "content": "Capital of France?"}
    reference: Any = {"type": "item_reference", "id": given.output[0].id}
    client.responses.create(model="auto", input=[question, reference, {**question, "content": "Sure?"}], **CHAT)
    assert [one["content"] for one in heard(chats)["messages"]] == ["Capital of France?", "Paris.", "Sure?"]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_a_runtime_of_responses_need_not_keep_anything(client: openai.OpenAI, gpt: Stranger, streamed: bool) -> None:
    thought = {"id": "rs_9", "type": "reasoning", "summary": [], "encrypted_content": "gAAAA="}
    text = {"type": "output_text", "text": "Paris.", "annotations": []}
    message = {"id": "msg_9", "type": "message", "role": "assistant", "status": "completed", "content": [text]}
    answer = responses.response([thought, message])

    def say(body: bytes) -> Said:
        if not json.loads(body).get("stream"):
            return 200, "application/json", json.dumps(answer).encode()
        events = [{**one, "sequence_number": at} for at, one in enumerate(responses.events_of(answer))]
        return 200, STREAM, b"".join([b"data: %b\n\n" % json.dumps(one).encode() for one in events])

    gpt.say = say
    asked = {"model": "auto", "input": "Capital of France?", "include": ["message.output_text.logprobs"], **NATIVE}
    if streamed:
        (*_, last) = client.responses.create(stream=True, **asked)
        given = last.response
    else:
        given = client.responses.create(**asked)
    sent = heard(gpt)
    assert (sent["store"], sent["include"]) == (False, ["message.output_text.logprobs", "reasoning.encrypted_content"])
    client.responses.create(model="auto", input="Sure?", previous_response_id=given.id, **NATIVE)
    sent = heard(gpt)
    assert "previous_response_id" not in sent
    assert sent["input"] == [
        {"role": "user", "content": "Capital of France?"},
        thought,
        message,
        {"role": "user", "content": "Sure?"},
    ]


@pytest.mark.parametrize("previous", [7, ["resp_1"], {}])
def test_what_is_no_id_is_said(client: openai.OpenAI, previous: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="auto", input="Go on", previous_response_id=previous)
    assert (caught.value.param, caught.value.code) == ("previous_response_id", "invalid_type")


def test_a_conversation_beyond_the_largest_body_is_refused(tmp_path: Path) -> None:
    with (
        stranger() as chats,
        running(tmp_path, ARBITER_MAX_BODY_BYTES="20000", **chats.settings, **KEPT) as over,
        client_of(over) as client,
    ):
        chats.say = said({"role": "assistant", "content": "Paris."})
        first = client.responses.create(model="auto", input="word " * 3_000)
        with pytest.raises(openai.APIStatusError) as caught:
            client.responses.create(model="auto", input="word " * 3_000, previous_response_id=first.id)
        assert caught.value.status_code == 413


def test_an_answer_that_cannot_be_kept_goes_out(tmp_path: Path) -> None:
    with (
        stranger() as chats,
        running(tmp_path, database="sqlite", **chats.settings, **KEPT) as over,
        client_of(over) as client,
    ):
        chats.say = said({"role": "assistant", "content": "Paris."})
        assert client.responses.create(model="auto", input="Capital of France?").output_text == "Paris."
        with contextlib.closing(sqlite3.connect(tmp_path / "arbiter.db")) as other:
            other.execute("DROP TABLE content")
        assert client.responses.create(model="auto", input="Capital of France?").output_text == "Paris."
        events = list(client.responses.create(model="auto", input="Capital of France?", stream=True))
        assert events[-1].type == "response.completed"


def test_with_a_key_nothing_of_it_can_be_read_in_the_database(tmp_path: Path) -> None:
    key = Fernet.generate_key().decode()
    with (
        stranger() as chats,
        running(tmp_path, database="sqlite", ARBITER_CONTENT_KEYS=key, **chats.settings, **KEPT) as over,
        client_of(over) as client,
    ):
        chats.say = said({"role": "assistant", "content": "Paris."})
        given = client.responses.create(model="auto", input="Capital of France?")
        assert client.responses.retrieve(given.id).output_text == "Paris."
    with contextlib.closing(sqlite3.connect(tmp_path / "arbiter.db")) as stored:
        rows = stored.execute("SELECT encrypted, body FROM content").fetchall()
    assert len(rows) == 2
    for encrypted, body in rows:
        assert encrypted and Fernet(key).decrypt(body)
