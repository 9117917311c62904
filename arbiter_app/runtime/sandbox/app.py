"""The simulated runtime as a bare ASGI application: chat completions, Messages, Responses, embeddings, the model list, and `/sandbox/*`.

The server puts `abort` into the scope's extensions (see `server.py`): without it no application could break a
connection off the way a failing runtime does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

import orjson

from arbiter_app.pipeline.types import Capability, Json
from arbiter_app.runtime.sandbox import chat, messages, responses
from arbiter_app.runtime.sandbox.answers import rng_of
from arbiter_app.runtime.sandbox.control import BadControl, control
from arbiter_app.runtime.sandbox.judging import service
from arbiter_app.runtime.sandbox.making import cache_use, make_answer, refused_request
from arbiter_app.runtime.sandbox.refusal import SandboxRefusal
from arbiter_app.runtime.sandbox.vectors import embedded
from arbiter_app.runtime.sandbox.wire import SandboxAnswer
from arbiter_app.runtime.sandbox.world import Fault, World, price_usd

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

DRIP_BYTES = 16
BROKEN = "scripted fault in mid-stream"


class Form(Protocol):
    """A dialect that the sandbox speaks: a module."""

    PATH: str

    def chat_of(self, given: Json, headers: dict[str, str]) -> Json:
        """The chat request that a request means. Raises SandboxRefusal."""

    def body(self, answer: SandboxAnswer) -> bytes:
        """The whole answer."""

    def events(self, answer: SandboxAnswer, *, include_usage: bool) -> list[bytes]:
        """The answer as server-sent events."""

    def error(self, status: int, message: str, code: str | None) -> Json:
        """The body of a refusal."""

    def error_event(self, message: str) -> bytes:
        """What breaks a stream off."""


FORMS: dict[str, Form] = {form.PATH: form for form in (chat, messages, responses)}


class SandboxApp:
    """ASGI application over a `World`. Any key is accepted, and one is needed for the providers' routes."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"].removeprefix("/v1")
        body, form = await _body(receive), FORMS.get(path, chat)
        try:
            if path in (*FORMS, "/embeddings", "/models"):
                _authorise(scope)
            if method == "POST" and path in FORMS:
                await self._chat(form, body, scope, receive, send)
            elif (method, path) == ("POST", "/embeddings"):
                data, headers = embedded(_object(body))
                await _json(send, 200, data, headers)
            elif (method, path) == ("GET", "/models"):
                await _json(send, 200, {"object": "list", "data": self._models()})
            else:
                await _json(send, 200, control(self.world, method, path, _object(body or b"{}")))
        except SandboxRefusal as refused:
            await _json(send, refused.status, form.error(refused.status, refused.message, refused.code))
        except BadControl as bad:
            await _json(send, 400, chat.error(400, str(bad), None))
        except KeyError:
            await _json(send, 404, chat.error(404, f"no route {method} {path}", None))

    async def _chat(self, form: Form, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        payload = _read(form, body, headers)
        refused = refused_request(self.world, payload)
        if refused is not None:
            raise refused
        model, world = payload["model"], self.world
        found = service(payload, world.seed, world.taste)
        world.called(model, found[0] if found else "answer", payload, len(body))
        fault = world.fault(model)
        work = self._serve(form, payload, model, fault, scope, send)
        if fault is None and not world.latency:
            await work  # it waits for nothing, so nobody can hang up meanwhile
            return
        world.open_requests += 1
        try:
            if await _cut_short(work, receive):
                world.hung_up += 1
        finally:
            world.open_requests -= 1

    async def _serve(
        self, form: Form, payload: Json, model: str, fault: Fault | None, scope: Scope, send: Send
    ) -> None:
        if fault is not None and await _failed(form, fault, scope, send):
            return
        answer = make_answer(self.world, payload, model, fault, cache=cache_use(self.world, payload, model))
        skill, scale = self.world.skill(model), self.world.latency / 1000
        pace_s = 0.0
        if scale:
            jitter = 0.8 + 0.4 * rng_of(self.world.seed, answer.id).random()
            pace_s = skill.token_ms * jitter * scale
            await asyncio.sleep(skill.first_ms * jitter * scale)
        tokens = answer.usage.get("completion_tokens", 50)
        if payload.get("stream") is True:
            options = payload.get("stream_options")
            wants_usage = isinstance(options, dict) and options.get("include_usage") is True
            events = form.events(answer, include_usage=wants_usage)
            await _stream(form, scope, send, events, fault, pace_s * tokens / len(events))
            return
        if pace_s:
            await asyncio.sleep(pace_s * tokens)
        await _plain(form, scope, send, answer, fault)

    def _models(self) -> list[Json]:
        return [
            {
                "id": model.id,
                "object": "model",
                "created": 1_750_000_000,
                "owned_by": "sandbox",
                "context_length": model.context_tokens,
                "pricing": {
                    "prompt": f"{price_usd(model.input_usd):f}",
                    "completion": f"{price_usd(model.output_usd):f}",
                },
                "capabilities": {one.value: one in model.can for one in Capability},
            }
            for model in self.world.catalog.models.values()
        ]


async def _cut_short(work: Awaitable[None], receive: Receive) -> bool:
    """Do the work, or stop it when the caller hangs up; True then."""
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return False
        return True
    finally:
        working.cancel()
        gone.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def _failed(form: Form, fault: Fault, scope: Scope, send: Send) -> bool:
    """Act out the part of a fault that comes before the answer; True when there will be none."""
    if fault.stall_s:
        await asyncio.sleep(fault.stall_s)
    if fault.close:
        await _abort(scope)
    elif fault.status:
        headers = {"retry-after": fault.retry_after} if fault.retry_after is not None else {}
        await _json(send, fault.status, form.error(fault.status, f"scripted fault {fault.status}", None), headers)
    elif fault.body is not None:
        await _bytes(send, 200, fault.body.encode(), {"content-type": fault.content_type})
    else:
        return False
    return True


async def _plain(form: Form, scope: Scope, send: Send, answer: SandboxAnswer, fault: Fault | None) -> None:
    """The whole answer. Its charge is stated in a chat alone, as by runtimes of that kind."""
    data = form.body(answer)
    headers = {"content-type": "application/json", **(answer.charges if form is chat else {})}
    if fault is None or not fault.slow:
        await _bytes(send, 200, data, headers)
        return
    await _start(send, 200, {**headers, "content-length": str(len(data))})
    cut = fault.cut_after if fault.cut_after is not None else fault.error_after
    for at in range(0, len(data) if cut is None else min(cut, len(data)), DRIP_BYTES):
        await send({"type": "http.response.body", "body": data[at : at + DRIP_BYTES], "more_body": True})
        await asyncio.sleep(fault.drip_s)
    if cut is not None:
        await _abort(scope)
        return
    await send({"type": "http.response.body", "body": b""})


async def _stream(
    form: Form, scope: Scope, send: Send, events: list[bytes], fault: Fault | None, pace_s: float
) -> None:
    await _start(send, 200, {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"})
    if not pace_s and (fault is None or not fault.slow):
        await send({"type": "http.response.body", "body": b"".join(events)})
        return
    fault = fault or Fault()
    for at, event in enumerate(events):
        if fault.error_after is not None and at >= fault.error_after:
            await send({"type": "http.response.body", "body": form.error_event(BROKEN)})
            return
        if fault.cut_after is not None and at >= fault.cut_after:
            await _abort(scope)
            return
        await send({"type": "http.response.body", "body": event, "more_body": True})
        await asyncio.sleep(fault.drip_s + pace_s)
    await send({"type": "http.response.body", "body": b""})


async def _abort(scope: Scope) -> None:
    """Break the connection off, and wait until the server knows."""
    scope["extensions"]["abort"]()
    await asyncio.sleep(0.01)


def _authorise(scope: Scope) -> None:
    headers = dict(scope["headers"])
    given = headers.get(b"x-api-key") or headers.get(b"authorization", b"").removeprefix(b"Bearer ")
    if not given.strip():
        raise SandboxRefusal(401, "no API key was given", "invalid_api_key")


def _read(form: Form, body: bytes, headers: dict[str, str]) -> Json:
    """The chat request that a body means. Raises SandboxRefusal also for what no rule has thought of."""
    given = _object(body)
    try:
        return form.chat_of(given, headers)
    except (TypeError, AttributeError, LookupError, ValueError) as error:
        raise SandboxRefusal(400, f"the request is malformed: {type(error).__name__}") from error


def _object(body: bytes) -> Json:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise SandboxRefusal(400, "the body is not JSON") from error
    if not isinstance(value, dict):
        raise SandboxRefusal(400, "the body is not a JSON object")
    return value


async def _body(receive: Receive) -> bytes:
    parts, more = [], True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _json(send: Send, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
    await _bytes(send, status, orjson.dumps(value), {"content-type": "application/json", **(headers or {})})


async def _bytes(send: Send, status: int, data: bytes, headers: dict[str, str]) -> None:
    await _start(send, status, {**headers, "content-length": str(len(data))})
    await send({"type": "http.response.body", "body": data})


async def _start(send: Send, status: int, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
