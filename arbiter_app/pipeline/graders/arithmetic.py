"""Plain arithmetic, evaluated exactly by a bounded evaluator: the size of every result is known before it is computed.

Never `eval`. `9**9**9**9`, factorial towers and deep brackets cost nothing: they raise OutOfBounds.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

MAX_BITS = 4_096
MAX_FACTORIAL = 400
MAX_DEPTH = 40
MAX_CHARS = 400

_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
_OPERATOR = r"\*\*|[-+*/^%×÷−·]|\bx\b|\bplus\b|\bminus\b|\btimes\b|\b(?:multiplied|divided) by\b|\bmod\b"
_ATOM = rf"[(\s]*[-+]?\s*[(\s]*{_NUMBER}[\s)!]*"
_EXPRESSION = rf"{_ATOM}(?:\s*(?:{_OPERATOR})\s*{_ATOM})+"
_CUE = (
    r"(?:calculate|compute|evaluate|simplify|solve|what(?:'s| is| does)|how much is|result of|value of|work out|find)"
    r"(?:\s+(?:the\s+)?(?:value|result|answer|product|sum|quotient)\s+(?:of|to))?\s*:?\s*"
)
_CUED = re.compile(rf"\b{_CUE}(?P<expression>{_EXPRESSION})(?!\s*[a-z])", re.IGNORECASE)
_BARE = re.compile(rf"^\s*(?P<expression>{_EXPRESSION})\s*=?\s*\??\s*$", re.IGNORECASE)
_TOKEN = re.compile(rf"\s*(?:(?P<number>{_NUMBER})|(?P<operator>\*\*|[-+*/^%()!]))")
_WORDS = (
    ("multiplied by", "*"),
    ("divided by", "/"),
    ("times", "*"),
    ("plus", "+"),
    ("minus", "-"),
    ("mod", "%"),
    ("×", "*"),
    ("·", "*"),
    ("÷", "/"),
    ("−", "-"),
)
_ANSWER_NUMBER = re.compile(
    r"[-−]?\d+(?:,\d{3})+(?:\.\d+)?|[-−]?\d+(?:\.\d+)?(?:\s*(?:[eE]|×\s*10\^|\*\s*10\^)\s*[-+]?\d{1,3})?(?:/\d{1,30})?"
)
_PLACES = re.compile(r"[^\d].*")
_NO_ARITHMETIC = re.compile(r"[\d/-]+")


class OutOfBounds(ValueError):
    """The expression is not plain arithmetic, or its value is too large to be worth computing."""


@dataclass(frozen=True, slots=True)
class Expression:
    """An arithmetic expression found in a prompt, as it stood there."""

    text: str


def find_expression(prompt: str) -> Expression | None:
    """The plain arithmetic expression that a prompt asks for; None when it asks for none."""
    head = prompt[:2_000]
    if not any(char.isdigit() for char in head):
        return None
    bare = _BARE.match(head) if len(head) <= MAX_CHARS else None
    if bare is not None and _NO_ARITHMETIC.fullmatch(bare["expression"].strip()):
        return None
    match = bare or _CUED.search(head)
    if match is None:
        return None
    text = match["expression"].strip()
    while text.count(")") > text.count("(") and text.endswith(")"):
        text = text[:-1].rstrip()
    return Expression(text) if len(text) <= MAX_CHARS else None


def evaluate(text: str) -> Fraction:
    """The exact value. Raises OutOfBounds for anything but bounded plain arithmetic (also division by zero)."""
    lowered = text.lower()
    for word, symbol in _WORDS:
        lowered = lowered.replace(word, symbol)
    lowered = re.sub(r"(?<=[\d)\s])x(?=[\s\d(])", "*", lowered)
    tokens: list[str] = []
    position = 0
    stripped = lowered.strip()
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if match is None or len(tokens) > MAX_CHARS:
            raise OutOfBounds(f"not arithmetic at {stripped[position : position + 10]!r}")
        tokens.append((match["number"] or "").replace(",", "") or match["operator"])
        position = match.end()
    parser = _Parser(tokens)
    value = parser.sum(0)
    if parser.at != len(tokens):
        raise OutOfBounds("unbalanced expression")
    return value


class _Parser:
    """Recursive descent with a depth bound: sum > product > unary > power > factorial > atom."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.at = 0

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self.at += 1
        return token

    def sum(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH:
            raise OutOfBounds("brackets are too deep")
        value = self._product(depth)
        while self._peek() in ("+", "-"):
            value = _add(value, self._product(depth)) if self._take() == "+" else _add(value, -self._product(depth))
        return value

    def _product(self, depth: int) -> Fraction:
        value = self._unary(depth)
        while self._peek() in ("*", "/", "%"):
            operator, other = self._take(), self._unary(depth)
            if operator == "*":
                value = _multiply(value, other)
            elif other == 0:
                raise OutOfBounds("division by zero")
            else:
                value = _multiply(value, 1 / other) if operator == "/" else _bounded(value % other)
        return value

    def _unary(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH:
            raise OutOfBounds("too many signs")
        if self._peek() == "-":
            self._take()
            return -self._unary(depth + 1)
        if self._peek() == "+":
            self._take()
            return self._unary(depth + 1)
        return self._power(depth)

    def _power(self, depth: int) -> Fraction:
        base = self._postfix(depth)
        if self._peek() in ("**", "^"):
            self._take()
            return _power(base, self._unary(depth + 1))
        return base

    def _postfix(self, depth: int) -> Fraction:
        value = self._atom(depth)
        while self._peek() == "!":
            self._take()
            value = _factorial(value)
        return value

    def _atom(self, depth: int) -> Fraction:
        part = self._take()
        if part == "(":
            value = self.sum(depth + 1)
            if self._take() != ")":
                raise OutOfBounds("unbalanced brackets")
            return value
        if not part or not part[0].isdigit() or len(part) > 300:
            raise OutOfBounds("a number is missing")
        return _bounded(Fraction(part))


def _bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def _bounded(value: Fraction) -> Fraction:
    if _bits(value) > MAX_BITS:
        raise OutOfBounds("the numbers get too large")
    return value


def _add(a: Fraction, b: Fraction) -> Fraction:
    return _bounded(a + b)


def _multiply(a: Fraction, b: Fraction) -> Fraction:
    if _bits(a) + _bits(b) > 2 * MAX_BITS:
        raise OutOfBounds("the numbers get too large")
    return _bounded(a * b)


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1 or abs(exponent.numerator) > MAX_BITS:
        raise OutOfBounds("the exponent is not a small whole number")
    if _bits(base) * abs(exponent.numerator) > MAX_BITS or (base == 0 and exponent < 0):
        raise OutOfBounds("the power gets too large")
    return Fraction(base**exponent.numerator)


def _factorial(value: Fraction) -> Fraction:
    if value.denominator != 1 or not 0 <= value.numerator <= MAX_FACTORIAL:
        raise OutOfBounds("the factorial is not of a small whole number")
    return Fraction(math.factorial(value.numerator))


def contains_value(answer: str, expected: Fraction, *, besides: str = "") -> bool:
    """Whether the answer states the value: exactly, or rounded as far as it is written out. `besides` is not counted."""
    text = answer.replace(besides, " ") if besides else answer
    return any(_states(match.group(0), expected) for match in _ANSWER_NUMBER.finditer(text))


def _states(written: str, expected: Fraction) -> bool:
    """Exact, or correctly rounded to the places written: two of them, or fewer when that is within one percent."""
    stated = _stated(written)
    if stated is None or stated == expected:
        return stated is not None
    if expected.denominator == 1:
        return False
    places = min(len(_PLACES.sub("", written.partition(".")[2])), 50)
    off = abs(stated - expected)
    return off <= Fraction(1, 2 * 10**places) and (places >= 2 or off <= abs(expected) / 100)


def _stated(written: str) -> Fraction | None:
    plain = re.sub(r"\s*(?:×|\*)\s*10\^", "e", written.replace("−", "-").replace(",", "").replace(" ", ""))
    if len(plain) > 1_500:
        return None
    try:
        return Fraction(plain)
    except (ValueError, ZeroDivisionError):
        return None
