"""JSON that goes on: numbers digit by digit, on one line to every reader of lines, whatever stands in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from arbiter_app import exact_json

WRITTEN = [
    '{"a":1.10,"b":[12345678901234567890123,-0.0,1e400]}',
    '{"text":"K\u00f6ln \U0001f600"}',
    '{"half":"\\ud83d"}',
    '{"\\ud83d":{"deep":[[1.50]]}}',
    "{}",
    '["a",true,null]',
]


@pytest.mark.parametrize("text", WRITTEN)
def test_numbers_are_written_as_they_were(text: str) -> None:
    assert json.loads(exact_json.dumps(exact_json.exact(text.encode())), parse_float=str, parse_int=str) == json.loads(
        text, parse_float=str, parse_int=str
    )


def test_it_stands_on_one_line() -> None:
    said = {"text": "a\u2028b\u2029c\nd\r"}
    made = exact_json.dumps(said)
    assert json.loads(made) == said
    assert not any(mark in made.decode() for mark in "\u2028\u2029\n\r")


def test_what_is_nested_deeper_than_the_fast_writer_goes_is_written() -> None:
    deep: Any = "end"
    for _ in range(300):
        deep = [deep]
    assert json.loads(exact_json.dumps(deep)) == deep


def test_members_are_read_as_they_stand() -> None:
    texts = exact_json.members(' { "a" : 1.10 , "b\\u0061": [ 1,  2 ] }')
    assert texts == {"a": "1.10", "ba": "[ 1,  2 ]"}
    assert exact_json.of_members(texts) == b'{"a":1.10,"ba":[ 1,  2 ]}'


@pytest.mark.parametrize("other", ["\\ud83d", "whole"])
def test_half_a_character_changes_nothing_of_the_other_members(other: str) -> None:
    texts = exact_json.members(f'{{"text":"{other}","id":12345678901234567890123,"x":[1.50,1e400]}}')
    assert texts == {"text": f'"{other}"', "id": "12345678901234567890123", "x": "[1.50,1e400]"}


@pytest.mark.parametrize(
    "text", [b"[1]", b'{"a":NaN}', b'{"a":1', b'{"a":"\xff"}', b'{"a":%b%b}' % (b"[" * 5000, b"]" * 5000)]
)
def test_what_is_no_object_has_no_members(text: bytes) -> None:
    with pytest.raises(ValueError):
        exact_json.members(text)
