"""The command line: `python -m arbiter_app COMMAND`. Each command returns its exit code: 0 done, 1 not, 2 misused.

Commands that work on the store (keys, backup, export) may run while Arbiter serves; restore may not.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import importlib
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

import orjson

from arbiter_app import __version__, calibrate, doctor, example_env, logs
from arbiter_app.allocator import return_large_blocks
from arbiter_app.imports import importing
from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.types import Caller, Mode, Role, Task
from arbiter_app.services.csv_text import inert
from arbiter_app.services.keys import Keys
from arbiter_app.services.reads import exported
from arbiter_app.settings import Settings, SettingsError, load_settings
from arbiter_app.store import Store, StoreError, move, open_store
from arbiter_app.store.backends import StoreUnusable, backend_of, url_of
from arbiter_app.store.decisions import Filter
from arbiter_app.store.engine import prepare
from arbiter_app.store.upkeep import restore

log = logging.getLogger("arbiter")

OWN_ARGUMENTS = {"bench": "arbiter_app.bench.run", "replay": "arbiter_app.replay.run"}
OUTCOMES = ("ok", "failed", "aborted")
"""The statuses of a decision."""
STATUSES = {"pause": "paused", "resume": "active", "revoke": "revoked"}
_HERE = Caller("command line", Role.OPERATOR)
"""Whose acts the audit log says that those of a command are."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Problems with settings, store and keys are said in one line, without a stack."""
    words = list(sys.argv[1:] if argv is None else argv)
    _have_standard_files()
    if words and words[0] in OWN_ARGUMENTS:
        with importing():
            module = importlib.import_module(OWN_ARGUMENTS[words[0]])
        return int(module.main(words[1:]))
    given = _parser().parse_args(words)
    command: Callable[[Settings, argparse.Namespace], int] = given.command
    try:
        return command(load_settings(), given)
    except BrokenPipeError:  # who read our output has gone, and wants no more of it
        _drop_output()
        return 1
    except (SettingsError, StoreUnusable, StoreError, OSError) as error:
        print(f"arbiter: {error}", file=sys.stderr)
    except ArbiterError as error:
        print(f"arbiter: {error.message}", file=sys.stderr)
    return 1


def _have_standard_files() -> None:
    """Open what was closed: else the next file that is opened, the database, stands where others write to."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - it is for as long as the process


def _drop_output() -> None:
    """Nobody reads it: what is still to be written goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _hours(text: str) -> float:
    hours = float(text)
    if not 0 <= hours < math.inf:
        raise ValueError
    return hours


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m arbiter_app", description="A self-hosted LLM router.")
    parser.add_argument("--version", action="version", version=f"Arbiter {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[Settings, argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(command=run)
        return made

    serve = command("serve", _serve, "serve API and pages until told to stop")
    serve.add_argument("--no-pages", action="store_true", help="API and plain dashboard only; nothing is built")
    command("doctor", _doctor, "check versions, port, store and runtime, and show the effective settings")
    command("settings", _settings, "print every setting with its default, as an .env file")

    keys = command("keys", _keys, "create, list, pause, resume or revoke API keys")
    keys.add_argument("action", choices=["create", "list", *STATUSES])
    keys.add_argument(
        "key_id", nargs="?", help="the public id of the key to pause, resume or revoke: arb_ + 8 characters"
    )
    keys.add_argument("--role", choices=["caller", "operator"], default="caller")
    keys.add_argument("--email", default="", help="whose key it is")
    keys.add_argument("--label", default="", help="what it is for")

    backup = command("backup", _backup, "copy the store to a file, also while Arbiter serves")
    backup.add_argument("file", type=Path)
    back = command("restore", _restore, "put a backup in the place of the store; the present one is kept beside it")
    back.add_argument("file", type=Path)

    moving = command("move", _move, "copy a store into an empty one, such as a file into a PostgreSQL database")
    moving.add_argument("source", help="a SQLite file, or a URL as ARBITER_DB takes it; it is only read")
    moving.add_argument("target", help="another one; what is cut short goes on when it is begun again")

    export = command("export", _export, "write the decisions, newest first")
    export.add_argument("--format", choices=["csv", "jsonl"], default="csv")
    export.add_argument("--out", type=Path, help="a file; standard output when not given")
    for name, choices in (("task", Task), ("model", None), ("mode", Mode), ("status", OUTCOMES)):
        known = None if choices is None else [str(one) for one in choices]
        export.add_argument(f"--{name}", choices=known, help=f"only decisions of this {name}")
    export.add_argument("--hours", type=_hours, help="only the last so many hours")

    calibrate.arguments(
        command("calibrate", calibrate.run, "run your own prompts on every model, to start well informed")
    )
    commands.add_parser("bench", add_help=False, help="send a realistic workload to a running Arbiter")
    commands.add_parser("replay", add_help=False, help="run a policy over recorded traffic, offline")
    return parser


def _serve(settings: Settings, given: argparse.Namespace) -> int:
    return_large_blocks()  # before the first thread has a heap
    with importing():
        from arbiter_app.serve import serve
    hindrance = doctor.hindrance(settings)
    if hindrance:
        print(f"arbiter: {hindrance}", file=sys.stderr)
        return 1
    prepare(url_of(settings.db))
    logs.set_up(settings.log_level, content=settings.log_content, secrets=doctor.secrets_of(settings), limits=settings)
    return serve(settings, lambda port, first_key: _announce(settings, port, first_key), pages=not given.no_pages)


def _announce(settings: Settings, port: int, first_key: str | None) -> None:
    """What an operator has to know at the start; a new operator key is printed this once."""
    runtime = (
        "SANDBOX: answers are simulated, no model is asked; set GATEWAY_API_KEY for a real runtime"
        if settings.sandbox
        else settings.base_url
    )
    lines = [f"Arbiter {__version__} on {settings.url_at(port)}", f"  runtime       {runtime}"]
    if first_key is not None:
        lines.append(
            f"  operator key  {first_key}\n                made at this first start and shown this once: keep it"
        )
    try:
        print("\n".join(lines), flush=True)
    except OSError as error:  # a disk that is full, a reader that has gone: no reason not to serve
        _drop_output()
        log.warning("what is said at the start could not be written (%s); `keys create` makes a key", error)


def _doctor(settings: Settings, given: argparse.Namespace) -> int:
    return doctor.run(settings, print)


def _settings(settings: Settings, given: argparse.Namespace) -> int:
    print(example_env.render(), end="")
    return 0


def _keys(settings: Settings, given: argparse.Namespace) -> int:
    if given.action in STATUSES and not given.key_id:
        print(f"arbiter: which key? `keys list` shows the ids, then: keys {given.action} ID", file=sys.stderr)
        return 2
    return _with_store(settings, lambda store: _keys_in(Keys(store, settings), given))


async def _keys_in(keys: Keys, given: argparse.Namespace) -> int:
    if given.action == "create":
        minted = await keys.mint(given.role, given.email, given.label, _HERE)
        print(minted.secret)
        print(f"{given.role} key {minted.key.id}; it is shown this once", file=sys.stderr)
    elif given.action == "list":
        await keys.refresh()
        for key in keys.listing():
            made = time.strftime("%Y-%m-%d %H:%M", time.localtime(key["created"]))
            print(
                f"{key['key_id']}  {key['role']:<8}  {key['status']:<7}  {made}  {key['email']}  {key['label']}".rstrip()
            )
    else:
        await keys.refresh()  # so that the log tells what it was
        await keys.set_status(_HERE, given.key_id, STATUSES[given.action])
        print(f"{given.key_id} is {STATUSES[given.action]}")
    return 0


def _backup(settings: Settings, given: argparse.Namespace) -> int:
    if given.file.exists():
        print(f"arbiter: {given.file} exists; choose another name", file=sys.stderr)
        return 1
    if not _is_there(settings):
        return 1
    code = _with_store(settings, lambda store: store.back_up(given.file))
    print(f"{given.file}: {given.file.stat().st_size:,} bytes")
    return code


def _restore(settings: Settings, given: argparse.Namespace) -> int:
    path = backend_of(url_of(settings.db)).path
    if path is None:
        print("arbiter: restore works on a SQLite file; use the database's own tools for this store", file=sys.stderr)
        return 1
    if doctor.serving(settings) is not None:
        print(
            f"arbiter: an Arbiter is serving on {settings.host}:{settings.port}; stop it, then restore", file=sys.stderr
        )
        return 1
    kept = restore(given.file, path)
    print(f"{path} is now {given.file}" + (f"; what was there is kept as {kept}" if kept else ""))
    return 0


def _move(settings: Settings, given: argparse.Namespace) -> int:
    move.move(given.source, given.target, print)
    return 0


def _export(settings: Settings, given: argparse.Namespace) -> int:
    since = time.time() - given.hours * 3600 if given.hours is not None else None
    if not _is_there(settings):
        return 1
    narrowed = Filter(task=given.task, model=given.model, mode=given.mode, status=given.status, since=since)

    async def write(store: Store) -> int:
        rows = store.stretch(narrowed)
        if given.out is None:
            return _write(rows, given.format, sys.stdout)
        with given.out.open("w", encoding="utf-8", newline="") as file:
            return _write(rows, given.format, file)

    return _with_store(settings, write)


def _write(rows: Iterable[dict[str, Any]], form: str, file: TextIO) -> int:
    writer = None
    for row in map(exported, rows):
        if form == "jsonl":
            file.write(orjson.dumps(row).decode() + "\n")
            continue
        if writer is None:
            writer = csv.DictWriter(file, fieldnames=list(row))
            writer.writeheader()
        writer.writerow({name: cell(value) for name, value in row.items()})
    return 0


def cell(value: object) -> object:
    """A value for CSV: empty for unknown, and nothing that a spreadsheet would take for a formula."""
    if isinstance(value, list | dict):
        value = orjson.dumps(value).decode()
    return "" if value is None else inert(value) if isinstance(value, str) else value


def _is_there(settings: Settings) -> bool:
    """Whether there is a database to read; says so where there is none, as where `ARBITER_DB` is relative to another directory."""
    path = backend_of(url_of(settings.db)).path
    if path is None or path.exists():
        return True
    print(f"arbiter: there is no database {path.absolute()}; ARBITER_DB says where it is", file=sys.stderr)
    return False


def _with_store(settings: Settings, work: Callable[[Store], Any]) -> int:
    """Run a coroutine function with the open store; its result is the exit code, None means 0."""
    store = open_store(settings.db, durability=settings.durability)
    try:
        return asyncio.run(work(store)) or 0
    finally:
        store.close()
