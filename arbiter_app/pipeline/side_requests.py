"""Side requests: what chat front ends and agents ask for themselves beside the work, quoting the person's ask.

A title, tags, follow-up questions, a commit message, a summary to go on from. They want little, whatever is quoted in
them, so they are neither coding nor hard. Known by how the client's instructions, or the message, begin: by the role they
give, or by the first thing they ask for. What is said further down is about the work, and an ask for a program that makes
titles is work. Written after the prompts of opencode, Claude Code, Codex, Gemini CLI, Open WebUI, LibreChat, LobeChat, Zed,
Continue, Copilot, Cline, Roo and aider.
"""

from __future__ import annotations

import re

from arbiter_app.pipeline.types import ChatRequest

HEAD_CHARS = 400
"""As much of the instructions and of the message is read, and only where a cue of some kind stands in it."""

MAX_ROLES = 2
"""So many sentences that give a role are passed over on the way to the first that asks for something."""

_THING = (
    r"(?:class|function|method|hook|component|script|endpoint|api|tests?|module|library|package|plugin|extension|program|app"
    r"|application|cli|bot|tool|parser|regex|sql|query|schema|algorithm|workflow|action|service|server|handler|route"
    r"|decorator|widget|dialog|button|page|struct|interface|typescript|javascript|python|rust|golang|java|kotlin|swift|react"
    r"|vue|svelte|node(?:\.?js)?|django|flask|bash)"
)
_THINGS = re.compile(rf"\b{_THING}\b|函数|脚本|组件|程序|代码|接口")
_CLAUSE = re.compile(r"[^.:!?\n\"'`<。：]*")

# Headings, labels, tags and emphasis before the first sentence, and a header that Claude Code writes into its instructions.
_OPENING = re.compile(
    r"(?:\s|\*|#{1,6} ?(?:[a-z ]{1,40}:|[^\n]{1,60}\n)|<[^>\n]{1,80}>|(?:task|instructions?):|x-anthropic-billing-header[^\n]*\n)*+"
)
_TEXT_ONLY = "CRITICAL: Respond with TEXT ONLY"
_WITHOUT_TOOLS = re.compile(r"[^\n]{0,200}\n(?:(?:- [^\n]{0,200})?\n){0,12}+")
"""That no tool is to be called, and why: Claude Code says it before what it asks for."""
_ROLE = re.compile(r"you are\b[^.!\n]*+(?:[.!\n]|$)")
_CLAUDE = re.compile(r"you are (?:a )?claude (?:code|agent)\b")
_AT_WORK = re.compile(r"\b(?:agent|engineer|developer|programmer|coder|architect|pair[- ]programm\w+)\b")

_TALK = (
    r"(?:conversations?|chats?|threads?|sessions?|discussions?|dialogues?|(?:chat|conversation) history|messages?|requests?"
    r"|coding tasks?)"
)
_TALK_ENDS = r"(?=\s*(?:$|[.,:;!?()\n\"<]|so far\b|history\b|below\b|above\b|between\b|that\b|in\b|with\b|using\b|based\b|omitting\b))"
_THIS = (
    rf"(?:(?:this|the|an?|our|your) )?(?:(?!(?:on|about|in|of|my|and|for)\b)[\w'\u2019-]+ ){{0,3}}{_TALK}{_TALK_ENDS}"
)
_MAKE = (
    r"(?:generat(?:es?|ing)|creat(?:es?|ing)|writ(?:es?|ing)|provid(?:es?|ing)|draft(?:s|ing)?|extract(?:s|ing)?|craft(?:s|ing)?"
    r"|suggest(?:s|ing)?|give|(?:reply|respond) with|com(?:e|ing) (?:up )?with|output|produce)"
)
_ASKED = (
    r"(?:now,? )?(?:please )?(?:your (?:[\w ]{1,20} )?(?:task|job|goal) is (?:now )?to |given the following[^\n]{0,20}please "
    r"|based on [^.,\n]{0,60}, |you (?:are tasked with |are (?=coming)|(?:need|have) to |(?:must|should|will) )?)?"
)
# The words between what is to be done and to what: none of them begins another thing.
_WORDS = rf"(?:(?!(?:that|which|who|to|for|of|in|with|using|from|by|{_THING})\b)[\w'\u2019-]++,?+ ){{0,8}}?"
_A = rf"{_ASKED}{_MAKE} {_WORDS}"
_FROM_DIFFS = r"\b[^.\n]{0,60}\b(?:diffs?|changes)\b"
_ZH_TALK = r"(?:会话|对话|聊天)"

_Kind = tuple[str, tuple[str, ...], re.Pattern[str]]
"""What is asked for in words; the cues, without one of which the pattern cannot hold; the pattern, read from where a sentence begins."""

_KINDS: tuple[_Kind, ...] = tuple(
    (kind, cues, re.compile("|".join(f"(?:{one})" for one in patterns)))
    for kind, cues, patterns in (
        (
            "a title",
            ("title", "topic", "summar", "namer", "标题"),
            (
                r"you are (?:an? )?[^.\n]{0,40}\b(?:title generator|conversation summarizer|thread namer)\b",
                r"you are (?:an? )?[^.\n]{0,40}\bcrafting [\w ]{0,20}titles\b",
                rf"{_A}titles?\b[^.\n]{{0,90}}?\b(?:for|of|summari[sz]ing|summari[sz]es|describing|from|captur\w+) {_THIS}",
                rf"{_A}title \(?\d",
                r"(?:please )?analy[sz]e if this message indicates a new conversation topic\b",
                r"(?:please )?analy[sz]e this conversation and provide:?\s{1,4}1\.[^\n]{0,80}\n\s{0,20}2\. an? [\w ]{0,20}\btitle\b",
                rf"{_ASKED}summari[sz]e (?:this|the) (?:[\w'\u2019-]+ ){{0,2}}{_TALK} in (?:under )?\d+ (?:characters|words)\b",
                rf"{_ASKED}summari[sz]e (?:this|the) (?:[\w'\u2019-]+ ){{0,2}}{_TALK} (?:in)?to an? (?:[\w-]+ ){{0,3}}title\b",
                rf"(?:你是[^。\n]{{1,30}}助[理手][，,。]\s?)?(?:你需要|请)[^。\n]{{0,12}}{_ZH_TALK}[^。\n]{{0,30}}标题",
            ),
        ),
        ("tags", ("tags",), (rf"{_A}tags\b[^.\n]{{0,80}}\b(?:the|this) {_TALK}{_TALK_ENDS}",)),
        (
            "follow-up questions",
            ("follow", "[suggestion mode", "messages this user", "messages the user"),
            (
                rf"{_A}follow[- ]?up (?:questions|prompts|suggestions)\b[^.\n]{{0,120}}"
                rf"\b(?:user (?:might|may|could|would)\b|(?:this|the|our) {_TALK}{_TALK_ENDS})",
                rf"{_ASKED}predict {_WORDS}messages (?:this|the) user (?:might|may|could|would|will)\b",
                r"\[suggestion mode: ",
            ),
        ),
        (
            "search queries",
            ("search",),
            (
                r"analy[sz]e the [\w ]{1,30} to determine the necessity of generating search queries\b",
                r"based on the chat history, determine whether a search is necessary\b",
            ),
        ),
        ("a completion of what is being typed", ("autocompletion",), (r"you are an autocompletion system[.,]",)),
        (
            "a commit message",
            ("commit",),
            (
                rf"you are\b(?![^.\n]{{0,100}}\bagent\b)[^.\n]{{0,90}}\b{_MAKE} {_WORDS}git commits?\b",
                rf"{_A}commit message{_FROM_DIFFS}",
            ),
        ),
        (
            "a summary to go on from",
            ("summar", "compaction", "continuing our", "out of context"),
            (
                rf"you are\b(?![^.\n]{{0,100}}\bagent\b)[^.\n]{{0,60}}\bsummari[sz](?:es|ing) (?:[\w'\u2019-]+ ){{0,2}}{_TALK}{_TALK_ENDS}",
                r"you are\b[^.\n]{0,60}\bsummari[sz]es internal chat history\b",
                r"you are an? [\w ]{0,20}context summari[sz]ation assistant\b",
                r"you are performing a context checkpoint compaction\b",
                r"the current conversation is rapidly running out of context\b",
                rf"{_A}summary (?:of|from) (?:this|the|an?|our) (?:chat|conversation|session|thread)(?: history)?"
                r"(?=\s*(?:$|[.,:;!?\n]|so far\b|above\b|below\b|between\b|provided\b))",
                r"provide a detailed prompt for continuing our conversation\b",
                rf"(?:briefly\*? )summari[sz]e this partial {_TALK}",
                rf"{_ASKED}summari[sz]e (?:this|the) {_TALK} that will be compacted\b",
            ),
        ),
    )
)
_CUES = tuple(cue for _, cues, _ in _KINDS for cue in cues)


def side_request(request: ChatRequest) -> str:
    """What a side request asks for, in words; empty for the work itself.

    Instructions that come with tools are those of an agent at work, though its next message may be a side request.
    """
    instructions = "" if request.payload.get("tools") else request.system
    for text in (request.ask, instructions, _last_text(request)):
        if text and (found := _kind(text)):
            return found
    return ""


def _last_text(request: ChatRequest) -> str:
    """What a client has put behind the person's words, in a part of its own; empty where there is no such part."""
    content = request.messages[-1].get("content")
    if not isinstance(content, list) or len(content) < 2 or not isinstance(content[-1].get("text"), str):
        return ""
    text: str = content[-1]["text"]
    return text


def _kind(text: str) -> str:
    if text.startswith(_TEXT_ONLY):
        text = text[_end(_WITHOUT_TOOLS, text, 0) :]
    head = text[:HEAD_CHARS].lower()
    for cue in _CUES:
        if cue in head:
            return _first_asked(head, [one for one in _KINDS if any(map(head.__contains__, one[1]))])
    return ""


def _first_asked(head: str, kinds: list[_Kind]) -> str:
    """What the role, or the first thing asked for, is about; empty where that is none of these kinds."""
    at = _end(_OPENING, head, 0)
    for _ in range(MAX_ROLES + 1):
        for kind, _, pattern in kinds:
            found = pattern.match(head, at)
            if found is not None:
                return "" if _asks_for_a_thing(head, at, found.end()) else kind
        role = _ROLE.match(head, at)
        if role is None or (_AT_WORK.search(role[0]) and not _CLAUDE.match(role[0])):
            return ""
        at = _end(_OPENING, head, role.end())
    return ""


def _asks_for_a_thing(head: str, start: int, end: int) -> bool:
    """Whether the clause from `start`, found up to `end`, asks for something to be programmed. A role asks for nothing."""
    return not head.startswith("you are", start) and _THINGS.search(head, start, _end(_CLAUSE, head, end)) is not None


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()
