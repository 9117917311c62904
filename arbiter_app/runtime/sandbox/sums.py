"""Plain arithmetic as a simulated model does it: finds the sum in a prompt and works it out exactly, within bounds.

An evaluator of its own, not the grader's: two that agree are better evidence than one asked twice. Sizes are checked
before anything is computed, so towers of powers cost nothing.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

MAX_BITS = 2_000
MAX_CHARS = 300
MAX_DEPTH = 30

_WORDS = (
    ("multiplied by", "*"),
    ("divided by", "/"),
    ("times", "*"),
    ("plus", "+"),
    ("minus", "-"),
    ("to the power of", "**"),
)
_SIGNS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "^": "§"})
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_TIMES_X = re.compile(r"(?<=[\d)])\s*x\s*(?=[\d(])")
_RUN = re.compile(r"[(\s]*-?[(\s]*\d[\d.\s()+\-*/§%]*")
_TOKEN = re.compile(r"\s*(\d+(?:\.\d+)?|\*\*|[-+*/%()])")
_DATE = re.compile(r"\d{1,4}[-/]\d{1,4}(?:[-/]\d{1,4})?")
_NUMBERS = re.compile(r"\d+(?:\.\d+)?")


class Unsolved(ValueError):
    """Not a sum, or one too large to work out."""


@lru_cache(maxsize=512)
def find_sum(prompt: str) -> str | None:
    """The longest stretch of plain arithmetic with an operator between two numbers; None when there is none."""
    text = prompt[:2_000].lower()
    if not any(char.isdigit() for char in text):
        return None
    for word, sign in _WORDS:
        text = text.replace(word, sign)
    text = _TIMES_X.sub("*", _THOUSANDS.sub("", text.translate(_SIGNS))).replace("§", "**")
    runs = [run.strip().rstrip(".") for run in _RUN.findall(text)]
    sums = [run for run in runs if len(run) <= MAX_CHARS and re.search(r"[\d)]\s*(?:\*\*|[-+*/%])\s*[-(]*\s*\d", run)]
    best = max(sums, key=len, default=None)
    return None if best is None or _DATE.fullmatch(best.replace(" ", "")) and " " not in best else best


def solve(run: str) -> Fraction:
    """The exact value. Raises Unsolved."""
    tokens, at, run = [], 0, _balanced(run.strip())
    while at < len(run):
        match = _TOKEN.match(run, at)
        if match is None:
            raise Unsolved(run)
        tokens.append(match.group(1))
        at = match.end()
    reader = _Reader(tokens)
    value = reader.terms(0)
    if reader.tokens:
        raise Unsolved(run)
    return value


def written(value: Fraction) -> str:
    """A number as a model writes it: whole, or to four decimals."""
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.4f}"


def truth_number(prompt: str) -> int:
    """The right answer of a word problem in this world: a number that follows from the numbers in it."""
    total = 7
    for position, number in enumerate(_NUMBERS.findall(prompt[:4_000])[:40]):
        total = (total * 31 + int(float(number[:12])) * (position + 1)) % 9_973
    return total + 2


def _balanced(run: str) -> str:
    while run.count(")") > run.count("(") and run.endswith(")"):
        run = run[:-1].rstrip()
    while run.count("(") > run.count(")") and run.startswith("("):
        run = run[1:].lstrip()
    return run


class _Reader:
    """terms > factors > signs > powers > atoms, each eating tokens from the front."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens[::-1]

    def _next(self) -> str:
        return self.tokens[-1] if self.tokens else ""

    def terms(self, depth: int) -> Fraction:
        value = self.factors(depth)
        while self._next() in ("+", "-"):
            value = _fits(value + self.factors(depth) if self.tokens.pop() == "+" else value - self.factors(depth))
        return value

    def factors(self, depth: int) -> Fraction:
        value = self.signed(depth)
        while self._next() in ("*", "/", "%"):
            sign, other = self.tokens.pop(), self.signed(depth)
            if sign != "*" and other == 0:
                raise Unsolved("division by zero")
            value = _fits(value * other if sign == "*" else value / other if sign == "/" else value % other)
        return value

    def signed(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH:
            raise Unsolved("too deep")
        if self._next() == "-":
            self.tokens.pop()
            return -self.signed(depth + 1)
        base = self.atom(depth)
        if self._next() != "**":
            return base
        self.tokens.pop()
        power = self.signed(depth + 1)
        if power.denominator != 1 or abs(power) > MAX_BITS or _bits(base) * abs(power.numerator) > MAX_BITS:
            raise Unsolved("too large")
        if base == 0 and power < 0:
            raise Unsolved("division by zero")
        return Fraction(base**power.numerator)

    def atom(self, depth: int) -> Fraction:
        word = self.tokens.pop() if self.tokens else ""
        if word == "(":
            value = self.terms(depth + 1)
            if not self.tokens or self.tokens.pop() != ")":
                raise Unsolved("brackets")
            return value
        if not word[:1].isdigit() or len(word) > 100:
            raise Unsolved(word)
        return Fraction(word)


def _bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def _fits(value: Fraction) -> Fraction:
    if _bits(value) > MAX_BITS:
        raise Unsolved("too large")
    return value
