"""Simulated prose: sentences of substance mixed with filler. The share of substance is the quality of the text."""

from __future__ import annotations

import random
import re

_SUBSTANCE = (
    "The main point is that {topic} depends on a few measurable conditions.",
    "A concrete example makes this clear: compare two cases that differ in one respect.",
    "The strongest evidence comes from repeated observation rather than from opinion.",
    "In practice this means starting small, measuring, and keeping what works.",
    "One common misunderstanding is worth naming, because it reverses cause and effect.",
    "The background explains why the usual answer took its present form.",
    "Costs and benefits fall on different people, which changes the conclusion.",
    "Two exceptions are well documented and do not weaken the general rule.",
    "The limits are reached at the extremes, where other effects take over.",
    "Sources agree on the order of events and differ only on their weight.",
    "Seen over a longer time, the short-lived effects cancel out.",
    "The numbers matter less than the direction in which they move.",
    "Whoever wants to check this can begin with {topic} and vary one thing at a time.",
    "A useful rule of thumb follows: change the cheapest part first.",
    "Taken together, these points answer the question about {topic} directly.",
)
_FILLER = (
    "There are many things to consider here.",
    "It really depends on various factors.",
    "Some people think so, others do not.",
    "This is an interesting topic.",
    "Opinions on this vary a lot.",
    "It can be good or bad.",
    "Much has been said about it.",
    "In conclusion, it is what it is.",
)
_FILLER_SET = frozenset(_FILLER)
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
MIN_WORDS = 5


def write(ask: str, substance: int, count: int, rng: random.Random) -> str:
    """`count` sentences on the ask, `substance` of them worth reading."""
    topic = " ".join(ask[-200:].split()[-4:]).strip("?.!\"'") or "this"
    topic = re.sub(r"[.!?]\s", " ", topic)
    lines = [_SUBSTANCE[at % len(_SUBSTANCE)].format(topic=topic) for at in range(substance)]
    lines += [_FILLER[rng.randrange(len(_FILLER))] for _ in range(count - substance)]
    rng.shuffle(lines)
    return " ".join(lines)


def richness(text: str) -> float:
    """The share of sentences that say something: no filler, and more than a few words. 0 for no text."""
    lines = [line for line in _SENTENCE.split(text.strip()[:50_000]) if line]
    worth = sum(line not in _FILLER_SET and len(line.split()) >= MIN_WORDS for line in lines)
    return worth / len(lines) if lines else 0.0
