"""Claude Code, unchanged and headless, through Arbiter over a scripted runtime: it reads, lists, edits, runs a command, reports.

Too big for the suite. Once:  npm install @anthropic-ai/claude-code  in a directory of your own; then

    python -m tests.compat.agents.claude_code DIRECTORY/node_modules/.bin/claude

With `--sandbox` behind it, over the sandbox instead of a script.

It runs in a home of its own and talks to this machine alone. Seen to pass with version 2.1.332.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.compat.agents import sandbox
from tests.conftest import OPERATOR, running
from tests.stranger import Said, chunk, plain, stranger, stream

LIMIT_S = 120
DONE = "The file now says gamma."


def call(at: int, name: str, tool: str, **given: Any) -> list[dict[str, Any]]:
    """A tool call in three pieces."""
    text = json.dumps(given)
    begin = {"index": at, "id": name, "type": "function", "function": {"name": tool, "arguments": ""}}
    pieces = (text[: len(text) // 2], text[len(text) // 2 :])
    rest = [{"index": at, "function": {"arguments": piece}} for piece in pieces]
    return [chunk({"tool_calls": [one]}) for one in (begin, *rest)]


def said(body: bytes, notes: Path) -> Said:
    """What the runtime says next, by how many results have come."""
    asked = json.loads(body)
    results = [one for one in asked["messages"] if one["role"] == "tool"]
    if not asked.get("tools"):
        return stream(chunk({"content": "A title"}), chunk({}, "stop")) if asked.get("stream") else plain()
    file = str(notes)
    turns = {
        0: [
            chunk({"reasoning_content": "Read first."}),
            chunk({"content": "Let me look."}),
            *call(0, "call_read", "Read", file_path=file),
            *call(1, "call_list", "Bash", command="ls", description="List"),
        ],
        2: call(0, "call_edit", "Edit", file_path=file, old_string="beta", new_string="gamma"),
        3: call(0, "call_show", "Bash", command="cat notes.txt; exit 3", description="Show"),
    }
    turn = turns.get(len(results))
    return stream(*turn, chunk({}, "tool_calls")) if turn else stream(chunk({"content": DONE}), chunk({}, "stop"))


def main(program: str) -> int:
    """Run it; the exit code."""
    with tempfile.TemporaryDirectory() as name, stranger() as runtime:
        home, project, store = (Path(name) / one for one in ("home", "project", "store"))
        for one in (home, project, store):
            one.mkdir()
        notes = project / "notes.txt"
        notes.write_text("alpha\nbeta\n")
        runtime.say = lambda body: said(body, notes)
        with running(store, **runtime.settings, ARBITER_JUDGE_SAMPLE="0") as gateway:
            environ = {
                "PATH": os.environ["PATH"],
                "HOME": str(home),
                "ANTHROPIC_BASE_URL": gateway.url,
                "ANTHROPIC_AUTH_TOKEN": OPERATOR,
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "DISABLE_TELEMETRY": "1",
            }
            ask = "Change beta to gamma in notes.txt, and show it."
            words = [program, "-p", ask, "--model", "auto", "--allowedTools", "Bash,Read,Edit"]
            ran = subprocess.run(
                [*words, "--permission-mode", "acceptEdits"],
                cwd=project,
                env=environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
            )
            rows = gateway.http.get("/v1/recent").json()["data"]
        print(ran.stdout, ran.stderr)
        found = {
            "it reports": DONE in ran.stdout and ran.returncode == 0,
            "the file is edited": notes.read_text() == "alpha\ngamma\n",
            "every request is answered": {row["status"] for row in rows} == {"ok"},
            "it is one conversation": len({row["conversation"] for row in rows}) == 1,
        }
        for what, holds in found.items():
            print("ok" if holds else "NOT", what)
        return 0 if all(found.values()) else 1


if __name__ == "__main__":
    if "--sandbox" in sys.argv:
        sys.exit(sandbox.run("claude", sys.argv[1]))
    sys.exit(main(sys.argv[1]))
