"""A runtime that refuses: who answers then, what the caller hears, what is remembered, and that no secret passes."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Running, running
from tests.waiting import until

KEY = "sk-runtime-0123456789abcdef"
FACT = "What is the capital of France?"
MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-4.1-mini")
Reply = tuple[int, str, bytes]


def answer(model: str) -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Paris"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 1}
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": model, "choices": [choice], "usage": usage}
    return 200, "application/json", json.dumps(body).encode()


def streamed(*frames: object) -> Reply:
    lines = [b"data: " + (frame if isinstance(frame, bytes) else json.dumps(frame).encode()) for frame in frames]
    return 200, "text/event-stream", b"".join(line + b"\n\n" for line in lines)


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def error(status: int, message: str, **fields: Any) -> Reply:
    return status, "application/json", json.dumps({"error": {"message": message, **fields}}).encode()


class Scripted:
    """A runtime whose answers are scripted by model; `calls` counts them. `*` is for all that have no script."""

    def __init__(self) -> None:
        self.says: dict[str, Reply | Callable[[dict[str, Any], str], Reply]] = {}
        self.calls: Counter[str] = Counter()
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                self.reply(200, "application/json", b'{"data": []}')

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if asked.get("max_tokens") not in (8, 32):
                    scripted.calls[asked["model"]] += 1
                said = scripted.says.get(asked["model"], scripted.says.get("*", answer(asked["model"])))
                self.reply(*(said(asked, self.headers["authorization"]) if callable(said) else said))

            def reply(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def _scripted() -> Iterator[Scripted]:
    one = Scripted()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def _live(_scripted: Scripted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    environ = {"GATEWAY_API_KEY": KEY, "BTL_BASE_URL": _scripted.url, "ARBITER_JUDGE_SAMPLE": "0"}
    with running(tmp_path_factory.mktemp("refused"), **environ) as one:
        yield one


@pytest.fixture
def runtime(_scripted: Scripted) -> Scripted:
    """A runtime that answers everything, until a test says something else."""
    _scripted.says.clear()
    _scripted.calls.clear()
    return _scripted


@pytest.fixture
def live(_live: Running, runtime: Scripted) -> Running:
    """A gateway in front of the scripted runtime that has learned nothing yet."""
    assert _live.http.post("/v1/reset").status_code == 200
    return _live


def ask(live: Running, **fields: Any) -> httpx.Response:
    return live.chat(
        fields.pop("content", FACT), **{"arbiter_models": list(MODELS), "arbiter_no_cache": True, **fields}
    )


def refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    said: dict[str, Any] = response.json()["error"]
    assert said["code"] == code, said
    assert set(said) == {"message", "type", "param", "code"}
    assert all(one is None or isinstance(one, str) for one in said.values())
    return said


GONE = error(
    404,
    "The model does not exist or you do not have access to it.",
    type="invalid_request_error",
    code="model_not_found",
)


@pytest.mark.parametrize(
    "said",
    [
        GONE,
        error(400, "/chat/completions: Invalid model name passed in model=x"),
        error(403, "no", code="model_access_denied"),
        (410, "text/plain", b""),
        error(400, "Sorry, gpt-4o is no longer offered here"),
        error(403, "Your key has no permission to use gpt-4o model"),
        (404, "application/json", b'{"fault": {"faultstring": "gpt-4o not found"}}'),
    ],
    ids=["404", "400", "403", "410", "400-by-name", "403-by-name", "404-by-name"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_is_gone_leaves_the_pool_and_another_serves(
    live: Running, runtime: Scripted, said: Reply, stream: bool
) -> None:
    runtime.says["gpt-4o"] = said
    for _ in range(20):
        assert ask(live, stream=stream).status_code == 200
    assert runtime.calls["gpt-4o"] <= 1
    rest = live.http.get("/v1/overview").json()["quarantined"].get("gpt-4o")
    if rest is None:
        assert runtime.calls["gpt-4o"] == 0
        return
    assert rest["gone"] and rest["seconds_left"] > 3_000
    until(
        lambda: [
            one
            for one in live.http.get("/v1/alerts").json()["data"]
            if (one["kind"], one["model"]) == ("gone", "gpt-4o")
        ]
    )


def test_a_model_that_is_gone_is_still_gone_after_a_restart(runtime: Scripted, tmp_path: Path) -> None:
    runtime.says["gpt-4o"] = GONE
    environ = {"GATEWAY_API_KEY": KEY, "BTL_BASE_URL": runtime.url}
    with running(tmp_path, **environ) as live:
        assert ask(live, arbiter_pin="gpt-4o", arbiter_models=None).status_code == 404
        until(lambda: [one for one in live.http.get("/v1/alerts").json()["data"] if one["kind"] == "gone"])
    with running(tmp_path, **environ) as live:
        rest = live.http.get("/v1/overview").json()["quarantined"]["gpt-4o"]
        assert rest["gone"] and rest["seconds_left"] > 3_000
        alerts = live.http.get("/v1/alerts").json()["data"]
        assert [one["kind"] for one in alerts if one["model"] == "gpt-4o"] == ["gone"]


def test_a_pinned_model_that_is_gone_is_the_callers_404(live: Running, runtime: Scripted) -> None:
    runtime.says["gpt-4o"] = GONE
    said = refused(ask(live, arbiter_pin="gpt-4o", arbiter_models=None), 404, "model_not_found")
    assert "gpt-4o" in said["message"]
    assert sum(runtime.calls.values()) == 1


def test_words_of_the_request_itself_take_no_model_out_of_the_pool(live: Running, runtime: Scripted) -> None:
    quote = "the model does not exist"
    for model in MODELS:
        runtime.says[model] = error(400, f"cannot parse: {quote}")
    assert ask(live, content=f"What does '{quote}' mean?").status_code == 502
    assert live.http.get("/v1/overview").json()["quarantined"] == {}


TOO_LONG = "This model's maximum context length is {} tokens. However, your messages resulted in {} tokens."


def test_a_prompt_that_is_too_long_goes_on_to_a_larger_window_and_the_window_is_learned(
    live: Running, runtime: Scripted
) -> None:
    for model in ("gpt-4o", "gpt-4o-mini"):
        runtime.says[model] = error(400, TOO_LONG.format(8_192, 20_000), code="context_length_exceeded")
    long = "word " * 18_000
    for _ in range(4):
        told = ask(live, content=long)
        assert told.status_code == 200, told.text
        assert told.json()["arbiter"]["model"] == "gpt-4.1-mini"
    assert runtime.calls["gpt-4o"] <= 1 and runtime.calls["gpt-4o-mini"] <= 1
    assert live.http.get("/v1/overview").json()["quarantined"] == {}


def test_a_window_that_is_not_told_is_smaller_than_what_was_refused_and_than_others(
    live: Running, runtime: Scripted
) -> None:
    """A server may have loaded the model with less than its list says, where others of that window have all of it."""
    runtime.says["gpt-4o"] = error(400, "Input is too long for requested model.")
    status, kind, body = answer("gpt-4o-mini")
    runtime.says["gpt-4o-mini"] = status, kind, body.replace(b'"prompt_tokens": 10', b'"prompt_tokens": 18001')
    for _ in range(4):
        told = ask(live, content="word " * 18_000, arbiter_models=["gpt-4o", "gpt-4o-mini"])
        assert told.status_code == 200, told.text
    assert runtime.calls["gpt-4o"] <= 1


def test_a_prompt_over_every_window_is_told_in_openais_words(live: Running, runtime: Scripted) -> None:
    runtime.says["*"] = error(400, TOO_LONG.format(8_192, 20_000), code="context_length_exceeded")
    said = refused(ask(live, content="word " * 18_000), 400, "context_length_exceeded")
    assert said["message"].startswith(TOO_LONG.format(8_192, 20_000))


@pytest.mark.parametrize("window", [0, 3, 999, 8_192, 10**15])
def test_a_window_that_cannot_be_true_is_not_believed(live: Running, runtime: Scripted, window: int) -> None:
    runtime.says["gpt-4o"] = error(400, TOO_LONG.format(window, window + 1), code="context_length_exceeded")
    assert ask(live, arbiter_models=["gpt-4o"]).status_code == 400
    runtime.says.clear()
    assert ask(live, arbiter_models=["gpt-4o"], content="word " * 18_000).status_code == 200


@pytest.mark.parametrize(
    "said",
    [
        error(429, "You exceeded your current quota", type="insufficient_quota", code="insufficient_quota"),
        error(402, "Insufficient Balance"),
        error(400, "Your credit balance is too low to access the Anthropic API."),
        error(200, "Insufficient credits", code=402),
    ],
    ids=["429", "402", "400", "200"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_empty_account_is_402_and_said_to_the_operator(
    live: Running, runtime: Scripted, said: Reply, stream: bool
) -> None:
    runtime.says["*"] = said
    told = ask(live, stream=stream)
    assert refused(told, 402, "insufficient_quota")["type"] == "insufficient_quota"
    assert "retry-after" not in told.headers
    assert "credit" in live.http.get("/health").json()["runtime"]
    until(lambda: [one for one in live.http.get("/v1/alerts").json()["data"] if one["kind"] == "out_of_credit"])
    runtime.says.clear()
    assert ask(live).status_code == 200
    assert live.http.get("/health").json()["runtime"] == "ok"


def test_an_empty_account_of_one_model_alone_is_nobodys_402(live: Running, runtime: Scripted) -> None:
    runtime.says["gpt-4o"] = error(402, "Insufficient Balance")
    assert ask(live, arbiter_models=["gpt-4o", "gpt-4o-mini"]).status_code == 200


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_never_the_callers_401(live: Running, runtime: Scripted, status: int) -> None:
    runtime.says["*"] = error(status, f"Incorrect API key provided: {KEY}", code="invalid_api_key")
    told = ask(live)
    refused(told, 502, "runtime_key_refused")
    assert KEY not in told.text and "[key]" in told.text
    assert "key" in live.http.get("/health").json()["runtime"]


@pytest.mark.parametrize(("said", "status", "code"), [
    (error(429, "Rate limit reached"), 429, "runtime_rate_limited"),
    (error(529, "Overloaded", type="overloaded_error"), 503, "runtime_overloaded"),
    (error(500, "boom"), 502, "runtime_unavailable"),
    ((999, "text/plain", b""), 502, "runtime_unavailable"),
    ((304, "text/plain", b""), 502, "runtime_unavailable"),
    ((200, "text/html", b"<html><title>Sign in</title>"), 502, "runtime_unavailable"),
    ((200, "application/json", b""), 502, "runtime_unavailable"),
    (error(400, "no", type=5, code={}, param=[1]), 400, "upstream_rejected"),
    ((400, "application/json", b'{"object":"error","message":"bad temperature","code":null}'), 400, "upstream_rejected"),
    (error(400, "filtered", code="content_filter", innererror={"code": "ResponsibleAIPolicyViolation"}), 400, "content_filter"),
])  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_what_the_caller_hears(
    live: Running, runtime: Scripted, said: Reply, status: int, code: str, stream: bool
) -> None:
    runtime.says["*"] = said
    refused(ask(live, stream=stream), status, code)
    assert live.http.get("/v1/policy").json()["buckets"] == {}


@pytest.mark.parametrize("stream", [False, True])
def test_what_another_model_signed_is_no_fault_of_the_callers(live: Running, runtime: Scripted, stream: bool) -> None:
    first = ask(live).json()["arbiter"]["model"]
    runtime.says[first] = error(400, "messages.1.content.0: Invalid `signature` in `thinking` block")
    again = ask(live, stream=stream)
    assert again.status_code == 200
    assert live.http.get("/v1/models").json()["data"]  # nobody rests for it
    assert live.arbiter.health.snapshot(time.monotonic()) == {}


def test_a_parameter_that_one_model_refuses_goes_to_another_and_is_remembered(live: Running, runtime: Scripted) -> None:
    message = "Unsupported value: 'temperature' does not support 0.2 with this model."
    for model in ("gpt-4o", "gpt-4o-mini"):
        runtime.says[model] = error(400, message, code="unsupported_value", param="temperature")
    for _ in range(4):
        assert ask(live, temperature=0.2).json()["arbiter"]["model"] == "gpt-4.1-mini"
    assert runtime.calls["gpt-4o"] <= 1 and runtime.calls["gpt-4o-mini"] <= 1
    assert (
        refused(ask(live, temperature=0.2, arbiter_models=["gpt-4o"]), 400, "unsupported_value")["param"]
        == "temperature"
    )


def test_a_value_that_one_caller_had_refused_takes_no_model_from_others(live: Running, runtime: Scripted) -> None:
    def say(asked: dict[str, Any], _: str) -> Reply:
        if asked.get("max_tokens", 0) <= 16_384:
            return answer(asked["model"])
        message = (
            f"max_tokens is too large: {asked['max_tokens']}. This model supports at most 16384 completion tokens."
        )
        return error(400, message, param="max_tokens")

    runtime.says.update(dict.fromkeys(MODELS, say))
    for model in ("gpt-4o", "gpt-4o-mini"):
        said = refused(ask(live, max_tokens=50_000, arbiter_models=[model]), 400, "upstream_rejected")
        assert said["param"] == "max_tokens"
    runtime.calls.clear()
    for _ in range(12):
        assert ask(live, max_tokens=100).status_code == 200
    assert runtime.calls["gpt-4.1-mini"] < 12


PLAIN, ENCODED, ESCAPED = KEY, base64.b64encode(KEY.encode()).decode(), "".join(f"\\u{ord(one):04x}" for one in KEY)
PLACES = ("error", "text", "frame", "late frame", "answer", "delta", "page")


@pytest.mark.parametrize(
    ("where", "said"),
    [(where, said) for where in PLACES for said in (PLAIN, ENCODED)]
    + [(where, ESCAPED) for where in ("error", "frame", "late frame")],
)
def test_the_runtimes_key_goes_nowhere(live: Running, runtime: Scripted, where: str, said: str) -> None:
    frame = b'{"error": {"message": "bad key ' + said.encode() + b'"}}'
    begun = chunk({"role": "assistant", "content": "Par"})
    runtime.says["*"] = {
        "error": (401, "application/json", frame),
        "text": (500, "text/plain", said.encode()),
        "page": (502, "text/html", b"<html><title>" + said.encode() + b"</title>"),
        "frame": streamed(frame),
        "late frame": streamed(begun, frame),
        "answer": (200, "application/json", answer("m")[2].replace(b"Paris", said.encode())),
        "delta": streamed(begun, chunk({"content": said}), chunk({}, "stop"), b"[DONE]"),
    }[where]
    told = ask(live, stream=where in ("frame", "late frame", "delta"))
    seen = told.text
    until(lambda: live.http.get("/v1/recent").json()["data"])
    for path in ("/v1/recent", "/v1/alerts", "/v1/overview", "/metrics", "/health", "/export/decisions.json"):
        seen += live.http.get(path).text
    for one in live.http.get("/v1/recent").json()["data"]:
        seen += live.http.get(f"/v1/decisions/{one['id']}").text
    assert KEY not in seen and ENCODED.rstrip("=") not in seen
    assert KEY not in json.dumps(seen).encode().decode("unicode_escape")


@pytest.mark.parametrize("key", ["x", "model", "gpt-4o", "1234", "anything", "context", "128000", "error"])
def test_a_placeholder_for_a_key_changes_no_word(runtime: Scripted, tmp_path: Path, key: str) -> None:
    with running(tmp_path, GATEWAY_API_KEY=key, BTL_BASE_URL=runtime.url) as live:
        runtime.says["*"] = error(422, "error 1234 with gpt-4o: anything but 128000 in x context", code="bad_x_value")
        said = refused(ask(live), 422, "bad_x_value")
        assert said["message"] == "error 1234 with gpt-4o: anything but 128000 in x context"


def test_an_empty_role_chunk_before_an_error_still_lets_another_model_serve(live: Running, runtime: Scripted) -> None:
    role = chunk({"role": "assistant", "content": ""})
    runtime.says["gpt-4o"] = streamed(role, {"error": {"message": "Overloaded", "code": 503}})
    runtime.says["gpt-4o-mini"] = streamed(role)
    runtime.says["gpt-4.1-mini"] = streamed(role, chunk({"content": "Paris"}), chunk({}, "stop"), b"[DONE]")
    told = ask(live, stream=True)
    assert told.status_code == 200 and '"error"' not in told.text and "Paris" in told.text
    assert told.text.count('"role":') == 1
