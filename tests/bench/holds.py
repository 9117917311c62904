"""What holds the event loop: `python -m tests.bench.holds [WORDS]` sends large things, one after the other, and tells the longest hold.

The gateway is in this process, as it is served, before a runtime that speaks one dialect (`large_runtime`); callers are processes of
their own. A timer of a millisecond ticks on the loop. What the process used of the CPU between two ticks is a hold: waiting
for a core that others have counts nothing, a thread that keeps the interpreter to itself counts. Prints for each case with these
words in its name the longest, and for those over 10 ms where the loop, or the thread beside it, was.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType

from tests.bench.dialects import WIRES
from tests.bench.in_process import serve_for
from tests.bench.large_requests import CASES
from tests.served import ROOT

TICK_S, LOOK_S, LONG_S, REST_S = 0.001, 0.003, 0.005, 0.3
DEEP = 4
MOST_BODY = 32_000_000
MOST_MS = 10.0
"""How long nothing should hold the loop."""


@dataclass(slots=True)
class Hold:
    """One: CPU milliseconds of the process and of the loop's thread, and where they went."""

    process_ms: float
    loop_ms: float
    where: list[str]


@dataclass(slots=True)
class Watch:
    """Ticks on the running loop and looks at it from a thread. `holds` are those over `LONG_S`."""

    holds: list[Hold] = field(default_factory=list)
    _at: tuple[float, float, float] = (0.0, 0.0, 0.0)
    _seen: list[str] = field(default_factory=list)
    _over: bool = False

    @contextmanager
    def on(self) -> Iterator[None]:
        """For as long as the block runs, on the loop that runs it."""
        loop_thread = threading.get_ident()
        self._over = False
        self._tick()
        thread = threading.Thread(target=self._look, args=(loop_thread,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over = True
            thread.join()

    def _tick(self) -> None:
        now, process, loop = time.perf_counter(), time.process_time(), time.thread_time()
        before, process_before, loop_before = self._at
        if before and now - before - TICK_S > LONG_S and process - process_before > LONG_S:
            used = (process - process_before) * 1000, (loop - loop_before) * 1000
            self.holds.append(Hold(*used, list(dict.fromkeys(self._seen))))
        self._seen = []
        if not self._over:
            self._at = time.perf_counter(), time.process_time(), time.thread_time()
            asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _look(self, loop_thread: int) -> None:
        own = threading.get_ident()
        while not self._over:
            time.sleep(LOOK_S)
            if time.perf_counter() - self._at[0] > LOOK_S + TICK_S:
                frames = sys._current_frames()
                told = [_told(frame) for thread, frame in frames.items() if thread not in (own, loop_thread)]
                self._seen += [_told(frames[loop_thread]), *(f"beside: {one}" for one in told if one)]


def _told(frame: FrameType) -> str:
    """The innermost functions of ours; empty for a thread that waits."""
    at = [one for one in traceback.extract_stack(frame) if "arbiter_app" in one.filename]
    inner = traceback.extract_stack(frame, 1)
    if not at or any(one in frame.f_code.co_filename for one in ("threading.py", "queue.py", "thread.py")):
        return ""
    own = [f"{one.filename.rpartition('arbiter_app/')[2]}:{one.lineno} {one.name}" for one in at[-DEEP:]]
    return " > ".join(own) + (
        "" if inner[-1] == at[-1] else f" > {inner[-1].filename.rpartition('/')[2]} {inner[-1].name}"
    )


def settings(wire: str, directory: Path, runtime: int) -> dict[str, str]:
    """One model that can do everything, at a runtime of this dialect, and bodies of 32 MB."""
    can = "vision = true\ntools = true\njson_schema = true\n"
    catalog = (
        f'[runtimes.it]\nbase_url = "http://127.0.0.1:{runtime}/v1"\ndialect = "{WIRES[wire]}"\n'
        f'[models.m]\ninput = 0.1\noutput = 0.3\ncontext = 40_000_000\n{can}[[models.m.deployments]]\nruntime = "it"\n'
    )
    (directory / "catalog.toml").write_text(catalog)
    parts = dict.fromkeys(("BASELINE_MODEL", "ARBITER_CLASSIFIER_MODEL", "ARBITER_JUDGE_MODEL"), "m")
    off = {
        "ARBITER_JUDGE_SAMPLE": "0",
        "ARBITER_CASCADE": "0",
        "ARBITER_SHADOW": "off",
        "ARBITER_LOG_LEVEL": "error",
    }
    return {
        **parts,
        **off,
        "ARBITER_CATALOG": str(directory / "catalog.toml"),
        "ARBITER_MAX_BODY_BYTES": str(MOST_BODY),
    }


async def measured(port: int, names: list[str], over_ms: float) -> None:
    """Send each, and print."""
    await (await _caller(port, "chat short prompt of sentences")).communicate(b"go")
    for name in names:
        caller, watch = await _caller(port, name), Watch()
        with watch.on():
            told, _ = await caller.communicate(b"go")
            await asyncio.sleep(REST_S)
        _show(name, told.decode().strip(), watch.holds, over_ms)


async def _caller(port: int, name: str) -> asyncio.subprocess.Process:
    """A process that sends this when it is told to, and says what came."""
    words = [sys.executable, "-m", "tests.bench.holds", "--send", str(port), name]
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdin=pipe, stdout=pipe)


def _show(name: str, told: str, holds: list[Hold], over_ms: float) -> None:
    holds = sorted(holds, key=lambda one: -one.process_ms)
    longest = holds[0].process_ms if holds else 0.0
    if longest < over_ms:
        return
    print(
        f"{name:<38} {longest:8.1f} ms  {len(holds):4} holds, {sum(one.process_ms for one in holds):8.1f} ms in all   {told}"
    )
    for one in holds[:3] if longest > MOST_MS else ():
        print(f"    {one.process_ms:.1f} ms, {one.loop_ms:.1f} of it the loop's")
        for place in one.where[:6]:
            print(f"        {place}")
    sys.stdout.flush()


def send(port: int, name: str) -> None:
    """Send a case's request, read all of the answer, and say what it was."""
    request = CASES[name].make()
    sys.stdin.read()
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.sendall(request)
        head, size = b"", 0
        while data := one.recv(1 << 20):
            size += len(data)
            head = (head + data)[:2_000] if len(head) < 2_000 else head
    status, _, body = head.partition(b"\r\n\r\n")
    print(status.split(b"\r\n")[0].decode(), f"{size:,} bytes", body[:150] if b" 200 " not in status[:20] else "")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.holds", description=__doc__)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--over", type=float, default=0.0, metavar="MS", help="only those that hold it for longer")
    parser.add_argument("--wire", choices=list(WIRES), help="only before a runtime of this dialect")
    parser.add_argument("--send", nargs=2, metavar=("PORT", "NAME"), help="only send one of them")
    given = parser.parse_args()
    if given.send:
        send(int(given.send[0]), given.send[1])
    elif given.wire:
        chosen = [
            name
            for name, case in CASES.items()
            if case.wire == given.wire and all(word in name.split() for word in given.words)
        ]
        serve_for(
            lambda port: measured(port, chosen, given.over),
            runtime="tests.bench.large_runtime",
            more=partial(settings, given.wire),
        )
    else:
        for wire in WIRES:
            subprocess.run(
                [sys.executable, "-m", "tests.bench.holds", *sys.argv[1:], "--wire", wire], cwd=ROOT, check=True
            )
