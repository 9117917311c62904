"""Real coding agents, unchanged and headless, through Arbiter over its sandbox: no key, no script; the simulated models do the work.

    npm install --prefix DIRECTORY @anthropic-ai/claude-code @openai/codex opencode-ai cline @continuedev/cli
    python -m tests.compat.agents.sandbox claude DIRECTORY/node_modules/.bin/claude
    python -m tests.compat.agents.sandbox codex DIRECTORY/node_modules/.bin/codex
    python -m tests.compat.agents.sandbox opencode DIRECTORY/node_modules/.bin/opencode
    python -m tests.compat.agents.sandbox cline DIRECTORY/node_modules/.bin/cline
    python -m tests.compat.agents.sandbox continue DIRECTORY/node_modules/.bin/cn

A third word is the dialect that the sandbox speaks: openai-chat, which it is else, anthropic-messages or openai-responses.
Each reads a file, edits it, runs a command and reports; in the middle the model that serves falls ill, so that Arbiter switches. They get
a home of their own and two minutes. `--sandbox` at the scripts of Claude Code and Codex is the same. Exits with 1 and says what was not
as it should be. Last tried: Claude Code 2.1.332, Codex 0.171.0, opencode 1.18.33, Cline 3.0.65, Continue's CLI 1.5.47.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from arbiter_app.runtime.sandbox import world
from arbiter_app.runtime.sandbox.world import Fault
from tests.conftest import OPERATOR, Running, running
from tests.waiting import PATIENCE_S

LIMIT_S = 120
ASK = "Change beta to gamma in notes.txt, run `cat notes.txt`, and report."
REPORT = "changed beta to gamma in notes.txt"
LOOK_S = 0.01
LARGEST = 1_000_000
"""Bytes of a request that the sandbox keeps to be looked at: Claude Code's are larger than it keeps else."""
Command = tuple[list[str], dict[str, str]]


def claude(program: str, url: str, project: Path) -> Command:
    """Claude Code, over Messages."""
    words = [
        program,
        "-p",
        ASK,
        "--model",
        "auto",
        "--allowedTools",
        "Bash,Read,Edit",
        "--permission-mode",
        "acceptEdits",
    ]
    environ = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_AUTH_TOKEN": OPERATOR}
    return words, {**environ, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_TELEMETRY": "1"}


def codex(program: str, url: str, project: Path) -> Command:
    """Codex, over Responses."""
    provider = f'{{name="arbiter",base_url="{url}/v1",env_key="ARBITER_KEY",wire_api="responses"}}'
    options = ["-c", "model=auto", "-c", "model_provider=arbiter", "-c", f"model_providers.arbiter={provider}"]
    flags = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    return [program, "exec", *options, *flags, ASK], {"ARBITER_KEY": OPERATOR}


def opencode(program: str, url: str, project: Path) -> Command:
    """opencode, over chat completions."""
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Arbiter",
        "options": {"baseURL": f"{url}/v1", "apiKey": OPERATOR},
        "models": {"auto": {"name": "auto"}},
    }
    config = {"$schema": "https://opencode.ai/config.json", "provider": {"arbiter": provider}, "permission": "allow"}
    (project / "opencode.json").write_text(json.dumps(config))
    return [program, "run", "--model", "arbiter/auto", ASK], {"OPENCODE_DISABLE_AUTOUPDATE": "1"}


def cline(program: str, url: str, project: Path) -> Command:
    """Cline's command line, over chat completions."""
    provider = [program, "auth", "-p", "openai", "-k", OPERATOR, "-m", "auto", "-b", f"{url}/v1"]
    return ["sh", "-c", f"{shlex.join(provider)} && {shlex.join([program, '--json', ASK])}"], {}


def continues(program: str, url: str, project: Path) -> Command:
    """Continue's command line, over chat completions."""
    model = {"name": "auto", "provider": "openai", "model": "auto", "apiBase": f"{url}/v1", "apiKey": OPERATOR}
    able = {"roles": ["chat"], "capabilities": ["tool_use"]}
    config = {"name": "Arbiter", "version": "0.0.1", "schema": "v1", "models": [{**model, **able}]}
    (project / "config.yaml").write_text(json.dumps(config))
    return [program, "-p", "--auto", "--config", "config.yaml", ASK], {"CONTINUE_TELEMETRY_ENABLED": "0"}


AGENTS: dict[str, Callable[[str, str, Path], Command]] = {
    "claude": claude,
    "codex": codex,
    "opencode": opencode,
    "cline": cline,
    "continue": continues,
}


@contextlib.contextmanager
def ill_in_the_middle(gateway: Running) -> Iterator[list[str]]:
    """The first model that is sent a result falls ill after that; gives its name."""
    ill: list[str] = []
    over = threading.Event()

    def watch() -> None:
        while not ill and not over.wait(LOOK_S):
            asked = [one for one in list(gateway.world.payloads) if any(m["role"] == "tool" for m in one["messages"])]
            if asked:
                ill.append(asked[0]["model"])
                gateway.world.faults[ill[0]] = Fault(status=500)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield ill
    finally:
        over.set()
        watching.join(PATIENCE_S)


def run(agent: str, program: str, dialect: str = "openai-chat") -> int:
    """Run it, with a sandbox that speaks a dialect; the exit code."""
    world.KEPT_BYTES = LARGEST
    with tempfile.TemporaryDirectory() as name:
        home, project, store = (Path(name) / one for one in ("home", "project", "store"))
        for one in (home, project, store):
            one.mkdir()
        notes = project / "notes.txt"
        notes.write_text("alpha\nbeta\n")
        with (
            running(store, ARBITER_JUDGE_SAMPLE="0", ARBITER_SANDBOX_DIALECT=dialect) as gateway,
            ill_in_the_middle(gateway) as ill,
        ):
            words, environ = AGENTS[agent](program, gateway.url, project)
            ran = subprocess.run(
                words,
                cwd=project,
                env={"PATH": os.environ["PATH"], "HOME": str(home), **environ},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
                check=False,
            )
            rows = gateway.http.get("/v1/recent?limit=100").json()["data"]
            cached = gateway.world.cached_tokens
        sys.stdout.write(f"{ran.stdout}\n{ran.stderr[-2_000:]}\n{len(rows)} requests\n")
        work = {row["conversation"] for row in rows if row["failover_from"]}
        found = {
            "it reports": REPORT in ran.stdout and ran.returncode == 0,
            "the file is edited": notes.read_text() == "alpha\ngamma\n",
            "every request is answered": {row["status"] for row in rows} == {"ok"},
            "the model was switched in the middle": bool(ill) and len(work) == 1,
            "what was sent before is cached": cached > 0,
        }
    for what, holds in found.items():
        sys.stdout.write(f"{'ok' if holds else 'NOT'} {what}\n")
    return 0 if all(found.values()) else 1


if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:]))
