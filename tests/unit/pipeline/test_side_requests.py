"""Titles, tags, summaries and the like that clients ask for beside the work: cheap, whatever they quote."""

from __future__ import annotations

from functools import partial

import orjson
import pytest

from arbiter_app.dialects.openai_chat import parse
from arbiter_app.pipeline.classify import Classifier
from arbiter_app.pipeline.side_requests import side_request
from arbiter_app.pipeline.types import Caller, ChatRequest, Role, Task
from tests.clock import least_cpu_s

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
    ("Cline title", "You generate very short titles for coding tasks. Given a task description, produce a concise title", QUOTED),
    ("Cline title in the ask", "", f"Generate a short title (3-6 words, no quotes) that summarizes this coding task: {QUOTED}"),
    (
        "Cline condense",
        "",
        '<explicit_instructions type="summarize_task">\nThe current conversation is rapidly running out of context. Now, your '
        "urgent task is to create a comprehensive detailed summary of the conversation so far",
    ),
    ("Roo condense", "You are a helpful AI assistant tasked with summarizing conversations.", f"Summarize this. {QUOTED}"),
    (
        "LibreChat, two things",
        "",
        "Analyze this conversation and provide:\n1. The detected language of the conversation\n2. A concise title in the "
        f"detected language (5 words or less)\n\n{QUOTED}",
    ),
    ("LibreChat, older", "", f"Write a concise title for this conversation in the detected language. No Punctuation.\n{QUOTED}"),
    ("LobeChat", "You are a professional conversation summarizer. Generate a concise title that captures the essence", QUOTED),
    ("LobeChat, older", "You are an assistant who is good at conversation. You need to summarize the user's conversation into a title", QUOTED),
    ("LobeChat in Chinese", "你是一名擅长会话的助理，你需要将用户的会话总结为 10 个字以内的标题", QUOTED),
    ("Zed summary", "", "Generate a detailed summary of this conversation. Include:\n1. A brief overview of what was discussed"),
    ("Gemini CLI", "You are the component that summarizes internal chat history into a given structure.\n\nWhen", QUOTED),
    (
        "Open WebUI follow-ups, 0.12",
        "",
        f"### Task:\nPredict 3-5 useful messages this user might naturally send next to advance their current objective.\n{HISTORY}",
    ),
    (
        "Open WebUI compaction",
        "",
        f"### Task:\nSummarize the conversation history that will be compacted out of the active chat context.\n{HISTORY}",
    ),
    ("Open WebUI autocomplete", "", f"### Task:\nYou are an autocompletion system. Continue the text in `<text>` based on\n{QUOTED}"),
    (
        "Open WebUI search",
        "",
        "### Task:\nAnalyze the chat history to determine the necessity of generating search queries, in the given language."
        f"\n{HISTORY}",
    ),
    ("Open WebUI search, older", "", f"Based on the chat history, determine whether a search is necessary\n{HISTORY}"),
    ("Open WebUI title, older", "", f"Create a concise, 3-5 word title with an emoji as a title for the chat history\n{HISTORY}"),
    ("Open WebUI tags, one line", "", f"### Task: Generate 1-3 broad tags categorizing the main themes of this conversation.\n{HISTORY}"),
    (
        "Claude Code topic after its name",
        "You are Claude Code, Anthropic's official CLI for Claude.\nAnalyze if this message indicates a new conversation topic.",
        QUOTED,
    ),
    (
        "Claude Code session title",
        "x-anthropic-billing-header: cc_version=2.1;\nYou are a Claude agent, built on Anthropic's Claude Agent SDK.\n"
        "Generate a concise, sentence-case title (3-7 words) that captures the main topic or goal of this coding session.",
        QUOTED,
    ),
    ("Claude Code branch", "You are coming up with a succinct title and git branch name for a coding session based on", QUOTED),
    ("Claude Code title in the ask", "", f"Please write a 5-10 word title for the following conversation:\n{QUOTED}"),
    ("Claude Code compaction", "", f"Your task is to create a detailed summary of the conversation so far, paying close\n{QUOTED}"),
    ("Claude Code suggestion", "", "[SUGGESTION MODE: Suggest what the user might naturally type next into Claude Code.]"),
    ("opencode compaction", "You are an anchored context summarization assistant for coding sessions.\n\nSummarize only", QUOTED),
    ("opencode compaction in the ask", "", "Provide a detailed prompt for continuing our conversation above. Focus on information"),
    ("opencode anchor", "", f"Create a new anchored summary from the conversation history above.\n{QUOTED}"),
    ("Copilot commit", "You are an AI programming assistant, helping a software developer to come with the best git commit message for", QUOTED),
    ("a generic title", "You are a helpful assistant. Your task is to generate a short, simple title for the conversation.", QUOTED),
]  # fmt: skip
OPENCODE = "You are opencode, a coding agent. Write concise commit messages for the changes you make."
AGENT = "You are a coding agent. Keep commit messages short and titles clear."
SORT = "Write a Python function that sorts a list of dicts by two keys"
WORK = [
    (AGENT, "Write a title generator in Python", Task.CODE),
    (AGENT, "Write a Python function that suggests a title for the chat window component", Task.CODE),
    (AGENT, "Create a script that generates commit messages in Python", Task.CODE),
    (AGENT, "Implement an autocompletion system in Rust", Task.CODE),
    (AGENT, "Write a class that generates a title for the conversation using an LLM, in TypeScript", Task.CODE),
    (AGENT, "Write a Python hook that generates a commit message from the diff", Task.CODE),
    (AGENT, "Write a React component to suggest 3 follow-up questions the user might ask next", Task.CODE),
    (AGENT, "Create an API endpoint that returns a concise title for this conversation", Task.CODE),
    (AGENT, "Generate a title for the conversation using a Python script", Task.CODE),
    (AGENT, "Write unit tests in Python for a commit message from the diff", Task.CODE),
    (AGENT, "Write a SQL query that extracts the tags of the chat threads", Task.CODE),
    (AGENT, "Write a script in Python to generate a commit message from the staged changes", Task.CODE),
    (AGENT, "Write a program that summarizes the conversation in under 50 words, in Go", Task.CODE),
    (AGENT, "Write a summary of the conversation class in Java that a component can render", Task.CODE),
    (AGENT, 'Write a Python function that sends "Generate a concise title for this conversation." to a model', Task.CODE),
    (AGENT, "Implement context checkpoint compaction in Rust: create a summary of the conversation so far", Task.CODE),
    (AGENT, "写一个 Python 函数，将用户的会话总结为标题\n```python\ndef title(chat): ...\n```", Task.CODE),
    ("", "Write a title and an abstract for my paper on chats", Task.OPEN),
    ("", "Suggest tags for my blog post about the chat industry", Task.OPEN),
    ("", "Suggest 3 follow-up questions for my user interview", Task.OPEN),
    ("", "Create a follow-up question flow for the chat", Task.OPEN),
    ("", "Create a summary of the discussion in chapter 3 and criticise the proof", Task.OPEN),
    (OPENCODE, SORT, Task.CODE),
    ("You are a coding agent. Generate a title for the conversation first, then do the work.", SORT, Task.CODE),
    ("You are an expert software engineer. Write a commit message for the changes when done.", SORT, Task.CODE),
    ("You are a helpful assistant. Summaries of the conversation are in English.", SORT, Task.CODE),
    ("You are a helpful assistant. Be brief. Suggest follow-up questions the user might ask next.", SORT, Task.CODE),
    ("You are a coding agent that writes code, a git commit message and a title for the conversation.", SORT, Task.CODE),
    ("You are a senior engineer.\n\n# Summaries\nYour task is to create a summary of the conversation when asked.", SORT, Task.CODE),
    ("Answer questions about Git. Write a commit message for the changes if asked.", SORT, Task.CODE),
]  # fmt: skip


@pytest.mark.parametrize(("client", "system", "ask"), SIDE, ids=[client for client, *_ in SIDE])
def test_what_a_client_asks_for_itself_is_open_and_easy(client: str, system: str, ask: str) -> None:
    found = classifier().try_rules(request_of(system, ask))
    assert found is not None
    assert found.rule.startswith("a side request of the client: ")
    assert (found.task, found.hard) == (Task.OPEN, False)


@pytest.mark.parametrize(("system", "ask", "task"), WORK)
def test_work_on_such_things_is_work(system: str, ask: str, task: Task) -> None:
    request = request_of(system, ask)
    assert side_request(request) == ""
    found = classifier().try_rules(request)
    assert found is None or found.task is task


def test_instructions_beside_tools_are_those_of_an_agent_at_work() -> None:
    system, tools = "Generate a title for the conversation.", [{"type": "function", "function": {"name": "edit"}}]
    assert side_request(request_of(system, SORT)) == "a title"
    assert side_request(request_of(system, SORT, tools=tools)) == ""
    compaction = "Your task is to create a detailed summary of the conversation so far"
    assert side_request(request_of(system, compaction, tools=tools)) == "a summary to go on from"


COMPACTION = (
    "CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.\n\n- Do NOT use Read, Bash, Grep, Glob, Edit, Write, or ANY other tool.\n"
    "- You already have all the context you need in the conversation above.\n- Tool calls will be REJECTED and will waste your only turn \u2014 you "
    "will fail the task.\n- Your entire response must be plain text: an <analysis> block followed by a <summary> block.\n\n"
    "Your task is to create a detailed summary of the conversation so far, paying close attention to the user's explicit requests"
)
"""How Claude Code 2.1.332 asks for it."""


@pytest.mark.parametrize("before", [[], ["Write a Python function that sorts.\n"]])
def test_a_compaction_behind_the_words_of_the_person_is_one(before: list[str]) -> None:
    tools = [{"type": "function", "function": {"name": "edit"}}]
    parts = [{"type": "text", "text": one} for one in [*before, COMPACTION]]
    assert side_request(request_of("You are Claude Code.", parts, tools=tools)) == "a summary to go on from"
    parts.append({"type": "text", "text": SORT})
    assert side_request(request_of("You are Claude Code.", parts, tools=tools)) == (
        "" if before else "a summary to go on from"
    )


def test_reading_is_quick_whatever_stands_at_the_beginning() -> None:
    hostile = [
        "write a title " + "very " * 200,
        "you are " * 200 + "title summar commit",
        "# title\n" * 200,
        "<title>" * 200,
        "generate " + "a-title, " * 200 + "for this " + "chat " * 99,
        "generate title summarizing " + "the " * 300,
        "CRITICAL: Respond with TEXT ONLY\n" + "- no\n" * 5_000 + "\n" * 5_000,
    ]
    for text in hostile:
        request = request_of(text, text)
        assert least_cpu_s(partial(side_request, request)) < 0.002


def request_of(system: str, ask: object, **more: object) -> ChatRequest:
    messages = [{"role": "system", "content": system}] if system else []
    body = {"messages": [*messages, {"role": "user", "content": ask}], **more}
    return parse(orjson.dumps(body), Caller("k", Role.CALLER), "r")


def classifier() -> Classifier:
    async def never(system: str, user: str) -> tuple[str, None]:
        raise AssertionError("the rules know")

    return Classifier(never)  # type: ignore[arg-type]
