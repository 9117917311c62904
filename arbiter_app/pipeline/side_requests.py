"""Side requests: what chat front ends and agents ask for themselves beside the work, quoting the person's ask.

A title, tags, follow-up questions, a commit message, a summary to go on from. They want little, whatever is quoted in
them, so they are neither coding nor hard. Known by what the client's own words ask for: the beginning of its instructions,
or of the message. Written after the prompts of opencode, Claude Code, Codex, Open WebUI, LibreChat, LobeChat, Zed,
Continue, Copilot, Roo and aider.
"""

from __future__ import annotations

import re

from arbiter_app.pipeline.messages import system_prompt
from arbiter_app.pipeline.types import ChatRequest

HEAD_CHARS = 600
"""As much of the instructions and of the message is read, by a kind's pattern where one of its cues stands in it."""

_TALK = (
    r"(?:conversations?|chats?|threads?|sessions?|discussions?|dialogues?|chat history|conversation history|messages?)"
)
_TALK_ENDS = r"(?=\s*(?:$|[.,:;!?()\n\"<]|so far\b|history\b|below\b|above\b|between\b|that\b|in \d|with\b|using\b|based\b|omitting\b))"
_THIS = rf"(?:(?:this|the|a|our|your|an?)\s+)?(?:[\w-]+\s+){{0,3}}{_TALK}{_TALK_ENDS}"
_MAKE = r"(?:generat(?:e|es|ing)|creat(?:e|es|ing)|writ(?:e|es|ing)|provid(?:e|es|ing)|extract|craft(?:ing)?|suggest|give|reply with|come up with|output)"

_KINDS: tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...] = tuple(
    (kind, cues, re.compile("|".join(f"(?:{one})" for one in patterns)))
    for kind, cues, patterns in (
        (
            "a title",
            ("title", "topic", "summar", "thread namer"),
            (
                r"\byou are (?:an? )?[^.\n]{0,40}\b(?:title generator|conversation summarizer|thread namer)\b",
                rf"\b{_MAKE}\b[^.\n]{{0,80}}\btitles?\b[^.\n]{{0,60}}\b(?:for|of|summari[sz]ing|describing|from|captur\w+)\s+{_THIS}",
                rf"\b{_MAKE}\b[^.\n]{{0,60}}\btitle \(?\d",
                r"\bnew conversation topic\b",
                rf"\bsummari[sz]e (?:this|the) (?:[\w-]+ ){{0,2}}{_TALK} in (?:under )?\d+ (?:characters|words)\b",
            ),
        ),
        ("tags", ("tags",), (rf"\b{_MAKE}\b[^.\n]{{0,40}}\btags\b[^.\n]{{0,80}}\bthe {_TALK}\b",)),
        (
            "follow-up questions",
            ("follow",),
            (
                rf"\b{_MAKE}\b[^.\n]{{0,60}}\bfollow[- ]?up (?:questions?|prompts?|suggestions?)\b[^.\n]{{0,120}}\b(?:next|user|{_TALK})\b",
            ),
        ),
        ("search queries", ("search queries",), (r"\bdetermine the necessity of generating search queries\b",)),
        ("a completion of what is being typed", ("autocompletion",), (r"\byou are an autocompletion system\b",)),
        (
            "a commit message",
            ("commit",),
            (
                rf"\byou are\b[^.\n]{{0,80}}\b(?:writing|{_MAKE}|come up with)\b[^.\n]{{0,60}}\bgit commits?\b",
                rf"\b{_MAKE}\b[^.\n]{{0,60}}\bcommit messages?\b[^.\n]{{0,60}}\b(?:diffs?|changes)\b",
            ),
        ),
        (
            "a summary to go on from",
            (
                "summar",
                "compaction",
            ),
            (
                rf"\b(?:tasked with|job is|task is to)\b[^.\n]{{0,60}}\bsummar\w+\b[^.\n]{{0,20}}\b{_TALK}{_TALK_ENDS}",
                r"\bcontext checkpoint compaction\b",
                rf"\*?briefly\*? summari[sz]e this partial {_TALK}",
            ),
        ),
    )
)


def side_request(request: ChatRequest) -> str:
    """What a side request asks for, in words; empty for the work itself."""
    for text in (system_prompt(request.messages), request.ask):
        head = text[:HEAD_CHARS].lower()
        for kind, cues, pattern in _KINDS:
            if any(cue in head for cue in cues) and pattern.search(head):
                return kind
    return ""
