"""One request takes few calls of the product's own functions, in few files: counted, not timed."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.served import ROOT
from tests.waiting import FAR_S

MOST = {"plain": (356, 71, 185), "streamed": (975, 82, 333)}
"""Calls, files, and moves from file to file, of a streamed one with its 63 events: some more than there are, for what goes on beside. Who
adds a step looks whether an old one can go."""


def followed(*words: str) -> str:
    words = (sys.executable, "-m", "tests.bench.hops", *words)
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=FAR_S)
    assert said.returncode == 0, said.stderr
    return said.stdout


@pytest.mark.parametrize("words", [(), ("--stream",)])
def test_nothing_reads_or_writes_a_large_request_on_the_event_loop(words: tuple[str, ...]) -> None:
    said = followed("--list", "--image", "2000000", *words)
    calls = {call for line in said.splitlines() for call in re.split(r",? +", line)}
    assert {"Calls.complete", "Calls.open"} & calls and "HttpConnection.send" in calls
    assert calls.isdisjoint({"parse", "of_members", "ChatRequest.body", "Calls._payload", "HttpRuntime._asked"})


@pytest.mark.parametrize("kind", MOST)
def test_a_request_takes_few_calls(kind: str) -> None:
    said = followed(*(["--stream"] if kind == "streamed" else []))
    found = re.match(r"(\d+) calls, (\d+) files, (\d+) moves", said)
    assert found is not None, said
    counted = tuple(map(int, found.groups()))
    assert all(count <= most for count, most in zip(counted, MOST[kind], strict=True)), said
