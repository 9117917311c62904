"""Aider, which streams chat completions by way of LiteLLM: python aider_chat.py URL KEY."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

URL, KEY = sys.argv[1:]
QUIET = ["--yes-always", "--no-git", "--no-check-update", "--no-analytics", "--no-show-model-warnings", "--no-pretty"]
ASK = ["--chat-mode", "ask", "--message", "What is 17 * 23?"]

with tempfile.TemporaryDirectory() as home:
    environ = {**os.environ, "HOME": home, "OPENAI_API_BASE": f"{URL}/v1", "OPENAI_API_KEY": KEY}
    words = [sys.executable, "-m", "aider", "--model", "openai/auto", *QUIET, *ASK]
    said = subprocess.run(
        words, cwd=home, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
assert "391" in said.stdout, said.stdout
