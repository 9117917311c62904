"""A request for a text completion as a chat request: read here, and then by the door of the chat route."""

from __future__ import annotations

from typing import Any

from arbiter_app import exact_json
from arbiter_app.dialects import openai_chat
from arbiter_app.dialects.openai_responses.refusals import unsupported
from arbiter_app.dialects.strict_json import kind, load_json
from arbiter_app.pipeline.errors import BadRequest
from arbiter_app.pipeline.types import Caller, ChatRequest, Json

SYSTEM = (
    "You are an autocompletion system. {shown} Reply with the text that belongs there and nothing else: no greeting, no "
    "explanation, no quotation marks or code fence around it, nothing of what is already there. Keep to its language, style and "
    "indentation, and stop where what was begun is complete."
)
"""Begins as the instructions of clients that complete what is typed: a side request, whose answer is graded as no whole program."""
AT_END = "The user sends a text; go on from its very end. Where it asks for something, give that."
IN_MIDDLE = "The user sends a text with a gap: what stands before it, then what stands after it. Fill the gap."
GAP = "<before_gap>{}</before_gap>\n<after_gap>{}</after_gap>"
ONE_TEXT = "send one string, or a list of one"
_OWN = ("prompt", "suffix", "logprobs", "best_of", "echo", "n")
"""What a completion has and a chat has not, or not in this form."""


def parse(body: bytes, caller: Caller, request_id: str) -> ChatRequest:
    """One request. Raises BadRequest for what is no JSON object, or asks for what chats have not; Unprocessable as the chat route."""
    given = load_json(body, halves=True)
    if not isinstance(given, dict):
        raise BadRequest(f"the body must be a JSON object, not {kind(given)}", code="invalid_json")
    _refuse(given)
    prompt, suffix = _text_of(given.get("prompt")), given.get("suffix")
    if suffix is not None and not isinstance(suffix, str):
        raise BadRequest(f"suffix must be a string, not {kind(suffix)}", param="suffix")
    if not prompt.strip() and not (suffix or "").strip():
        raise BadRequest("prompt must not be empty", param="prompt")
    asked = GAP.format(prompt, suffix) if suffix else prompt
    system = SYSTEM.format(shown=IN_MIDDLE if suffix else AT_END)
    messages = [{"role": "system", "content": system}, {"role": "user", "content": asked}]

    def chat(said: Json) -> Json:
        return {**{name: value for name, value in said.items() if name not in _OWN}, "messages": messages}

    return openai_chat.translated(
        chat(given), caller, request_id, len(body), exactly=lambda: chat(exact_json.exact(body)), show_thoughts=False
    )


def _refuse(given: Json) -> None:
    """Raises BadRequest for what a chat cannot give."""
    if given.get("logprobs") is not None:
        raise unsupported("logprobs", "probabilities of a chat's tokens are no others; ask POST /v1/chat/completions")
    if given.get("echo"):
        raise unsupported("echo", "the prompt is not sent back; put it before the answer yourself")
    for name in ("n", "best_of"):
        if given.get(name) not in (None, 1) or isinstance(given.get(name), bool):
            raise unsupported(name, "one completion is made of a request; send more requests, or ask for a chat with n")
    for name in ("messages", "tools", "functions"):
        if name in given:
            raise unsupported(name, "belongs to a chat; ask POST /v1/chat/completions")


def _text_of(prompt: Any) -> str:
    """The one text that is to be completed."""
    if isinstance(prompt, str):
        return prompt
    if not isinstance(prompt, list) or not prompt:
        raise BadRequest(f"prompt must be a string, not {kind(prompt)}; {ONE_TEXT}", param="prompt")
    if isinstance(prompt[0], int | list):
        raise unsupported("prompt", f"tokens mean another text to each model; {ONE_TEXT}")
    if len(prompt) > 1:
        raise unsupported("prompt", f"{len(prompt)} prompts are as many requests; {ONE_TEXT}")
    if not isinstance(prompt[0], str):
        raise BadRequest(f"prompt must hold a string, not {kind(prompt[0])}; {ONE_TEXT}", param="prompt")
    return prompt[0]
