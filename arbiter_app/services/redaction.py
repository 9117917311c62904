"""What is taken out of contents before they are kept: what looks like a key always, and what a project's rules name.

A rule is a name of RULES, or a regular expression of the project's own. Those run by `regex`, which gives up after a time; what cannot
be redacted in that time, or would grow by it, is not kept.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import regex

from arbiter_app import expressions
from arbiter_app.pipeline.errors import Unprocessable
from arbiter_app.pipeline.plain import quoted
from arbiter_app.runtime.claims import secrets

MOST_RULES, MOST_CHARS = 20, 200
PATIENCE_S = 2.0
"""How long a project's own rules may look at one content."""
MOST_GROWTH = 6
"""How many times as long rules may make a text: what they put in is longer than what they may have taken out."""
REDACTED = "[redacted]"
_SEVERAL = re.compile(r"(?:\[redacted\]){2,}")

Rule = Callable[[str], str]
Step = Callable[[str, float], str]
"""A text without what a rule names, and when that has to be done, by `time.monotonic`."""


class Unredacted(Exception):
    """A rule of a project took too long."""


def _sum_is_right(digits: str) -> bool:
    """Whether digits are those of a payment card (ISO/IEC 7812-1, annex B: Luhn's formula)."""
    values = [int(one) for one in reversed(digits)]
    return (sum(values[::2]) + sum(sum(divmod(2 * one, 10)) for one in values[1::2])) % 10 == 0


def _card(found: re.Match[str]) -> str:
    return "[card]" if _sum_is_right(re.sub(r"\D", "", found[0])) else found[0]


_EMAIL = re.compile(r"[\w.+-]{1,64}@(?:[\w-]{1,63}\.)+[A-Za-z]{2,24}")
_CARD = re.compile(r"(?<![\d-])\d(?:[ -]?\d){11,18}(?![\d-])")
_PHONE = re.compile(r"(?<![\w+])(?:\+|00)[1-9](?:[ ./()-]{0,2}\d){6,14}(?!\d)")
_IPV4 = re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])")
RULES: dict[str, Rule] = {
    "email": lambda text: _EMAIL.sub("[email]", text),
    "card": lambda text: _CARD.sub(_card, text),
    "phone": lambda text: _PHONE.sub("[phone]", text),
    "ip": lambda text: _IPV4.sub("[ip]", text),
}
"""By name: e-mail addresses, numbers of payment cards, international telephone numbers, IPv4 addresses."""


def checked(rules: Sequence[str]) -> tuple[str, ...]:
    """The rules of a project, once each. Raises Unprocessable for too many, and for what is neither a name nor an expression."""
    once = tuple(dict.fromkeys(rules))
    if len(once) > MOST_RULES or any(not 0 < len(one) <= MOST_CHARS for one in once):
        raise Unprocessable(f"at most {MOST_RULES} rules, each of 1 to {MOST_CHARS} characters", param="redact")
    for one in once:
        _rule(one)
    return once


def redactor(rules: Sequence[str]) -> Callable[[Any], Any]:
    """What takes everything that the rules name out of the strings of a JSON value. Raises Unprocessable; what it gives, Unredacted."""
    steps = [_rule(one) for one in rules]

    def text_without(text: str, until: float) -> str:
        text = secrets.without_foreign(secrets.hide(text))
        most = MOST_GROWTH * (len(text) + MOST_CHARS)
        for step in steps:
            text = step(text, until)
            if len(text) > most:
                raise Unredacted(f"the rules made a text more than {MOST_GROWTH} times as long")
        return text

    def without(value: Any, until: float) -> Any:
        if isinstance(value, str):
            return text_without(value, until)
        if isinstance(value, list):
            return [without(one, until) for one in value]
        if isinstance(value, dict):
            return {name: without(one, until) for name, one in value.items()}
        return value

    return lambda value: without(value, time.monotonic() + PATIENCE_S)


def _rule(rule: str) -> Step:
    if (named := RULES.get(rule)) is not None:
        return lambda text, until: named(text)
    try:
        pattern = expressions.compiled(rule)
    except expressions.Unfit as error:
        raise Unprocessable(
            f"{quoted(rule)} is neither of {', '.join(RULES)} nor a regular expression: {error}", param="redact"
        ) from None

    def replaced(text: str, until: float) -> str:
        left = until - time.monotonic()
        try:
            told: str = pattern.sub(_redacted, text, timeout=max(left, 0.001), concurrent=True)
        except (TimeoutError, MemoryError) as error:
            cost = "memory" if isinstance(error, MemoryError) else f"time: {PATIENCE_S:g} s are the most for a content"
            raise Unredacted(f"the rule {quoted(rule)} took too much {cost}") from None
        return _SEVERAL.sub(REDACTED, told)

    return replaced


def _redacted(found: regex.Match[str]) -> str:
    """What stands in the place of what was found; where that is nothing, nothing."""
    return REDACTED if found[0] else ""
