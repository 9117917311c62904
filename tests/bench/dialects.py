"""What a dialect costs: CPU of the gateway's process a request, by what callers and runtimes speak, beside chat completions on both sides.

    python -m tests.bench.dialects [--n 1000] [--rounds 5] [--concurrency 16] [--turns 0]

Each runtime has a gateway before it, whose models are all there; the pairs take turns in one run, plain and streamed. Every
request is another, asks the same in its dialect, and is answered by the same text in as many pieces. `--turns` puts a history
of so many tool calls, with their results, and a dozen tools into each, as agents send it. Promised: what passes untranslated costs no
more than chat does, and a translated stream at most 1.5 times; a ratio is the median of those of the rounds.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from tests.bench.__main__ import CORES, WARM, cpu_us, module, place
from tests.bench.load import posted, send_each
from tests.served import OPERATOR, Served, free_port, served

CHAT, MESSAGES, RESPONSES = "chat", "messages", "responses"
WIRES = {CHAT: "openai-chat", MESSAGES: "anthropic-messages", RESPONSES: "openai-responses"}
PATHS = {CHAT: "/v1/chat/completions", MESSAGES: "/v1/messages", RESPONSES: "/v1/responses"}
PAIRS = [(CHAT, CHAT), *((front, wire) for front in PATHS for wire in WIRES if (front, wire) != (CHAT, CHAT))]
SAME, TRANSLATED = 1.0, 1.5
MODELS = 6
TOOLS = 12
ASK = "Calculate 37 * 24"
SCHEMA = {"type": "object", "properties": {"path": {"type": "string", "description": "Where it is."}}}
READ = "def main() -> None:\n    print('hello')\n" * 20
_NUMBERS = count()
Json = dict[str, Any]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.dialects", description=__doc__)
    parser.add_argument("--n", type=int, default=1000, help="requests a run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--turns", type=int, default=0, help="tool calls in the history of a request")
    given = parser.parse_args()
    place(os.getpid(), CORES[1:])
    with ExitStack() as stack:
        port = free_port()
        place(stack.enter_context(module("tests.bench.runtime", str(port))).pid, CORES[1:])
        gateways = {wire: _gateway(stack, wire, port) for wire in WIRES}
        for stream in (False, True):
            runs: dict[tuple[str, str], list[float]] = {pair: [] for pair in PAIRS}
            for at in range(-1, given.rounds):
                for front, wire in PAIRS:
                    used = _one(gateways[wire], partial(request_of, front, stream, given.turns), given, warm=at < 0)
                    if at >= 0:
                        runs[front, wire].append(used)
            _show(runs, stream=stream)


def _gateway(stack: ExitStack, wire: str, port: int) -> Served:
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    models = [
        f'[models."m{at}"]\ninput = 0.1\noutput = 0.3\ncontext = 400_000\n[[models."m{at}".deployments]]\nruntime = "it"\n'
        for at in range(MODELS)
    ]
    runtime = f'[runtimes.it]\nbase_url = "http://127.0.0.1:{port}/v1"\ndialect = "{WIRES[wire]}"\n'
    (directory / "catalog.toml").write_text("\n".join([runtime, *models]))
    parts = dict.fromkeys(("BASELINE_MODEL", "ARBITER_CLASSIFIER_MODEL", "ARBITER_JUDGE_MODEL"), "m0")
    live = {"GATEWAY_API_KEY": "bench", "BTL_BASE_URL": f"http://127.0.0.1:{port}/v1", "ARBITER_LOG_LEVEL": "error"}
    own = {"ARBITER_CATALOG": str(directory / "catalog.toml"), "ARBITER_JUDGE_SAMPLE": "0", "ARBITER_CASCADE": "0"}
    gateway = stack.enter_context(served(directory, **live, **parts, **own))
    place(gateway.process.pid, CORES[:1])
    return gateway


def _one(gateway: Served, ask: Callable[[], bytes], given: argparse.Namespace, *, warm: bool) -> float:
    """CPU microseconds a request."""
    n, before = WARM if warm else given.n, cpu_us(gateway.process.pid)
    port = int(gateway.url.rpartition(":")[2])
    run, _ = uvloop.run(send_each(port, ask, n=n, concurrency=given.concurrency))
    if run.failed:
        raise SystemExit(f"{run.failed} of {n} requests failed")
    return (cpu_us(gateway.process.pid) - before) / n


def _show(runs: dict[tuple[str, str], list[float]], *, stream: bool) -> None:
    print("streamed" if stream else "plain")
    for (front, wire), found in runs.items():
        ratio = median(one / base for one, base in zip(found, runs[CHAT, CHAT], strict=True))
        promised = SAME if front == wire else TRANSLATED if stream else 0.0
        told = f"  promised: {promised:g}" if promised and front + wire != CHAT + CHAT else ""
        print(f"  {front:>9} -> {wire:<9} {median(found):6.0f} us CPU  {ratio:5.2f} times chat's{told}", flush=True)


def request_of(front: str, stream: bool, turns: int) -> bytes:
    """One request in a caller's dialect."""
    system = f"You are the helpful assistant number {next(_NUMBERS)}."
    asked = {"model": "auto", "stream": stream, **MADE[front](system, turns)}
    return posted(PATHS[front], OPERATOR, asked)


def _chat(system: str, turns: int) -> Json:
    messages: list[Json] = [{"role": "system", "content": system}, {"role": "user", "content": ASK}]
    for at in range(turns):
        function = {"name": "tool_0", "arguments": f'{{"path":"file_{at}.py"}}'}
        call = {"id": f"call_{at}", "type": "function", "function": function}
        messages.append({"role": "assistant", "content": f"I read file {at}.", "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"call_{at}", "content": READ})
    tools = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in _names(turns)]
    return {"messages": messages, "max_tokens": 128, **({"tools": tools} if tools else {})}


def _messages(system: str, turns: int) -> Json:
    messages: list[Json] = [{"role": "user", "content": ASK}]
    for at in range(turns):
        use = {"type": "tool_use", "id": f"call_{at}", "name": "tool_0", "input": {"path": f"file_{at}.py"}}
        result = {"type": "tool_result", "tool_use_id": f"call_{at}", "content": READ}
        said = {"type": "text", "text": f"I read file {at}."}
        messages += [{"role": "assistant", "content": [said, use]}, {"role": "user", "content": [result]}]
    tools = [{"name": name, "input_schema": SCHEMA} for name in _names(turns)]
    return {"system": system, "messages": messages, "max_tokens": 128, **({"tools": tools} if tools else {})}


def _responses(system: str, turns: int) -> Json:
    items: list[Json] = [{"role": "user", "content": ASK}]
    for at in range(turns):
        content = [{"type": "output_text", "text": f"I read file {at}."}]
        call = {"name": "tool_0", "arguments": f'{{"path":"file_{at}.py"}}'}
        items += [
            {"type": "message", "role": "assistant", "content": content},
            {"type": "function_call", "call_id": f"call_{at}", **call},
            {"type": "function_call_output", "call_id": f"call_{at}", "output": READ},
        ]
    tools = [{"type": "function", "name": name, "parameters": SCHEMA, "strict": False} for name in _names(turns)]
    return {"instructions": system, "input": items, "max_output_tokens": 128, **({"tools": tools} if tools else {})}


def _names(turns: int) -> list[str]:
    return [f"tool_{at}" for at in range(TOOLS if turns else 0)]


MADE = {CHAT: _chat, MESSAGES: _messages, RESPONSES: _responses}


if __name__ == "__main__":
    main()
