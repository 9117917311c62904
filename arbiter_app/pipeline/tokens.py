"""How many tokens a text will be, without a tokenizer: per-script rules, on the high side, corrected by real usage.

Tokenizers differ and download their vocabularies; an estimate that is never far under is enough to keep prompts out of
windows they do not fit. The rates are upper bounds over the vocabularies of several model families (some of which spell
numbers digit by digit), measured on prose, code, data and a score of scripts. Long texts are sampled in many slices, so
that a megabyte costs a few milliseconds. What was counted is remembered by a hash: instructions are the same with every
request, and a conversation comes back whole with every turn.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Sequence
from itertools import islice

import orjson

from arbiter_app.pipeline.types import Json
from arbiter_app.policy.clearing_cache import ClearingCache

MESSAGE_TOKENS = 4
IMAGE_TOKENS = 1_100
WHOLE_CHARS = 20_000
SLICES = 50
SLICE_CHARS = 400
MARGIN = 1.08
REMEMBERED = 4_096
RATIO_RANGE = (0.5, 3.0)

# Runs of letters and digits without a word in them (base64, hashes, keys): characters a token.
_OPAQUE = re.compile(r"[A-Za-z0-9+/=]{24,}")
_OPAQUE_CHARS = 1.1
_SOLID_CHARS = 60
_DIGIT = re.compile(r"[0-9]")
# One piece is about one token: parts of words, digits, marks (with the pairs that go together), white space in runs.
_MARKS = r"\(\)|\);?|=\"|\">|\",|\":|'s\b|\{\{|\}\}|//+|==+|->|=>|\*\*+|--+|##+|\.\.+|[!-/:-@\[-`{-~]|[\r\n]{1,12}|\t{1,2}| {2,16}|[\x00-\x08\x0e-\x1f]"
_ENGLISH = re.compile(rf"[A-Z]?[a-z]{{1,7}}|[A-Z]{{1,3}}|[0-9]|{_MARKS}")
_LATIN = re.compile(rf"[A-Z]?[a-z]{{1,3}}|[A-Z]{{1,2}}|[0-9]|{_MARKS}")
_NAMES = re.compile(r"[a-z,] (?=[A-Z][a-z]{2})")
_NAME_TOKENS = 0.9
_FOREIGN_LETTERS = re.compile(r"[\u00c0-\u024f]")
_LETTERS = string.ascii_letters.encode()
_FEW_LETTERS = 40
_CODE_MARKS = b"{}()=;<>_/\\"
_STOP_WORDS = re.compile(
    r"\b(?:the|a|an|of|to|in|is|and|for|that|with|are|what|how|on|it|you|be|as|or|if|at|by|this|his|he|she)\b", re.I
)
# Tokens a character, for what is not ASCII.
_SCRIPTS = (
    (re.compile(r"[\u00a0-\u024f\u1e00-\u1eff]"), 1.0),
    (re.compile(r"[\u0250-\u03ff\u1f00-\u1fff]"), 0.9),
    (re.compile(r"[\u0400-\u052f]"), 0.5),
    (re.compile(r"[\u0530-\u08ff]"), 1.05),
    (re.compile(r"[\u0900-\u10ff]"), 1.45),
    (re.compile(r"[\u3000-\u30ff]"), 1.05),
    (re.compile(r"[\u3400-\u9fff]"), 1.6),
    (re.compile(r"[\uac00-\ud7af]"), 1.2),
    (re.compile(r"[\uff00-\uffef\u2010-\u2027]"), 1.1),
    (
        re.compile(
            r"[\u1100-\u1dff\u2000-\u200f\u2028-\u2fff\u3100-\u33ff\ua000-\uabff\ud800-\uf8ff\uf900-\ufeff\ufff0-\uffff]"
        ),
        2.7,
    ),
    (re.compile(r"[\U0001f000-\U0001faff]"), 2.7),
    (re.compile(r"[\U00010000-\U0001efff\U0001fb00-\U0010ffff]"), 4.0),
)


_MEASURED: ClearingCache[int, float] = ClearingCache(REMEMBERED)
"""By its hash: the tokens of a text, without the margin."""


def estimate_tokens(text: str) -> int:
    """Tokens of a text, at least 0.9 of what common tokenizers count, for prose, code, base64, CJK and emoji alike."""
    return math.ceil(_measured(text) * MARGIN)


def estimate_messages(messages: Sequence[Json], tools: object = None) -> int:
    """Tokens of a whole prompt: messages with their roles, images at a flat number, tool calls and definitions."""
    texts: list[str] = []
    images = 0
    for message in messages:
        images += _read(message.get("content"), texts)
        if message.get("tool_calls"):
            texts.append(_dumped(message["tool_calls"]))
    if tools:
        texts.append(_dumped(tools))
    return 3 + MESSAGE_TOKENS * len(messages) + IMAGE_TOKENS * images + math.ceil(_together(texts) * MARGIN)


class TokenRatios:
    """Real over estimated prompt tokens per model, learned from usage; starts at 1 and stays within bounds."""

    def __init__(self, memory: float = 50.0) -> None:
        self._memory = memory
        self._sums: dict[str, tuple[float, float]] = {}

    def of(self, model: str) -> float:
        """What to multiply an estimate by for this model."""
        estimated, real = self._sums.get(model, (0.0, 0.0))
        return per_estimated(real + 500.0, estimated + 500.0)

    def record(self, model: str, *, estimated: int, real: int) -> None:
        """Note one call's estimate and its reported prompt tokens."""
        if estimated <= 0 or real <= 0:
            return
        before, was = self._sums.get(model, (0.0, 0.0))
        keep = 1.0 - 1.0 / self._memory
        self._sums[model] = (before * keep + estimated, was * keep + real)


def per_estimated(real: float, estimated: float) -> float:
    """Real tokens for each that was estimated, within bounds: what a runtime states is a claim. 1 where nothing was estimated."""
    return min(RATIO_RANGE[1], max(RATIO_RANGE[0], real / estimated)) if estimated > 0 else 1.0


def _read(content: object, texts: list[str]) -> int:
    """Put a content's text into `texts`; returns how many of its parts are no text."""
    if isinstance(content, str):
        texts.append(content)
    if not isinstance(content, list):
        return 0
    others = 0
    for part in content:
        text = part.get("text") if isinstance(part, dict) else None
        if isinstance(text, str):
            texts.append(text)
        else:
            others += 1
    return others


def _dumped(value: object) -> str:
    try:
        return orjson.dumps(value).decode("utf-8", "replace")
    except TypeError:
        return str(value)


def _together(texts: Sequence[str]) -> float:
    """Tokens of several texts. Of those that were not seen lately some are measured and remembered, the others sampled as one."""
    total, left, rest = float(len(texts)), WHOLE_CHARS, []
    for text in texts:
        key = hash(text)
        known = _MEASURED.get(key)
        if known is None:
            left -= min(len(text), WHOLE_CHARS)
            if left < 0:
                rest.append(text)
                continue
            known = _MEASURED.keep(key, _measured(text))
        total += known
    return total + _measured("\n".join(rest)) if rest else total


def _measured(text: str) -> float:
    """Tokens of one text; a long one is sampled."""
    if len(text) <= WHOLE_CHARS:
        return _count(text)
    step = (len(text) - SLICE_CHARS) / (SLICES - 1)
    sample = "".join(text[round(at * step) : round(at * step) + SLICE_CHARS] for at in range(SLICES))
    return _count(sample) * len(text) / len(sample)


def _count(text: str) -> float:
    opaque = [run for run in _OPAQUE.findall(text) if _is_opaque(run)]
    total = sum(map(len, opaque)) / _OPAQUE_CHARS
    for run in opaque:
        text = text.replace(run, " ", 1)
    total += len((_LATIN if _is_foreign_latin(text) else _ENGLISH).findall(text))
    total += _NAME_TOKENS * len(_NAMES.findall(text))
    if not text.isascii():
        total += _weighed(text)
    return total


def _weighed(text: str) -> float:
    return sum(rate * len(script.findall(text)) for script, rate in _SCRIPTS)


def _is_opaque(run: str) -> bool:
    return len(run) > _SOLID_CHARS or len(_DIGIT.findall(run)) >= max(2, len(run) // 14)


def _is_foreign_latin(text: str) -> bool:
    """Whether words of Latin letters will fall into short tokens: neither English nor code."""
    if text.isascii() and len(text) < _FEW_LETTERS:
        return False
    encoded = text.encode("utf-8", "surrogatepass")
    letters = _how_many(encoded, _LETTERS)
    if not text.isascii() and len(_FOREIGN_LETTERS.findall(text)) > letters / 200:
        return True
    words = text.count(" ") + 1
    if letters < _FEW_LETTERS or _how_many(encoded, _CODE_MARKS) > letters / 40:
        return False
    enough = math.ceil(words / 20)
    return sum(1 for _ in islice(_STOP_WORDS.finditer(text), enough)) < enough


def _how_many(encoded: bytes, of: bytes) -> int:
    """How many ASCII characters of a kind a text holds, faster than any regular expression."""
    return len(encoded) - len(encoded.translate(None, of))
