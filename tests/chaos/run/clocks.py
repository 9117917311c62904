"""A wall clock that can be set, for one process: libfaketime, preloaded; monotonic clocks stay as they are."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

MISSING = "no libfaketime for this machine"
LIBRARY = "vendor/libfaketime/src/libfaketime.so.1"
YEAR_S = 31_536_000


class Jumps:
    """`environ` is for the process; `to("+2h")` moves its wall clock from the true time."""

    def __init__(self, file: Path) -> None:
        found = importlib.util.find_spec("libfaketime")
        self._library = Path(found.origin).parent / LIBRARY if found is not None and found.origin else Path("none")
        self._file = file
        self.to("+0")
        self.environ = {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # else waits on the monotonic clock last until somebody else wakes them
        }

    def to(self, offset: str) -> None:
        """Set the clock to so far from the true time."""
        new = self._file.with_suffix(".new")
        new.write_text(offset + "\n")
        new.replace(self._file)

    def work(self) -> bool:
        """Whether a process can be given another time on this machine."""
        if not self._library.exists():
            return False
        self.to("+400d")
        words = [sys.executable, "-c", "import time; print(time.time())"]
        told = subprocess.run(words, env={**os.environ, **self.environ}, capture_output=True, text=True, check=False)
        self.to("+0")
        return told.returncode == 0 and float(told.stdout) > time.time() + YEAR_S
