"""Why an answer ended, in the words of OpenAI's chat completions, whatever a runtime calls it.

Agents go on after `tool_calls` and stop after `stop`, and strict clients read nothing else: a call that ends in `stop`, as Gemini's
and many local servers' do, would end a loop before the tool has run; `tool_calls` without a call would never end one.
"""

from __future__ import annotations

CALLS, OLD_CALL = "tool_calls", "function_call"
_OURS = frozenset({"stop", "length", "content_filter", CALLS, OLD_CALL})
_WORDS = {
    "length": (
        *("max_tokens", "max_output_tokens", "max_output", "max_length", "model_length", "token_limit", "time_limit"),
        *("model_context_window_exceeded", "context_length", "context_window_exceeded"),
    ),
    "content_filter": (
        *(
            "content_filtered",
            "safety",
            "sensitive",
            "recitation",
            "blocklist",
            "prohibited_content",
            "spii",
            "refusal",
        ),
        *("guardrail_intervened", "image_safety", "error_toxic"),
    ),
    CALLS: ("tool_call", "tool_use", "tool", "function_calls"),
}
_MEANS = {word: ours for ours, words in _WORDS.items() for word in words}
_BROKEN = frozenset(
    {
        *("error", "server_error", "network_error", "insufficient_system_resource", "abort", "aborted", "cancelled"),
        *("malformed_function_call", "unexpected_tool_call"),
    }
)
"""An answer that a runtime ends so is none."""
_AT_ITS_END = frozenset({"eos", "eos_token", "stop_token"})
"""What servers of open models call the end of an answer that is whole."""
_UNSAID = frozenset({"", "null", "none", "unspecified"})


def finish_of(stated: object, called: str = "") -> str | None:
    """OpenAI's word for why an answer ended; None while nobody says so.

    `called`: `tool_calls` or `function_call`, where the answer has one, else empty.
    """
    word = stated if isinstance(stated, str) and stated in _OURS else _word(stated)
    if word in _UNSAID:
        return None
    means = word if word in _OURS else _MEANS.get(word, "stop")
    if means in ("length", "content_filter"):
        return means
    return called or "stop"


def is_openais(stated: object) -> bool:
    """Whether it is a word of OpenAI's, or one that other runtimes of chats have for the same, and no other dialect's."""
    return isinstance(stated, str) and (_word(stated) in _OURS or _word(stated) in _AT_ITS_END)


def is_broken(stated: object) -> bool:
    """Whether the runtime says with that that it could not answer."""
    return isinstance(stated, str) and stated not in _OURS and _word(stated) in _BROKEN


def _word(stated: object) -> str:
    """What is stated, in one spelling; SGLang states an object with a type."""
    if isinstance(stated, dict):
        stated = stated.get("type")
    if not isinstance(stated, str):
        return ""
    return stated.strip().lower().replace("-", "_").replace(" ", "_").removeprefix("finish_reason_")[:60]
