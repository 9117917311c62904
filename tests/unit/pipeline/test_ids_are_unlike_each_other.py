"""Whoever makes the ids of decisions: no two of them make the same ones."""

from __future__ import annotations

import subprocess
import sys

from tests.served import ROOT

TWO_PROCESSES = """
import os
from arbiter_app.pipeline.decision import decision_id

decision_id(1.0)
if os.fork() == 0:
    print(decision_id(1.0), flush=True)
    os._exit(0)
os.wait()
print(decision_id(1.0))
"""


def test_a_fork_of_a_process_makes_ids_of_its_own() -> None:
    words = [sys.executable, "-c", TWO_PROCESSES]
    forked, own = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert forked != own and forked[:9] == own[:9]
