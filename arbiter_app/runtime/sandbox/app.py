"""The simulated runtime as an ASGI application: OpenAI's chat route, the model list, and `/sandbox/*` to script it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from arbiter_app.pipeline.tokens import estimate_messages, estimate_tokens
from arbiter_app.pipeline.types import Json
from arbiter_app.runtime.sandbox.answers import Said, answer, judged, rng_of, task_of
from arbiter_app.runtime.sandbox.world import Fault, World

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JUDGE, CLASSIFIER = "You are Arbiter's judge", "You are Arbiter's classifier"
_ANSWER = re.compile(r"<answer>\n(.*)\n</answer>", re.DOTALL)
_WORDS = re.compile(r"\S+\s*|\s+")
WORDS_A_CHUNK = 4


class Refused(Exception):
    """The simulated runtime refuses a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class SandboxApp:
    """ASGI application over a `World`. Any bearer token is accepted."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        route = (scope["method"], scope["path"].removeprefix("/v1"))
        body = await _body(receive)
        try:
            if route == ("POST", "/chat/completions"):
                await self._chat(body, receive, send)
            elif route == ("GET", "/models"):
                await _json(send, 200, {"object": "list", "data": self._models()})
            else:
                await _json(send, 200, self._control(*route, orjson.loads(body) if body else {}))
        except Refused as refused:
            await _json(send, refused.status, _error(refused.message))
        except orjson.JSONDecodeError:
            await _json(send, 400, _error("the body is not JSON"))

    async def _chat(self, body: bytes, receive: Receive, send: Send) -> None:
        payload = orjson.loads(body)
        model = payload.get("model")
        messages = payload.get("messages")
        if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
            raise Refused(400, "messages must be a list of messages")
        if model not in self.world.catalog.models:
            raise Refused(404, f"the model {model!r} does not exist")
        self.world.calls[model] += 1
        self.world.payloads.append(payload)
        gone = asyncio.get_running_loop().create_task(_disconnected(receive))
        self.world.open_requests += 1
        work = asyncio.get_running_loop().create_task(self._serve(payload, model, send))
        try:
            await asyncio.wait((gone, work), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                self.world.hung_up += 1
        finally:
            self.world.open_requests -= 1
            gone.cancel()
            work.cancel()
            await asyncio.gather(gone, return_exceptions=True)
        with contextlib.suppress(asyncio.CancelledError):
            await work

    async def _serve(self, payload: Json, model: str, send: Send) -> None:
        fault = self.world.fault(model)
        if fault is not None and await self._fail(fault, send):
            return
        said = self._said(payload, model)
        tokens_in = estimate_messages(payload["messages"], payload.get("tools"))
        written = said.text or orjson.dumps(said.tool_calls).decode()
        tokens_out, limit = estimate_tokens(written), payload.get("max_completion_tokens") or payload.get("max_tokens")
        finish = "tool_calls" if said.tool_calls else "stop"
        if isinstance(limit, int) and tokens_out > limit and not said.tool_calls:
            said = Said(written[: max(1, limit * 4)], [], said.quality)
            tokens_out, finish = limit, "length"
        skill = self.world.skill(model)
        if self.world.latency:
            jitter = 0.8 + 0.4 * rng_of(self.world.seed, model, written).random()
            await asyncio.sleep((skill.first_ms + skill.token_ms * tokens_out) / 1000 * jitter * self.world.latency)
        usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
        answered = _Answer(payload, model, said, finish, usage, self._charges(model, tokens_in, tokens_out))
        if payload.get("stream"):
            await _stream(send, answered, fault)
        else:
            await _plain(send, answered, fault)

    def _said(self, payload: Json, model: str) -> Said:
        first = payload["messages"][0]
        system = first.get("content") if first.get("role") == "system" else ""
        if isinstance(system, str) and system.startswith(CLASSIFIER):
            asked = {"messages": [{"role": "user", "content": payload["messages"][-1].get("content")}]}
            return Said(task_of(asked)[0].value, [], 1.0)
        if isinstance(system, str) and system.startswith(JUDGE):
            found = _ANSWER.search(str(payload["messages"][-1].get("content")))
            score = judged(found.group(1) if found else "", self.world.seed)
            return Said(f'{{"score": {score}}}', [], 1.0)
        return answer(payload, model, self.world.skill(model), self.world.seed)

    def _charges(self, model: str, tokens_in: int, tokens_out: int) -> dict[str, str]:
        charge = self.world.charge_usd(model, tokens_in, tokens_out)
        benchmark = self.world.charge_usd(self.world.catalog.baseline, tokens_in, tokens_out)
        return {
            "x-btl-customer-charge": f"{charge:f}",
            "x-btl-benchmark-cost": f"{benchmark:f}",
            "x-btl-saved": f"{benchmark - charge:f}",
            "x-btl-cache-tier": "none",
        }

    async def _fail(self, fault: Fault, send: Send) -> bool:
        """Act out the part of a fault that comes before the answer; True when there will be none."""
        if fault.stall_s:
            await asyncio.sleep(fault.stall_s)
        if fault.close:
            raise ConnectionAbortedError("scripted")
        if fault.status:
            headers = {"retry-after": fault.retry_after} if fault.retry_after is not None else {}
            await _json(send, fault.status, _error(f"scripted fault {fault.status}"), headers)
            return True
        if fault.body is not None:
            await _bytes(send, 200, fault.body.encode(), {"content-type": "application/json"})
            return True
        return False

    def _models(self) -> list[Json]:
        return [
            {
                "id": model.id,
                "object": "model",
                "owned_by": "sandbox",
                "context_length": model.context_tokens,
                "pricing": {"prompt": repr(model.input_usd), "completion": repr(model.output_usd)},
            }
            for model in self.world.catalog.models.values()
        ]

    def _control(self, method: str, path: str, given: Json) -> Any:
        world = self.world
        if (method, path) == ("POST", "/sandbox/faults"):
            model = str(given.pop("model", "*"))
            if given:
                world.faults[model] = Fault(**given)
            else:
                world.faults.pop(model, None)
        elif (method, path) == ("POST", "/sandbox/prices"):
            world.multipliers[str(given["model"])] = float(given["multiplier"])
        elif (method, path) == ("POST", "/sandbox/skill"):
            world.change_skill(str(given["model"]), float(given["factor"]))
        elif (method, path) == ("POST", "/sandbox/reset"):
            world.reset()
        elif (method, path) == ("GET", "/sandbox/truth"):
            return {"truth": world.truth(), "baseline": world.catalog.baseline}
        elif (method, path) == ("GET", "/sandbox/calls"):
            payloads = list(world.payloads)
            return {"calls": world.calls, "open": world.open_requests, "hung_up": world.hung_up, "payloads": payloads}
        else:
            raise Refused(404, f"no route {method} {path}")
        return {"status": "ok"}


class _Answer:
    """A simulated answer, ready to be written whole or in chunks."""

    def __init__(
        self, payload: Json, model: str, said: Said, finish: str, usage: Json, charges: dict[str, str]
    ) -> None:
        self.payload, self.model, self.said, self.finish = payload, model, said, finish
        self.usage, self.charges = usage, charges
        digest = rng_of(0, model, orjson.dumps(payload.get("messages"))).getrandbits(60)
        self.id = f"chatcmpl-{digest:015x}"

    def body(self) -> Json:
        message: Json = {"role": "assistant", "content": self.said.text or None}
        if self.said.tool_calls:
            message["tool_calls"] = self.said.tool_calls
        choice = {"index": 0, "message": message, "finish_reason": self.finish, "logprobs": None}
        return {
            "id": self.id,
            "object": "chat.completion",
            "created": 1_750_000_000,
            "model": self.model,
            "choices": [choice],
            "usage": self.usage,
        }

    def chunks(self) -> list[Json]:
        deltas: list[Json] = [{"role": "assistant", "content": ""}]
        if self.said.tool_calls:
            call = self.said.tool_calls[0]
            function = call["function"]
            head = {
                "index": 0,
                "id": call["id"],
                "type": "function",
                "function": {"name": function["name"], "arguments": ""},
            }
            deltas.append({"tool_calls": [head]})
            text = function["arguments"]
            for at in range(0, len(text), 16):
                deltas.append({"tool_calls": [{"index": 0, "function": {"arguments": text[at : at + 16]}}]})
        words = _WORDS.findall(self.said.text)
        for at in range(0, len(words), WORDS_A_CHUNK):
            deltas.append({"content": "".join(words[at : at + WORDS_A_CHUNK])})
        made = [self._chunk([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
        made.append(self._chunk([{"index": 0, "delta": {}, "finish_reason": self.finish}]))
        options = self.payload.get("stream_options")
        if isinstance(options, dict) and options.get("include_usage"):
            cost = float(self.charges["x-btl-customer-charge"])
            made.append({**self._chunk([]), "usage": {**self.usage, "cost": cost}})
        return made

    def _chunk(self, choices: list[Json]) -> Json:
        return {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": 1_750_000_000,
            "model": self.model,
            "choices": choices,
        }


async def _plain(send: Send, answered: _Answer, fault: Fault | None) -> None:
    data = orjson.dumps(answered.body())
    headers = {"content-type": "application/json", **answered.charges}
    if fault is None or (fault.cut_after is None and not fault.drip_s):
        await _bytes(send, 200, data, headers)
        return
    head = {**headers, "content-length": str(len(data))}
    await send({"type": "http.response.start", "status": 200, "headers": _raw(head)})
    cut = len(data) if fault.cut_after is None else fault.cut_after
    for at in range(0, cut, 16):
        await send({"type": "http.response.body", "body": data[at : at + 16], "more_body": True})
        await asyncio.sleep(fault.drip_s)
    if cut < len(data):
        raise ConnectionAbortedError("scripted")
    await send({"type": "http.response.body", "body": b""})


async def _stream(send: Send, answered: _Answer, fault: Fault | None) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _raw({"content-type": "text/event-stream"})})
    chunks = answered.chunks()
    for at, chunk in enumerate(chunks):
        if fault is not None and fault.cut_after is not None and at >= fault.cut_after:
            raise ConnectionAbortedError("scripted")
        await send({"type": "http.response.body", "body": b"data: " + orjson.dumps(chunk) + b"\n\n", "more_body": True})
        if fault is not None and fault.drip_s:
            await asyncio.sleep(fault.drip_s)
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


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


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _json(send: Send, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
    await _bytes(send, status, orjson.dumps(value), {"content-type": "application/json", **(headers or {})})


async def _bytes(send: Send, status: int, data: bytes, headers: dict[str, str]) -> None:
    raw = _raw({**headers, "content-length": str(len(data))})
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": data})


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _error(message: str) -> Json:
    return {"error": {"message": message, "type": "sandbox_error", "param": None, "code": None}}
