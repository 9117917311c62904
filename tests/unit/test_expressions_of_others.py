"""An expression that somebody writes takes a bounded amount of memory to be made, whatever it is."""

from __future__ import annotations

import pytest

from arbiter_app.expressions import Unfit, compiled

BOMBS = {
    "one": "a{1000000}",
    "nested": "(?:(?:a{100}){100}){100}",
    "captured": "((a{1000}){1000}){1000}",
    "at least": "(?:a{500,}){500,}",
    "zeros before": "a{0000000001000000}",
    "digits without end": "a{" + "9" * 6_000 + "}",
    "behind a bracket in a class": "(?:x{1000}[(]){1000}",
    "behind a bracket in a class of brackets": "(?:x{1000}[]()]){1000}",
    "behind an escaped bracket": r"(?:x{1000}\(){1000}",
    "behind a bracket in a comment": "(?:x{1000}(?#()){1000}",
    "behind one in a line's comment": "(?x)(?:x{1000}#(\n){1000}",
    "behind one in a set of sets": "(?V1)(?:x{1000}[[a](]){1000}",
    "looked ahead": "(?:(?=x{1000})x){1000}",
    "lazily": "(?:(?:[ab]{100}?){100}?){100}?",
    "brackets without end": "(" * 5_000 + ")" * 5_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_would_take_all_memory_is_refused_before_it_is_made(name: str) -> None:
    with pytest.raises(Unfit):
        compiled(BOMBS[name])


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (r"\b\d{4}[ -]?\d{4}[ -]?\d{4}[ -]?\d{4}\b", "1234 5678 9012 3456"),
        (r"(?<!\d)\d{16}(?!\d)", "1234567890123456"),
        (r"[\w.+-]{1,64}@(?:[\w-]{1,63}\.)+[A-Za-z]{2,24}", "a@b.co"),
        (r"(?i)tck-\d+", "TCK-1"),
        (r"(?P<x>a)(?P=x)", "aa"),
        (r"\(?x{2}", "(xx"),
        (r"a{,5}b", "aab"),
        ("a{b}", "a{b}"),
        (r"[]a{9}]", "{"),
        ("(?:[0-9a-f]{4}:){7}[0-9a-f]{4}", "0000:" * 7 + "0000"),
    ],
)
def test_ordinary_expressions_are_taken(text: str, fits: str) -> None:
    assert compiled(text).search(fits)


@pytest.mark.parametrize("text", ["(", "[", "a{2}{3}", "(?P<a>x)(?P<", "\\"])
def test_what_is_none_is_said(text: str) -> None:
    with pytest.raises(Unfit, match=r"position|bad|missing|multiple|unterminated|escape"):
        compiled(text)
