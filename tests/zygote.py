"""Arbiter's command in processes that are forked from one which has its modules imported: that takes most of a start's CPU time.

What runs is `arbiter_app.cli.main` with words, environment, output and signals of its own; only Python's start and the imports have
happened before. Whatever is about those starts the command itself: `served(..., command=True)`.

`python -m tests.zygote SOCKET MODULE...` is the process that is forked. It has one thread, and has opened nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

from arbiter_app.imports import importing

ROOT = Path(__file__).resolve().parent.parent
SERVING, PAGES = ("arbiter_app.cli", "arbiter_app.serve"), ("arbiter_app.arbiter_app",)
LONGEST_BYTES = 1_000_000
NUMBER = struct.Struct("i")
LOST = 255
"""The exit code of a process of which nobody was left to tell."""


class Forked:
    """A forked process, as `subprocess.Popen` shows one."""

    def __init__(self, told: int) -> None:
        """`told` is a pipe by which its id comes, then how it ended."""
        self._told = told
        self.pid = self._hear()
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code. Raises subprocess.TimeoutExpired."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("a forked Arbiter", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, within_s: float | None) -> int | None:
        if self.returncode is None and select.select([self._told], [], [], within_s)[0]:
            self.returncode = self._hear()
            os.close(self._told)
        return self.returncode

    def _hear(self) -> int:
        said = os.read(self._told, NUMBER.size)
        return int(NUMBER.unpack(said)[0]) if said else LOST


def fork(words: list[str], environ: dict[str, str], output: int, *, pages: bool = False) -> Forked:
    """Run `python -m arbiter_app WORDS` with this environment; what it prints goes to the file `output`."""
    told, tells = os.pipe()
    try:
        ask = json.dumps({"words": words, "environ": environ}).encode()
        socket.send_fds(_zygote(pages), [ask], [output, tells])
    finally:
        os.close(tells)
    return Forked(told)


@functools.cache
def _zygote(pages: bool) -> socket.socket:
    """The way to a process to fork, which ends with this one."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    modules = SERVING + PAGES if pages else SERVING
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "tests.zygote", str(its.fileno()), *modules],
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "REFLEX_ENV_MODE": "prod", "REFLEX_SKIP_COMPILE": "1"},
        stdin=subprocess.DEVNULL,
        pass_fds=[its.fileno()],
    )
    its.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _main(door: socket.socket, modules: list[str]) -> int:
    with importing():
        for module in modules:
            importlib.import_module(module)
    assert len(os.listdir("/proc/self/task")) == 1, "a fork has one thread"
    gc.collect()  # what importing has left, which is little: no fork is to do that again
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        said, files, _, _ = socket.recv_fds(door, LONGEST_BYTES, 2)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not said:
            return 0
        if os.fork() == 0:
            door.close()
            ask = json.loads(said)
            return _keep(ask["words"], ask["environ"], *files)
        for file in files:
            os.close(file)


def _keep(words: list[str], environ: dict[str, str], output: int, tells: int) -> int:
    """Tells of the process that serves: its id, and how it ended."""
    if pid := os.fork():
        os.close(output)
        os.write(tells, NUMBER.pack(pid))
        os.write(tells, NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
        os._exit(0)
    os.close(tells)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):  # a run in the background ignores them
        signal.signal(number, signal.SIG_DFL)
    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv[1:] = words
    return int(sys.modules["arbiter_app.cli"].main())


if __name__ == "__main__":
    sys.exit(_main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:]))
