"""A coding agent's whole work over the sandbox: three dialects of agents, three of the sandbox, and the model falls ill in the middle.

The agents are small loops over the official SDKs, which send back what they got as it is; their tools really read, edit and run.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from arbiter_app.catalog_file import load_catalog
from arbiter_app.runtime.sandbox import start_sandbox
from arbiter_app.runtime.sandbox.world import Fault
from tests.conftest import OPERATOR, Running, running
from tests.served import ROOT

ASK = "Change beta to gamma in notes.txt, run `cat notes.txt`, and report."
TURNS = 12
SHAPES = {"Read": ["file_path"], "Edit": ["file_path", "old_string", "new_string"], "Bash": ["command"]}
RULES = "You are a coding agent in a project of some files, and careful with each of them. " * 80
Act = Callable[[str, dict[str, Any]], str]


def schema(names: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": dict.fromkeys(names, {"type": "string"}), "required": names}


def act_in(project: Path) -> Act:
    """The tools, within a directory."""

    def act(name: str, given: dict[str, Any]) -> str:
        if name == "Bash":
            words = shlex.split(given["command"])
            return subprocess.run(words, cwd=project, capture_output=True, text=True, check=True).stdout
        file = project / given["file_path"]
        if name == "Edit":
            file.write_text(file.read_text().replace(given["old_string"], given["new_string"]))
            return "edited"
        return file.read_text()

    return act


def over_messages(url: str, act: Act) -> str:
    tools: Any = [{"name": name, "input_schema": schema(names)} for name, names in SHAPES.items()]
    system: Any = [{"type": "text", "text": RULES, "cache_control": {"type": "ephemeral"}}]
    history: Any = [{"role": "user", "content": ASK}]
    asked: Any = {
        "model": "auto",
        "max_tokens": 4_000,
        "system": system,
        "tools": tools,
        "thinking": {"type": "adaptive"},
    }
    with anthropic.Anthropic(base_url=url, api_key=OPERATOR, max_retries=0) as client:
        for _ in range(TURNS):
            with client.messages.stream(messages=history, **asked) as events:
                said = events.get_final_message()
            history.append(said.to_param())
            calls = [one for one in said.content if one.type == "tool_use"]
            if not calls:
                return "".join(one.text for one in said.content if one.type == "text")
            results = [
                {"type": "tool_result", "tool_use_id": one.id, "content": act(one.name, dict(one.input))}
                for one in calls
            ]
            history.append({"role": "user", "content": results})
    raise AssertionError("it did not come to an end")


def over_responses(url: str, act: Act) -> str:
    tools: Any = [
        {"type": "function", "name": name, "parameters": schema(names), "strict": False}
        for name, names in SHAPES.items()
    ]
    history: Any = [{"role": "user", "content": ASK}]
    asked: Any = {"model": "auto", "instructions": RULES, "tools": tools, "store": False}
    asked |= {"include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low"}}
    with openai.OpenAI(base_url=f"{url}/v1", api_key=OPERATOR, max_retries=0) as client:
        for _ in range(TURNS):
            with client.responses.stream(input=history, **asked) as events:
                said = events.get_final_response()
            history += [one.to_dict() for one in said.output]
            calls = [one for one in said.output if one.type == "function_call"]
            if not calls:
                return said.output_text
            for one in calls:
                output = act(one.name, json.loads(one.arguments))
                history.append({"type": "function_call_output", "call_id": one.call_id, "output": output})
    raise AssertionError("it did not come to an end")


def over_chat(url: str, act: Act) -> str:
    tools: Any = [
        {"type": "function", "function": {"name": name, "parameters": schema(names)}} for name, names in SHAPES.items()
    ]
    history: Any = [{"role": "system", "content": RULES}, {"role": "user", "content": ASK}]
    with openai.OpenAI(base_url=f"{url}/v1", api_key=OPERATOR, max_retries=0) as client:
        for _ in range(TURNS):
            asked: Any = {"model": "auto", "messages": history, "tools": tools, "reasoning_effort": "low"}
            with client.chat.completions.stream(**asked) as events:
                said = events.get_final_completion().choices[0].message
            history.append(said.to_dict())
            if not said.tool_calls:
                return str(said.content)
            for one in said.tool_calls:
                output = act(one.function.name, json.loads(one.function.arguments))
                history.append({"role": "tool", "tool_call_id": one.id, "content": output})
    raise AssertionError("it did not come to an end")


@pytest.fixture(scope="module", params=["openai-chat", "anthropic-messages", "openai-responses"])
def over(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = {"ARBITER_SANDBOX_DIALECT": request.param, "ARBITER_JUDGE_SAMPLE": "0"}
    with running(tmp_path_factory.mktemp("over"), **settings) as one:
        yield one


@pytest.mark.parametrize("agent", [over_chat, over_messages, over_responses])
def test_the_work_is_done_although_the_model_falls_ill(
    over: Running, tmp_path: Path, agent: Callable[[str, Act], str]
) -> None:
    over.http.post("/v1/reset")
    over.world.reset()
    notes = tmp_path / "notes.txt"
    notes.write_text("alpha\nbeta\n")
    tools, did = act_in(tmp_path), []

    def act(name: str, given: dict[str, Any]) -> str:
        did.append(name)
        if len(did) == 2:
            over.world.faults[str(over.world.payloads[-1]["model"])] = Fault(status=500)
        return tools(name, given)

    report = agent(over.url, act)
    assert (did, notes.read_text()) == (["Read", "Edit", "Bash"], "alpha\ngamma\n")
    assert "changed beta to gamma in notes.txt" in report and "alpha\ngamma" in report
    rows = over.http.get("/v1/recent?limit=100").json()["data"]
    assert {row["status"] for row in rows} == {"ok"} and len({row["model"] for row in rows}) >= 2
    assert [row for row in rows if row["failover_from"]] and over.world.cached_tokens > 0
    assert all(row["cost"] for row in rows)


def test_one_sandbox_serves_three_runtimes_as_the_docs_say(tmp_path: Path) -> None:
    page = (ROOT / "arbiter_app/web/content/configuration.md").read_text()
    example = next(one for one in page.split("```toml\n") if one.startswith("[runtimes.messages]")).partition("```")[0]
    sandbox = start_sandbox(load_catalog(None, baseline="gpt-4o"), latency=0)
    catalog = tmp_path / "catalog.toml"
    catalog.write_text(example.replace("http://127.0.0.1:9000/v1", sandbox.url))
    models = {"gpt-4o-mini": "btl", "gpt-4.1-mini": "messages", "gpt-4o": "responses"}
    parts = dict.fromkeys(("ARBITER_CLASSIFIER_MODEL", "ARBITER_JUDGE_MODEL"), "gpt-4o-mini")
    own = {"BTL_BASE_URL": sandbox.url, "GATEWAY_API_KEY": "any-word", "ARBITER_CATALOG": str(catalog), **parts}
    try:
        with running(tmp_path, **own) as over:
            for model, runtime in models.items():
                for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses"):
                    asked = {"messages": [{"role": "user", "content": "What is 17 * 23?"}], "max_tokens": 500}
                    asked = {"input": "What is 17 * 23?"} if path.endswith("responses") else asked
                    told = over.http.post(path, json={**asked, "arbiter_pin": model, "arbiter_no_cache": True}).json()
                    assert (told["arbiter"]["model"], told["arbiter"]["runtime"]) == (model, runtime), told
                    assert "17 * 23" in json.dumps(told)
    finally:
        sandbox.stop()
