"""What a project's keys ask and are answered is kept where the project wants it: redacted, encrypted, for operators alone, until it expires."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import update

from arbiter_app.services import encryption, exchanges
from arbiter_app.store.tables import Content as StoredContent
from tests import databases
from tests.conftest import Running, running
from tests.stranger import Stranger, chunk, plain, stranger, stream
from tests.waiting import until

DATABASES = databases.KINDS
KEYS = {"ARBITER_CONTENT_KEYS": Fernet.generate_key().decode(), "ARBITER_JUDGE_SAMPLE": "0", "ARBITER_CACHE": "false"}
HIDDEN = "write to eve@example.com, card 4111 1111 1111 1111, ticket TCK-77, key sk-proj-abcdef0123456789"


@pytest.fixture(scope="module")
def runtime() -> Iterator[Stranger]:
    with stranger() as one:
        yield one


@pytest.fixture(scope="module")
def over(tmp_path_factory: pytest.TempPathFactory, database: str, runtime: Stranger) -> Iterator[Running]:
    """An Arbiter that can encrypt, over a runtime that says what a test wants."""
    directory: Path = tmp_path_factory.mktemp("contents")
    with running(directory, database=database, **runtime.settings, **KEYS) as one:
        yield one


@pytest.fixture
def project(over: Running, request: pytest.FixtureRequest) -> str:
    """A project of its own that keeps contents."""
    made: str = over.http.post("/v1/projects", json={"name": request.node.name}).json()["id"]
    kept = over.http.post(f"/v1/projects/{made}", json={"content_hours": 2, "redact": ["email", "card", r"TCK-\d+"]})
    assert (kept.status_code, kept.json()["content_hours"]) == (200, 2), kept.text
    return made


def key_of(over: Running, project: str) -> str:
    secret: str = over.http.post("/v1/keys", json={"project_id": project}).json()["api_key"]
    return secret


def asked(over: Running, key: str, ask: str, **fields: Any) -> str:
    """The id of the decision by which a key's question was answered."""
    with over.client(key) as caller:
        body = {"messages": [{"role": "user", "content": ask}], "arbiter_pin": "gpt-4o", **fields}
        answer = caller.post("/v1/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        found = answer.headers["x-arbiter-decision"]
    return found


def content(over: Running, decision_id: str) -> httpx.Response:
    return over.http.get(f"/v1/decisions/{decision_id}/content")


def arrived(over: Running, decision_id: str) -> dict[str, Any]:
    until(lambda: content(over, decision_id).status_code == 200)
    found: dict[str, Any] = content(over, decision_id).json()
    return found


def stored(over: Running) -> int:
    """Rows of contents in the store."""

    def count(connection: Any) -> int:
        return int(connection.exec_driver_sql("SELECT count(*) FROM content").scalar_one())

    async def counted() -> int:
        return await over.arbiter.store.read(count)

    return over.run(counted)


def test_a_question_and_its_answer_are_kept_without_what_nobody_should_see(
    over: Running, runtime: Stranger, project: str
) -> None:
    runtime.say = lambda body: plain({"role": "assistant", "content": f"I will {HIDDEN}."})
    kept = arrived(over, asked(over, key_of(over, project), HIDDEN, temperature=0.25))
    clean = "write to [email], card [card], ticket [redacted], key [key]"
    assert kept["request"]["messages"] == [{"role": "user", "content": clean}]
    assert kept["request"]["temperature"] == 0.25 and kept["answer"]["content"] == f"I will {clean}."
    assert (kept["project_id"], kept["expires"] - kept["made"]) == (project, 7200)
    logged = over.http.get("/v1/audit", params={"subject": kept["decision_id"]}).json()["data"]
    assert {row["action"] for row in logged} == {"content.read"}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/completions"])
def test_streams_of_every_dialect_are_kept(over: Running, runtime: Stranger, project: str, path: str) -> None:
    runtime.say = lambda body: stream(chunk({"content": "For"}), chunk({"content": "ty."}), chunk({}, "stop"))
    turn = {"messages": [{"role": "user", "content": "Name a number."}]}
    body = {"/v1/responses": {"input": "Name a number."}, "/v1/completions": {"prompt": "Name a number."}}.get(
        path, turn
    )
    with over.client(key_of(over, project)) as caller:
        said = {"model": "auto", "max_tokens": 50, "stream": True, **body, "arbiter_pin": "gpt-4o"}
        if path == "/v1/responses":
            del said["max_tokens"]
        answer = caller.post(path, json=said)
    assert answer.status_code == 200, answer.text
    kept = arrived(over, answer.headers["x-arbiter-decision"])
    assert kept["answer"]["content"] == "Forty." and "Name a number." in json.dumps(kept["request"]["messages"])


def test_nothing_is_kept_elsewhere_against_the_callers_word_or_of_a_failure(
    over: Running, runtime: Stranger, project: str
) -> None:
    key, elsewhere = key_of(over, project), key_of(over, "default")
    runtime.say = lambda body: plain({"role": "assistant", "content": "No."})
    left = [asked(over, elsewhere, "May this be kept?"), asked(over, key, "And this?", store=False)]
    with over.client(key) as caller:
        body = {"model": "auto", "input": "This?", "store": False, "arbiter_pin": "gpt-4o"}
        left.append(caller.post("/v1/responses", json=body).headers["x-arbiter-decision"])
        runtime.say = lambda body: (500, "application/json", b"{}")
        turn = {"messages": [{"role": "user", "content": "Fail."}], "arbiter_pin": "gpt-4o"}
        failed = caller.post("/v1/chat/completions", json=turn)
        assert failed.status_code >= 500
        left.append(failed.headers["x-arbiter-decision"])
    runtime.say = lambda body: plain({"role": "assistant", "content": "Yes."})
    arrived(over, asked(over, key, "The last one is."))
    assert [content(over, one).status_code for one in left] == [404] * 4


def test_callers_see_no_content_not_even_their_own(over: Running, runtime: Stranger, project: str) -> None:
    runtime.say = lambda body: plain({"role": "assistant", "content": "Forty."})
    key = key_of(over, project)
    decision_id = asked(over, key, "Name a number.")
    arrived(over, decision_id)
    with over.client(key) as caller:
        for method, path in (
            ("GET", f"/v1/decisions/{decision_id}/content"),
            ("DELETE", f"/v1/decisions/{decision_id}/content"),
            ("GET", "/v1/contents"),
            ("GET", "/v1/contents.jsonl"),
        ):
            assert caller.request(method, path).status_code == 403
        assert caller.post(f"/v1/decisions/{decision_id}/again", json={"model": "gpt-4o"}).status_code == 403
        assert caller.get(f"/v1/responses/{decision_id}").status_code in (400, 404)


def test_words_are_found_in_questions_and_answers(over: Running, runtime: Stranger, project: str) -> None:
    runtime.say = lambda body: plain({"role": "assistant", "content": "A Zebra, of course."})
    key = key_of(over, project)
    ids = [asked(over, key, f"Which animal has stripes, number {at}?") for at in range(3)]
    for one in ids:
        arrived(over, one)
    found = over.http.get("/v1/contents", params={"query": "zebra STRIPES", "project": project}).json()
    assert [row["decision_id"] for row in found["data"]] == ids[::-1]
    assert (found["searched"], found["next"]) == (3, None)
    assert "stripes" in found["data"][0]["excerpt"] and found["data"][0]["model"] == "gpt-4o"
    page = over.http.get("/v1/contents", params={"query": "zebra", "project": project, "limit": 2}).json()
    rest = over.http.get("/v1/contents", params={"query": "zebra", "project": project, "before": page["next"]}).json()
    assert [row["decision_id"] for row in (*page["data"], *rest["data"])] == ids[::-1]
    assert over.http.get("/v1/contents", params={"query": "zebra giraffe", "project": project}).json()["data"] == []
    assert over.http.get("/v1/contents", params={"query": "zebra", "project": "other"}).json()["data"] == []


def test_lines_of_jsonl_are_chats_as_evaluation_and_fine_tuning_want_them(
    over: Running, runtime: Stranger, project: str
) -> None:
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    runtime.say = lambda body: plain({"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls")
    key = key_of(over, project)
    first = asked(over, key, "Add one.", tools=[tool])
    runtime.say = lambda body: plain({"role": "assistant", "content": "Two."})
    last = asked(over, key, "And one more.")
    arrived(over, first)
    arrived(over, last)
    text = over.http.get("/v1/contents.jsonl", params={"project": project}).text
    newest, oldest = map(json.loads, text.splitlines())
    assert [one["role"] for one in newest["messages"]] == ["user", "assistant"]
    assert (newest["metadata"]["decision_id"], newest["metadata"]["model"]) == (last, "gpt-4o")
    assert oldest["messages"][-1]["tool_calls"] == [call] and oldest["tools"] == [tool]
    text = over.http.get("/v1/contents.jsonl", params={"project": project, "form": "fine_tuning"}).text
    assert [set(json.loads(line)) for line in text.splitlines()] == [{"messages"}, {"messages", "tools"}]
    assert over.http.get("/v1/contents.jsonl", params={"project": project, "model": "other"}).text == ""


def test_another_model_is_asked_the_same(over: Running, runtime: Stranger, project: str) -> None:
    def named(body: bytes) -> Any:
        return plain({"role": "assistant", "content": "I am " + json.loads(body)["model"]})

    runtime.say = named
    decision_id = asked(over, key_of(over, project), "Who are you?", temperature=0.5)
    kept = arrived(over, decision_id)
    second = over.http.post(f"/v1/decisions/{decision_id}/again", json={"model": "gpt-4o-mini"}).json()
    assert (kept["answer"]["content"], second["answer"]["content"]) == ("I am gpt-4o", "I am gpt-4o-mini")
    assert second["model"] == "gpt-4o-mini" and second["decision_id"] != decision_id
    again = json.loads(runtime.last)
    assert again["messages"] == kept["request"]["messages"] and again["temperature"] == 0.5
    refused = over.http.post(f"/v1/decisions/{decision_id}/again", json={"model": "nobody"})
    assert refused.status_code == 422 and "nobody" in refused.json()["error"]["message"]
    assert over.http.post("/v1/decisions/d_none/again", json={"model": "gpt-4o"}).status_code == 404


def test_less_time_holds_for_what_is_kept_already_and_none_ends_it_at_once(
    over: Running, runtime: Stranger, project: str
) -> None:
    runtime.say = lambda body: plain({"role": "assistant", "content": "Forty."})
    key = key_of(over, project)
    one = asked(over, key, "Name a number.")
    arrived(over, one)
    over.http.post(f"/v1/projects/{project}", json={"content_hours": 1})
    assert content(over, one).json()["expires"] - content(over, one).json()["made"] == 3600
    over.http.post(f"/v1/projects/{project}", json={"content_hours": 3})
    assert content(over, one).json()["expires"] - content(over, one).json()["made"] == 3600
    assert over.http.delete(f"/v1/decisions/{one}/content").json() == {"status": "removed"}
    assert over.http.delete(f"/v1/decisions/{one}/content").status_code == 404
    two = asked(over, key, "Name another.")
    arrived(over, two)
    before = stored(over)
    over.http.post(f"/v1/projects/{project}", json={"content_hours": 0})
    assert content(over, two).status_code == 404 and stored(over) == before - 1
    three = asked(over, key, "And another.")
    until(lambda: over.http.get(f"/v1/decisions/{three}").status_code == 200)
    assert content(over, three).status_code == 404 and stored(over) == before - 1


def test_it_expires(over: Running, runtime: Stranger, project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime.say = lambda body: plain({"role": "assistant", "content": "Forty."})
    one = asked(over, key_of(over, project), "Name a number.")
    expires = arrived(over, one)["expires"]
    monkeypatch.setattr(over.arbiter.exchanges, "_now", lambda: expires + 0.001)
    assert content(over, one).status_code == 404
    assert over.http.get("/v1/contents", params={"project": project}).json()["data"] == []


def test_rules_that_make_no_sense_are_refused(over: Running, project: str) -> None:
    for given in (
        {"redact": ["(unclosed"]},
        {"redact": ["x" * 201]},
        {"redact": ["email"] * 3 + [f"a{at}" for at in range(21)]},
        {"content_hours": -1},
        {"content_hours": 9e9},
    ):
        answer = over.http.post(f"/v1/projects/{project}", json=given)
        assert answer.status_code == 422, (given, answer.text)


def test_a_rule_that_takes_too_long_keeps_nothing_and_costs_the_answer_nothing(
    over: Running, runtime: Stranger, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arbiter_app.services.redaction.PATIENCE_S", 0.01)
    over.http.post(f"/v1/projects/{project}", json={"redact": ["(a|aa)+$"]})
    runtime.say = lambda body: plain({"role": "assistant", "content": "Forty."})
    before = over.arbiter.exchanges.dropped
    one = asked(over, key_of(over, project), "a" * 60 + "b")
    until(lambda: over.arbiter.exchanges.dropped == before + 1)
    assert content(over, one).status_code == 404


def test_what_there_is_no_place_for_is_not_kept(
    over: Running, runtime: Stranger, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchanges, "WAITING_BYTES", 10)
    runtime.say = lambda body: plain({"role": "assistant", "content": "Forty."})
    before = over.arbiter.exchanges.dropped
    asked(over, key_of(over, project), "Name a number.")
    assert over.arbiter.exchanges.dropped == before + 1


def test_without_a_key_to_encrypt_nothing_can_be_kept(own_gateway: Running) -> None:
    refused = own_gateway.http.post("/v1/projects/default", json={"content_hours": 1})
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "content_hours")
    assert "ARBITER_CONTENT_KEYS" in refused.json()["error"]["message"]


DAMAGED = {
    "another key": lambda body: Fernet(Fernet.generate_key()).encrypt(body),
    "junk": lambda body: b"junk",
    "nothing": lambda body: b"",
    "cut off": lambda body: zlib.compress(b"x" * 9_000)[:-9],
    "packed far too much": lambda body: zlib.compress(b"x" * 1_000_001),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_kept_and_cannot_be_read_is_said_and_can_be_deleted(
    over: Running, project: str, runtime: Stranger, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encryption, "MOST_BYTES", 1_000_000)
    runtime.say = lambda body: plain()
    decision_id = asked(over, key_of(over, project), "Hello")
    arrived(over, decision_id)
    table, encrypted = StoredContent.metadata.tables["content"], name == "another key"
    change = update(table).where(table.c.id == decision_id)
    change = change.values(body=DAMAGED[name](b"x"), encrypted=encrypted)
    over.run(lambda: over.arbiter.store.writer.call(lambda connection: connection.execute(change)))
    told = content(over, decision_id)
    assert told.status_code == 404 and "is kept, and cannot be read" in told.json()["error"]["message"], told.text
    for path in ("/v1/contents", "/v1/contents.jsonl"):
        assert over.http.get(path, params={"project": project}).status_code == 200
    assert over.http.delete(f"/v1/decisions/{decision_id}/content").status_code == 200
    assert "no content of decision" in content(over, decision_id).json()["error"]["message"]
