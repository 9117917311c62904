"""One plain request takes few calls of the product's own functions, in few files: counted, not timed."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.served import ROOT
from tests.waiting import FAR_S

MOST_CALLS, MOST_FILES, MOST_MOVES = 366, 75, 198
"""Some more than there are; who adds a step looks whether an old one can go."""


def test_a_plain_request_takes_few_calls() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "tests.bench.hops"], cwd=ROOT, capture_output=True, text=True, timeout=FAR_S
    )
    found = re.match(r"(\d+) calls, (\d+) files, (\d+) moves", said.stdout)
    assert found is not None, said.stderr
    calls, files, moves = map(int, found.groups())
    assert calls <= MOST_CALLS, said.stdout
    assert files <= MOST_FILES, said.stdout
    assert moves <= MOST_MOVES, said.stdout
