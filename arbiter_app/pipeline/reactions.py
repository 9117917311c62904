"""What the next turn of a conversation says about the last answer: what tools gave, and what the person said to it.

A reaction is a hint, read off the new request alone, within bounds, without a model. How much one is worth is learned
(`policy.agreement`), and how much one caller's may move is bounded (`Influence`).
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import orjson

from arbiter_app.pipeline.messages import content_text, latest_ask
from arbiter_app.pipeline.types import Caller, Json

TOOLS, WORDS = "next turn: tools", "next turn: words"
"""Where a reaction was seen: these are trusted apart, under these names."""
READ_MESSAGES, READ_CHARS = 16, 4_000
"""Messages of a turn that are looked at, and of each the characters at its beginning and at its end."""
SAME = 0.8
"""Share of the words that two asks have in common, from which they are the same question."""
LEAST_WORDS = 3
"""With fewer words, equal asks ("go on") are no question that is asked again."""
OPENING_CHARS = 160
"""Of what a person says, so much is about the answer before; the rest is what is wanted next."""
A_DAY = 20
"""Reactions of one caller that count, in a bucket and UTC day."""
REMEMBERED = 20_000
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Reaction:
    """How the next turn took an answer: where that was seen (`TOOLS`, `WORDS`), what it was, and what it says of the answer, 0 to 1."""

    seen_in: str
    kind: str
    score: float


_FAILED_TESTS = re.compile(
    r"\b[1-9]\d* (?:failed|failures?|errors?|tests? failed)\b|(?-i:\bFAILED\b|\bFAIL:|^FAIL\b)|\bassertion ?error\b|test result: failed",
    re.IGNORECASE | re.MULTILINE,
)
_PASSED_TESTS = re.compile(
    r"\b[1-9]\d* (?:passed|passing|tests? pass)|test result: ok|^OK\b(?: \(\d|\s*$)|all tests pass|build successful",
    re.IGNORECASE | re.MULTILINE,
)
_ERROR = re.compile(
    r"\A[\s>#*(\[-]{0,9}(?:error|fatal|exception|failed|failure|invalid|cannot|could not|unable to|permission denied)\b"
    r"|^Traceback \(most recent call last\)|\b(?:Syntax|Type|Name|Value|Key|Index|Import|Attribute|ModuleNotFound|Reference|Runtime)Error\b"
    r"|command not found|no such file or directory|(?:exit(?:ed)?(?: with)?(?: code| status)?|return ?code)\W{0,3}[1-9]\d{0,2}\b"
    r"|string (?:to replace )?(?:was )?not found|does not exist|\bpanicked at\b|segmentation fault",
    re.IGNORECASE | re.MULTILINE,
)
_COMPLAINT = re.compile(
    r"\A\W{0,9}(?:no\b(?!\s+(?:problem|worries|need))|nope|wrong|incorrect|not (?:right|correct|quite|what|true|working)"
    r"|(?:that|this|it)(?:['’]s| is| was|['’]s still| is still)? (?:wrong|incorrect|false|not (?:right|correct|true|what|it)|broken)\b"
    r"|(?:that|this|it) (?:isn['’]?t|wasn['’]?t|doesn['’]?t|does not|didn['’]?t|did not|still|fails?)\b"
    r"|doesn['’]?t work|still (?:not|broken|wrong|fail|the same|get)"
    r"|you (?:forgot|missed|ignored|misunderstood|made (?:a|an) (?:mistake|error)|didn['’]t|did not)|try (?:it )?again\b|are you sure"
    r"|das ist (?:falsch|nicht)|falsch|stimmt nicht|(?:geht|funktioniert) nicht|c['’]est faux|(?:ça|ca) ne (?:marche|fonctionne)|faux\b"
    r"|(?:eso )?(?:no es (?:correcto|así)|está mal|no funciona)|incorrecto|\U0001f44e)",
    re.IGNORECASE,
)
_PRAISE = re.compile(
    r"\A\W{0,9}(?:thanks|thank you|thx|perfect|great|excellent|awesome|brilliant|exactly|nice\b"
    r"|(?:that|this|it) (?:works|worked|helps|is (?:right|correct|perfect|great))|works (?:now|great|fine|well)"
    r"|well done|good (?:job|answer)|danke|perfekt|super\b|merci|parfait|gracias|perfecto|\U0001f44d)",
    re.IGNORECASE,
)
_BUT = re.compile(r"\b(?:but|however|except|aber|mais|pero)\b", re.IGNORECASE)
_WORD = re.compile(r"\w+")


def reaction_to_last(messages: Sequence[Json], before: int) -> Reaction | None:
    """What a request says of the answer to an earlier one of the same conversation, which had `before` messages. None where it goes on
    from something else, or says nothing of it."""
    turn = messages[before + 1 :]
    if not turn or messages[before].get("role") != "assistant" or any(one.get("role") == "assistant" for one in turn):
        return None
    turn = turn[:READ_MESSAGES]
    results = [content_text(one.get("content")) for one in turn if one.get("role") in ("tool", "function")]
    if results:
        told = [_of_result(_ends(text)) for text in results]
        worst = min(told, key=lambda one: one.score)
        return Reaction(TOOLS, worst.kind, fmean(one.score for one in told))
    return _of_words(latest_ask(list(turn)), latest_ask(list(messages[:before])))


def _of_result(text: str) -> Reaction:
    """What one tool gave."""
    if _FAILED_TESTS.search(text):
        return Reaction(TOOLS, "a test that fails", 0.1)
    if _ERROR.search(text) or _states_error(text):
        return Reaction(TOOLS, "a tool's error", 0.2)
    if _PASSED_TESTS.search(text):
        return Reaction(TOOLS, "a test that passes", 1.0)
    return Reaction(TOOLS, "a tool's result", 0.8)


def _states_error(text: str) -> bool:
    """Whether a result in JSON says that it is an error."""
    if not text.lstrip().startswith("{"):
        return False
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return isinstance(said, dict) and (
        bool(said.get("error")) or said.get("success") is False or said.get("ok") is False
    )


def _of_words(said: str, asked: str) -> Reaction | None:
    """What a person says next."""
    if _is_same(said[:READ_CHARS], asked[:READ_CHARS]):
        return Reaction(WORDS, "the same question again", 0.2)
    opening = said[:OPENING_CHARS]
    if _COMPLAINT.search(opening):
        return Reaction(WORDS, "a complaint", 0.1)
    if _PRAISE.search(opening):
        return None if _BUT.search(opening) else Reaction(WORDS, "thanks", 1.0)
    if "Traceback (most recent call last)" in _ends(said):
        return Reaction(WORDS, "an error that came of it", 0.1)
    return None


def _is_same(said: str, asked: str) -> bool:
    one, other = set(_WORD.findall(said.casefold())), set(_WORD.findall(asked.casefold()))
    return len(one) >= LEAST_WORDS and len(one & other) >= SAME * len(one | other)


def _ends(text: str) -> str:
    return text if len(text) <= 2 * READ_CHARS else f"{text[:READ_CHARS]}\n{text[-READ_CHARS:]}"


class Influence:
    """How many reactions of one caller count: `A_DAY` in a bucket and UTC day, in this process."""

    def __init__(self, *, now: Callable[[], float] = time.time, entries: int = REMEMBERED) -> None:
        self._now = now
        self._entries = entries
        self._counted: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._day = 0.0

    def takes(self, caller: Caller, bucket: str) -> bool:
        """Whether one more of this caller counts in a bucket; it is counted then."""
        day = self._now() // DAY_S
        if day != self._day:
            self._day = day
            self._counted.clear()
        key = (caller.email.casefold() or caller.line, bucket)
        counted = self._counted.pop(key, 0)
        self._counted[key] = min(counted + 1, A_DAY)
        if len(self._counted) > self._entries:
            self._counted.popitem(last=False)
        return counted < A_DAY
