"""One request takes few calls of the product's own functions, in few files: counted, not timed."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.served import ROOT
from tests.waiting import FAR_S

MOST = {"plain": (365, 74, 197), "streamed": (1_125, 84, 468)}
"""Calls, files, and moves from file to file, of a streamed one with its 63 events: some more than there are, for what goes on beside. Who
adds a step looks whether an old one can go."""


@pytest.mark.parametrize("kind", MOST)
def test_a_request_takes_few_calls(kind: str) -> None:
    words = [sys.executable, "-m", "tests.bench.hops", *(["--stream"] if kind == "streamed" else [])]
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=FAR_S)
    found = re.match(r"(\d+) calls, (\d+) files, (\d+) moves", said.stdout)
    assert found is not None, said.stderr
    counted = tuple(map(int, found.groups()))
    assert all(count <= most for count, most in zip(counted, MOST[kind], strict=True)), said.stdout
