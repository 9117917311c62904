"""`make chaos` in small: every phase ends, and no promise is broken but those about time and memory, which a busy machine breaks."""

from __future__ import annotations

import subprocess
import sys

from tests.served import ROOT
from tests.waiting import FAR_S

BUSY = ("memory is flat", "longest wait for an answer", "it was alive and ended as it should")


PHASES = "everything at once, kill -9, clock jumps, workers, full disk, moved away"


def test_a_short_run_keeps_what_was_promised() -> None:
    words = [sys.executable, "-m", "tests.chaos.run", "--seconds", "2", "--seed", "1", "--phases", PHASES]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=FAR_S, check=False)
    broken = [line for line in done.stdout.splitlines() if line.startswith("BROKEN") and not line[8:].startswith(BUSY)]
    assert broken == [] and "seed 1: " in done.stdout, f"{done.stdout}\n{done.stderr}"
    assert "every answer is on record once               0 of" in done.stdout
