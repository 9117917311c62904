"""Titles, tags, summaries and the like that clients ask for beside the work: cheap, whatever they quote."""

from __future__ import annotations

import orjson
import pytest

from arbiter_app.api.parse import parse_chat
from arbiter_app.pipeline.classify import Classifier
from arbiter_app.pipeline.types import Caller, ChatRequest, Role, Task

QUOTED = "Write a Python function that sorts a list of dicts by two keys, and refactor `def main():` to use it"
HISTORY = f"<chat_history>\nUSER: {QUOTED}\nASSISTANT: ```python\ndef main(): pass\n```\n</chat_history>"

SIDE = [
    ("opencode", "You are a title generator. You output ONLY a thread title. Nothing else.\n\n<task>\nGenerate", QUOTED),
    ("opencode summary", "You are a helpful AI assistant tasked with summarizing conversations.", QUOTED),
    ("Claude Code topic", "Analyze if this message indicates a new conversation topic. If it does, extract a title", QUOTED),
    ("Claude Code title", "Summarize this coding conversation in under 50 characters.\nCapture the main task", QUOTED),
    ("Codex", "", f"You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff summary.\n{QUOTED}"),
    ("Open WebUI title", "", f"### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.\n{HISTORY}"),
    ("Open WebUI tags", "", f"### Task:\nGenerate 1-3 broad tags categorizing the main themes of the chat history, along with\n{HISTORY}"),
    ("Open WebUI follow-ups", "", f"### Task:\nSuggest 3-5 relevant follow-up questions or prompts that the user might naturally ask next\n{HISTORY}"),
    ("LibreChat", "", f"Provide a concise, 5-word-or-less title for the conversation, using title case conventions.\n{QUOTED}"),
    ("Zed title", "", "Generate a concise 3-7 word title for this conversation, omitting punctuation. Go straight to the title"),
    ("Zed commit", "You are an expert at writing Git commits. Your job is to write a short clear commit message", f"diff --git\n{QUOTED}"),
    ("Continue", "", f"Given the following, please reply with a title for the chat that is 3-4 words in length\n{QUOTED}"),
    ("Copilot", "You are an expert in crafting pithy titles for chatbot conversations. You are presented with a chat", QUOTED),
    ("aider commit", "You are an expert software engineer that generates concise, one-line Git commit messages based on the provided diffs.", QUOTED),
    ("aider summary", "*Briefly* summarize this partial conversation about programming.\nInclude less detail", QUOTED),
    ("Roo", "Your task is to create a detailed summary of the conversation so far, paying close attention", QUOTED),
]  # fmt: skip
WORK = [
    ("Write a title generator in Python", Task.CODE),
    ("Write a Python function that suggests a title for the chat window component", Task.CODE),
    ("Create a script that generates commit messages in Python", Task.CODE),
    ("Implement an autocompletion system in Rust", Task.CODE),
]


@pytest.mark.parametrize(("client", "system", "ask"), SIDE, ids=[client for client, *_ in SIDE])
def test_what_a_client_asks_for_itself_is_open_and_easy(client: str, system: str, ask: str) -> None:
    messages = [{"role": "system", "content": system}] if system else []
    found = classifier().try_rules(request_of([*messages, {"role": "user", "content": ask}]))
    assert found is not None
    assert found.rule.startswith("a side request of the client: ")
    assert (found.task, found.hard) == (Task.OPEN, False)


@pytest.mark.parametrize(("ask", "task"), WORK)
def test_work_on_such_things_is_work(ask: str, task: Task) -> None:
    system = {"role": "system", "content": "You are a coding agent. Keep commit messages short and titles clear."}
    found = classifier().try_rules(request_of([system, {"role": "user", "content": ask}]))
    assert found is not None
    assert found.task is task


def request_of(messages: list[dict[str, str]]) -> ChatRequest:
    return parse_chat(orjson.dumps({"messages": messages}), Caller("k", Role.CALLER), "r")


def classifier() -> Classifier:
    async def never(system: str, user: str) -> tuple[str, None]:
        raise AssertionError("the rules know")

    return Classifier(never)  # type: ignore[arg-type]
