"""The real Codex against a running Arbiter: it reads a file, edits it, runs a command and reports.

    npm install --prefix DIRECTORY @openai/codex
    python -m tests.compat.agents.codex DIRECTORY/node_modules/.bin/codex

With `--sandbox` behind it, over the sandbox instead of a script.

The runtime behind Arbiter plays a script, so that the tools are really run. In the middle the model that served fails, so that
Arbiter switches; then the session is taken up again. Codex gets a home of its own. Exits with 1 and says what was not as it should be.
Last tried: @openai/codex 0.171.0.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

from tests.compat.agents import sandbox
from tests.served import OPERATOR, TLS, served
from tests.stranger import Said, chunk, stranger, stream

SECRET = "the harbour is closed"
COMMANDS = ("cat notes.txt", "sed -i s/closed/open/ notes.txt", "cat notes.txt && echo checked")
REPORT = "The notes say that the harbour is open."
ASK = "Read notes.txt, put right that the harbour is open, and check it."
AGAIN = "Thank you. What did you do?"
LAST = "I edited notes.txt."
LIMIT_S = 120


class Script:
    """What the models say, by how many results they have seen; from the second step on the first model is ill."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.models: list[str] = []

    def say(self, body: bytes) -> Said:
        asked = json.loads(body)
        results = [one["content"] for one in asked["messages"] if one["role"] == "tool"]
        if not asked.get("tools") or not asked.get("stream"):
            return stream(chunk({"content": "Notes"}), chunk({}, "stop"))
        if len(results) >= 2 and asked["model"] == self.models[0]:
            return 500, "application/json", b'{"error":{"message":"this model is ill"}}'
        self.models.append(asked["model"])
        self.seen = results
        asks = [str(one["content"]) for one in asked["messages"] if one["role"] == "user"]
        if AGAIN in asks[-1]:
            return _says(LAST)
        if len(results) < len(COMMANDS):
            return _calls(len(results), asked["tools"])
        return _says(REPORT)


def _says(text: str) -> Said:
    usage = {"prompt_tokens": 9_000, "completion_tokens": 9, "total_tokens": 9_009}
    return stream(chunk({"reasoning_content": "Done."}), chunk({"content": text}), chunk({}, "stop", usage=usage))


def _calls(step: int, tools: list[dict[str, Any]]) -> Said:
    offered = {one["function"]["name"] for one in tools}
    assert "exec_command" in offered, f"Codex offers {sorted(offered)}"
    called = {"name": "exec_command", "arguments": json.dumps({"cmd": COMMANDS[step]})}
    call = {"index": 0, "id": f"call_{step}", "type": "function", "function": called}
    return stream(chunk({"content": f"Step {step}."}), chunk({"tool_calls": [call]}), chunk({}, "tool_calls"))


def main(codex: str) -> int:
    """Run it; 0 when all was as it should be."""
    wrong: list[str] = []
    script = Script()
    with tempfile.TemporaryDirectory() as one, stranger() as runtime:
        home, project, data = (Path(one) / name for name in ("home", "project", "data"))
        for directory in (home, project, data):
            directory.mkdir()
        (project / "notes.txt").write_text(f"{SECRET}\n")
        runtime.say = script.say
        with served(data, **runtime.settings, ARBITER_JUDGE_SAMPLE="0") as arbiter:
            for words, text in (((), ASK), (("resume", "--last"), AGAIN)):
                done = _run(codex, [*words, text], home, project, arbiter.url)
                sys.stdout.write(done.stdout)
                if done.returncode != 0:
                    wrong.append(f"Codex ended with {done.returncode}: {done.stderr[-2_000:]}")
            headers = {"authorization": f"Bearer {OPERATOR}"}
            with httpx.Client(base_url=arbiter.url, headers=headers, verify=TLS) as client:
                rows = client.get("/v1/recent?limit=50").json()["data"]
        if "open" not in (project / "notes.txt").read_text():
            wrong.append("the file was not edited")
    if len(script.seen) != len(COMMANDS) or SECRET not in script.seen[0] or "checked" not in script.seen[-1]:
        wrong.append(f"the results did not reach the models: {script.seen}")
    if len(set(script.models)) < 2:
        wrong.append(f"no model was switched: {script.models}")
    if failed := [row for row in rows if row["status"] != "ok"]:
        wrong.append(f"{len(failed)} requests failed, the first with {failed[0]['error_code']}")
    if len({row["conversation"] for row in rows}) != 1:
        wrong.append("the session was not one conversation")
    sys.stdout.write(
        f"{len(rows)} requests, models {', '.join(script.models)}\n{chr(10).join(wrong) or 'all is well'}\n"
    )
    return 1 if wrong else 0


def _run(codex: str, words: list[str], home: Path, project: Path, url: str) -> subprocess.CompletedProcess[str]:
    provider = f'{{name="arbiter",base_url="{url}/v1",env_key="ARBITER_KEY",wire_api="responses"}}'
    options = ["-c", "model=auto", "-c", "model_provider=arbiter", "-c", f"model_providers.arbiter={provider}"]
    flags = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    return subprocess.run(
        [codex, "exec", *options, *flags, *words],
        cwd=project,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "ARBITER_KEY": OPERATOR},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


if __name__ == "__main__":
    if "--sandbox" in sys.argv:
        sys.exit(sandbox.run("codex", sys.argv[1]))
    sys.exit(main(sys.argv[1]))
