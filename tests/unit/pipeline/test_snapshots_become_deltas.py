"""Pieces of a stream that are all of it so far add only what is new; what a model repeats stays."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_app.pipeline.snapshots import Pieces

TEXT = "The sea, the sea, the open sea!\n\nThe blue, the fresh, the ever free! It plays with the clouds, it mocks the skies. ha ha ha"
ARGUMENTS = json.dumps({"city": "Paris", "filter": {"filter": {"city": "Paris, {now}"}}, "days": [{"n": 1}, {"n": 2}]})
CUTS = st.lists(st.integers(0, 300), max_size=40)


def told(pieces: list[str], *, arguments: bool = False, ends: bool = False) -> str:
    known = Pieces(arguments=arguments)
    said = [known.add(one, ends=ends and at == len(pieces) - 1) for at, one in enumerate(pieces)]
    whole = "".join(said) + known.rest()
    assert str(known) == whole
    return whole


def cut(text: str, at: list[int]) -> list[str]:
    """The text in deltas."""
    places = [0, *sorted(min(one, len(text)) for one in at), len(text)]
    return [text[a:b] for a, b in zip(places, places[1:], strict=False)]


def grown(text: str, at: list[int]) -> list[str]:
    """The text in snapshots."""
    return [text[:one] for one in [*sorted(min(one, len(text)) for one in at), len(text)]]


@given(CUTS, st.booleans())
def test_deltas_stay_what_they_are(at: list[int], arguments: bool) -> None:
    text = ARGUMENTS if arguments else TEXT
    assert told(cut(text, at), arguments=arguments) == text


@given(CUTS, st.booleans())
def test_deltas_and_then_all_of_it_are_said_once(at: list[int], arguments: bool) -> None:
    text = ARGUMENTS if arguments else TEXT
    pieces = [one for one in cut(text, at) if one]
    assert told([*pieces, text], arguments=arguments, ends=True) == text


@given(st.lists(st.integers(1, 100), min_size=3, max_size=40, unique=True), st.booleans())
def test_snapshots_become_what_they_add(at: list[int], arguments: bool) -> None:
    text = ARGUMENTS if arguments else TEXT
    assert told(grown(text, at), arguments=arguments) == text


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["ha", "ha", "ha"], "hahaha"),
        (["1", "1"], "11"),
        (["1", "11"], "111"),
        (["\n", "\n\n", "Hi"], "\n\n\nHi"),
        ([" ", "  ", "   ", "    "], "          "),
        (["-", "--", "---", "----", "-----"], "---------------"),
        (["x" * 400] * 5, "x" * 2_000),
        (["No. ", "No. ", "No. ", "Never."], "No. No. No. Never."),
        (["ab", "abc", "d"], "ababcd"),
        (["-" * 16, "-" * 16, "-" * 32, "\n"], "-" * 64 + "\n"),
        ([" \n" * 40, " \n" * 40 + "x"], " \n" * 80 + "x"),
        (["No. " * 8, "No. " * 8 + "Never."], "No. " * 16 + "Never."),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_repeated_is_kept(pieces: list[str], text: str) -> None:
    assert told(pieces) == text


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["The", "The", "The sea", "The sea is"], "The sea is"),
        (["The", "The sea is", "The sea is blue", "The sea", "The sea is blue."], "The sea is blue."),
        (["I", "It", "It is", "It is blue", "It is blue."], "It is blue."),
        (["caf\ufffd", "café an", "café and"], "caf\ufffd and"),
        (["The caf", "The caf\ufffd", "The café", "The café is"], "The café is"),
    ],
    ids=["again", "an older one", "letters", "no beginning", "half a character"],
)
def test_growing_text(pieces: list[str], text: str) -> None:
    assert told(pieces) == text


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (['{"a":', '{"a":', "1}}"], '{"a":{"a":1}}'),
        (['{"a":', '{"a":1}', "}"], '{"a":{"a":1}}'),
        (['{"a":', '{"a":1}'], '{"a":1}'),
        (['{"a":', '{"a":"x', '{"a":"xy"}'], '{"a":"xy"}'),
        (["[", "[1", "[1]]"], "[[1[1]]"),
        (["{}", '{"a"', ": 1}"], '{"a": 1}'),
        (["{}"], "{}"),
        (["{}", "{}"], "{}"),
        (["{", "{", "{}"], "{}"),
        (['{"a": 1}', '{"a":1}'], '{"a": 1}'),
        (['{"a": 1}', "\n"], '{"a": 1}\n'),
    ],
    ids=lambda value: str(value)[:30],
)
def test_arguments(pieces: list[str], text: str) -> None:
    assert told(pieces, arguments=True) == text
