"""Plain arithmetic, evaluated exactly by a bounded evaluator: the size of every result is known before it is computed.

Never `eval`. `9**9**9**9`, factorial towers and deep brackets cost nothing: they raise OutOfBounds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

MAX_BITS = 4_096
MAX_FACTORIAL = 400
MAX_DEPTH = 40
MAX_DIGITS = 300
"""Of one number: well within MAX_BITS."""
MAX_CHARS = 400
SEARCHED_CHARS = 2_000
ANSWER_CHARS = 10_000

_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?|\.\d+"
_CUE = re.compile(
    r"\b(?:calculate|compute|evaluate|simplify|solve|what(?:'s|\u2019s| is| does| are)|how much is|result of|value of|work out|find"
    r"|sum of|product of|quotient of|cu\u00e1nto es|combien font|was ist|wie viel ist)\b:? ?",
    re.IGNORECASE,
)
_LEAD = re.compile(r"(?:the )?(?:value|result|answer|product|sum|quotient|expression)(?: of| to)?:? ?", re.IGNORECASE)
_TOKEN = re.compile(
    rf" ?(?:(?P<number>{_NUMBER})(?![a-wyz_])|(?P<percent>% of\b)|(?P<operator>\*\*|[-+*/^%()!\u00d7\u00f7\u2212\u00b7])"
    r"|(?P<word>x(?= ?[\d(])|plus\b|minus\b|times\b|multiplied by\b|divided by\b|mod\b))",
    re.IGNORECASE,
)
_SYMBOLS = {
    "multiplied by": "*",
    "divided by": "/",
    "times": "*",
    "x": "*",
    "plus": "+",
    "minus": "-",
    "mod": "%",
    "\u00d7": "*",
    "\u00b7": "*",
    "\u00f7": "/",
    "\u2212": "-",
}
# What may follow an expression without changing what is asked.
_TAIL = re.compile(
    r"\s*(?:$|[=?.!;,)\"'`\n]|(?:equals?|equal to|please|step by step|exactly|show|explain|and (?:show|explain|give|tell))\b)",
    re.IGNORECASE,
)
_NO_ARITHMETIC = re.compile(r"[\d/-]+")
_IDIOMS = frozenset({"9/11", "24/7", "50/50", "7/7", "20/20", "80/20"})
_DATE = re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}")
_DIGITS = tuple("0123456789.")
_FRACTION = re.compile(r"\\d?frac\{(\d{1,30})\}\{(\d{1,30})\}")
_SPACES = re.compile(r"\s+")
_SOME_DIGIT = re.compile(r"\d")
_WRITTEN = re.compile(_NUMBER)
_ANSWER_NUMBER = re.compile(
    r"(?=[-\u2212.\d])(?:[-\u2212]?\d+(?:,\d{3})+(?:\.\d+)?"
    r"|[-\u2212]?(?:\d+(?:\.\d+)?|\.\d+)(?: ?(?:[eE]|\u00d7 ?10\^|\* ?10\^) ?[-+]?\d{1,3}(?!\d))?(?:/\d{1,30})?)"
)


class OutOfBounds(ValueError):
    """The expression is not plain arithmetic, or its value is too large to be worth computing."""


@dataclass(frozen=True, slots=True)
class Expression:
    """An arithmetic expression found in a prompt, in lower case."""

    text: str


def find_expression(prompt: str) -> Expression | None:
    """The plain arithmetic expression that a prompt asks for, in lower case; None when it asks for none."""
    if _SOME_DIGIT.search(prompt, 0, SEARCHED_CHARS) is None:
        return None
    return _find(_SPACES.sub(" ", prompt[:SEARCHED_CHARS]).strip().lower())


@lru_cache(maxsize=64)
def _find(head: str) -> Expression | None:
    """The same of the head of a prompt: who classifies asks, and who grades the answer asks again."""
    bare = _expression_at(head, 0) if len(head) <= MAX_CHARS else None
    if bare is not None:
        return None if _NO_ARITHMETIC.fullmatch(bare.text) else bare
    for cue in _CUE.finditer(head):
        start = cue.end()
        while (lead := _LEAD.match(head, start)) is not None and lead.end() > start:
            start = lead.end()
        found = _expression_at(head, start)
        if found is not None and found.text not in _IDIOMS and not _DATE.fullmatch(found.text):
            return found
    return None


def _expression_at(text: str, start: int) -> Expression | None:
    """The expression that begins here and is all that is asked: at least one operation between numbers."""
    end, numbers, operations, after_number = start, 0, 0, False
    while (match := _TOKEN.match(text, end)) is not None and match.end() - start <= MAX_CHARS:
        end = match.end()
        if match["number"]:
            numbers += 1
        elif match["operator"] not in ("(", ")"):
            operations += after_number
        after_number = bool(match["number"]) or (after_number and match["operator"] in (")", "!"))
    if operations == 0 or (numbers < 2 and not text[start:end].endswith("!")) or _TAIL.match(text, end) is None:
        return None
    if text[end:].lstrip()[:1] == "=" and text[end:].strip(" =?.") != "":
        return None
    expression = text[start:end].strip()
    while expression.count(")") > expression.count("(") and expression.endswith(")"):
        expression = expression[:-1].rstrip()
    return Expression(expression)


Number = int | Fraction


def evaluate(text: str) -> Number:
    """The exact value. Raises OutOfBounds for anything but bounded plain arithmetic (also division by zero)."""
    parser = _Parser(_tokens(_SPACES.sub(" ", text[: MAX_CHARS + 1]).strip()))
    value = parser.value(0)
    if parser.next:
        raise OutOfBounds("unbalanced expression")
    return value


def _tokens(text: str) -> list[str]:
    if len(text) > MAX_CHARS:
        raise OutOfBounds("the expression is too long")
    tokens: list[str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise OutOfBounds(f"not arithmetic at {text[position : position + 10]!r}")
        kind = match.lastgroup or ""
        if kind == "number":
            tokens.append(match[kind].replace(",", ""))
        elif kind == "percent":
            tokens += ["/", "100", "*"]
        else:
            written = match[kind].lower()
            tokens.append(_SYMBOLS.get(written, written))
        position = match.end()
    return tokens


class _Parser:
    """Operators by precedence, with a bound on depth. A sign binds less than a power and more than a product."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = iter(tokens)
        self.next = next(self._tokens, "")
        """The token ahead; empty at the end."""

    def _take(self) -> str:
        token, self.next = self.next, next(self._tokens, "")
        return token

    def value(self, depth: int, least: int = 0) -> Number:
        """The value of what comes next, up to an operator that binds less than `least`."""
        if depth > MAX_DEPTH:
            raise OutOfBounds("brackets, signs or powers are too deep")
        part = self._take()
        if part in _SIGNS:
            value = self.value(depth + 1, _OF_SIGNS)
            value = -value if part == "-" else value
        elif part == "(":
            value = self.value(depth + 1)
            if self._take() != ")":
                raise OutOfBounds("unbalanced brackets")
        elif part[:1] in _DIGITS and len(part) <= MAX_DIGITS:
            value = int(part) if part.isdecimal() else Fraction(part)
        else:
            raise OutOfBounds("a number is missing")
        while (binds := _BINDS.get(self.next, -1)) >= least:
            operator = self._take()
            if operator == "!":
                value = _factorial(value)
            elif operator in _POWERS:
                value = _power(value, self.value(depth + 1, _OF_SIGNS))
            else:
                value = _applied(operator, value, self.value(depth, binds + 1))
        return value


_SIGNS, _POWERS = ("-", "+"), ("**", "^")
_OF_SIGNS = 2
"""How much a sign binds."""
_BINDS = {"+": 0, "-": 0, "*": 1, "/": 1, "%": 1, "**": 3, "^": 3, "!": 4}


def _applied(operator: str, value: Number, other: Number) -> Number:
    """A sum, a difference, a product, a quotient or a remainder."""
    if operator == "*":
        return _bounded(value * other)
    if operator in _SIGNS:
        return _bounded(value + other if operator == "+" else value - other)
    if other == 0:
        raise OutOfBounds("division by zero")
    return _bounded(value / Fraction(other) if operator == "/" else value % other)


def _bits(value: Number) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def _bounded(value: Number) -> Number:
    """A result, unless it is too large to go on with: of two numbers that were not, it can be made quickly."""
    if _bits(value) > MAX_BITS:
        raise OutOfBounds("the numbers get too large")
    return value


def _power(base: Number, exponent: Number) -> Number:
    if exponent.denominator != 1 or abs(exponent.numerator) > MAX_BITS:
        raise OutOfBounds("the exponent is not a small whole number")
    if _bits(base) * abs(exponent.numerator) > MAX_BITS or (base == 0 and exponent < 0):
        raise OutOfBounds("the power gets too large")
    return Fraction(base) ** exponent.numerator


def _factorial(value: Number) -> Number:
    if value.denominator != 1 or not 0 <= value.numerator <= MAX_FACTORIAL:
        raise OutOfBounds("the factorial is not of a small whole number")
    return math.factorial(value.numerator)


def contains_value(answer: str, expected: Number, *, besides: str = "") -> bool | None:
    """Whether an answer states the value: exactly, or rounded as far as it is written out.

    `besides`, the expression itself, is not counted. A value that is also one of its operands must stand where results
    stand: after an equals sign, "is" or a colon, in a box, or last. None: not found in the part that was looked at.
    """
    whole = len(answer) <= 2 * ANSWER_CHARS
    text = answer if whole else f"{answer[:ANSWER_CHARS]}\n{answer[-ANSWER_CHARS:]}"
    text = text.replace(besides, " ") if besides else text
    if "{" in text:
        text = _FRACTION.sub(r"\1/\2", text).replace("{,}", ",")
    near = _near(expected)

    def stated(match: re.Match[str]) -> bool:
        return near(match.group(0)) and _states(match.group(0), expected)

    states = False
    for match in _ANSWER_NUMBER.finditer(text):
        states = stated(match)
        if states and (_is_result(text, match) or not any(map(stated, _WRITTEN.finditer(besides)))):
            return True
    if states:  # the last one does
        return True
    return False if whole else None


def _near(expected: Number) -> Callable[[str], bool]:
    """A quick look before the exact one: is a written number within two percent?"""
    try:
        value = float(expected)
    except OverflowError:
        return lambda written: True
    margin = abs(value) * 0.02 + 1e-12

    def near(written: str) -> bool:
        try:
            return abs(float(written.replace(",", "").replace("\u2212", "-")) - value) <= margin
        except ValueError:
            return True

    return near


def _is_result(text: str, number: re.Match[str]) -> bool:
    before = text[max(0, number.start() - 12) : number.start()].rstrip(" $*`").lower()
    after = text[number.end() : number.end() + 3].lstrip(" *`")
    return before.endswith(("=", "is", ":", "equals", "boxed{", "gives", "get", "be")) and after[:1] not in tuple(
        "+-*/^\u00d7\u00f7%="
    )


def _states(written: str, expected: Number) -> bool:
    """Exact, or correctly rounded to the places written: two of them, or fewer when that is within one percent."""
    plain = written.replace("\u2212", "-").replace(",", "")
    if plain.lstrip("-").isdigit():
        if expected.denominator == 1:
            return len(plain) <= 1_500 and int(plain) == expected.numerator
        places = 0
    elif expected.denominator == 1 and not any(mark in plain for mark in "eE^/") and plain.rstrip("0")[-1:] != ".":
        return False
    else:
        places = min(len(re.match(r"\d*", plain.partition(".")[2]).group(0)), 50)  # type: ignore[union-attr]
    stated = _stated(plain)
    if stated is None or stated == expected:
        return stated is not None
    off = abs(stated - expected)
    return (
        expected.denominator != 1
        and off <= Fraction(1, 2 * 10**places)
        and (places >= 2 or off * 100 <= abs(Fraction(expected)))
    )


def _stated(plain: str) -> Fraction | None:
    written = re.sub(r" ?(?:\u00d7|\*) ?10\^", "e", plain).replace(" ", "")
    if len(written) > 1_500:
        return None
    try:
        return Fraction(written)
    except (ValueError, ZeroDivisionError):
        return None
