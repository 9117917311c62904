"""`calibrate FILE`: run your own prompts on every model of a running Arbiter, with the price first and a cap on it."""

from __future__ import annotations

import argparse
import signal
import threading
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from arbiter_app.bench.client import Client, Unreachable
from arbiter_app.bench.operating import agreed, operator_key
from arbiter_app.pipeline.types import Json
from arbiter_app.settings import Settings

POLL_S = 0.5
ACTIVE = "running"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("file", type=Path, help="JSON Lines: prompt or messages; task, reference, regex, schema")
    parser.add_argument("--max-usd", type=float, help="stop before it has cost so much; 1 when not given")
    parser.add_argument("--base-url", help="the running Arbiter; the one of the settings when not given")
    parser.add_argument("--key", help="an operator key; made for the run in the local store when not given")
    parser.add_argument("--yes", action="store_true", help="start without asking")
    parser.add_argument("--again", action="store_true", help="run anew what was run before")


def run(settings: Settings, given: argparse.Namespace) -> int:
    """Estimate, ask, run, show. Ctrl-C cancels cleanly; the same command goes on where it ended."""
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    url = given.base_url or settings.own_url
    try:
        with closing(Client(url, "")) as nobody:
            nobody.get("/health")
        with (
            operator_key(settings, given.key, url, "calibrate", foreign=bool(given.base_url)) as key,
            closing(Client(url, key)) as client,
        ):
            return _run(client, given, console)
    except Unreachable as error:
        console.print(f"arbiter: {error}; start it with `serve`")
    except (ValueError, UnicodeDecodeError) as error:
        console.print(f"arbiter: {given.file}: {error}")
    return 1


def _run(client: Client, given: argparse.Namespace, console: Console) -> int:
    body: Json = {"jsonl": given.file.read_text("utf-8"), "again": given.again}
    if given.max_usd is not None:
        body["max_usd"] = given.max_usd
    made = client.post("/v1/calibrations", body)
    if made["state"] == "done" and not made["failed"] and made["done"] == made["total"]:
        console.print(f"{made['id']} was run before; --again runs it anew")
        _show(made)
        return 0
    cap = given.max_usd if given.max_usd is not None else float(made["max_usd"])
    console.print(
        f"{made['id']}: {made['prompts']} prompts on {made['models']} models, {made['total'] - made['done']} calls to make, "
        f"about ${made['estimate_usd']:.4f} in all, at most ${cap:g}"
    )
    if made["state"] != ACTIVE:
        if not given.yes and not agreed():
            console.print("nothing was called")
            return 1
        client.post(f"/v1/calibrations/{made['id']}/start", {"max_usd": cap})
    seen = _follow(client, made["id"], console)
    _show(seen)
    console.print(f"{seen['state']}: {seen['done']} of {seen['total']} calls, ${seen['spent_usd']:.6f}. {seen['note']}")
    for why in seen["failures"]:
        console.print(f"failed: {why}")
    return 0 if seen["state"] == "done" and not seen["failed"] else 1


def _follow(client: Client, calibration_id: str, console: Console) -> Json:
    """The calibration at its end, with a progress bar until then; Ctrl-C cancels it."""
    stopped = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: stopped.set())
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("calls  ${task.fields[usd]:.6f}"))
    try:
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=1, usd=0.0)
            while True:
                seen = client.get(f"/v1/calibrations/{calibration_id}")
                bar.update(task, total=seen["total"], completed=seen["done"], usd=seen["spent_usd"])
                if seen["state"] != ACTIVE:
                    return seen
                if stopped.wait(POLL_S):
                    return client.post(f"/v1/calibrations/{calibration_id}/cancel")
    finally:
        signal.signal(signal.SIGINT, before)


def _show(seen: Json) -> None:
    """The table of task and model on standard output."""
    table = Table("task", "model", "quality", "USD a call", "n", "graded", box=None, header_style="")
    for name in ("quality", "USD a call", "n", "graded"):
        next(column for column in table.columns if column.header == name).justify = "right"
    for row in seen["table"]:
        quality = "unknown" if row["quality"] is None else f"{row['quality']:.2f}"
        cost = "unknown" if row["mean_cost"] is None else f"{row['mean_cost']:.6f}"
        graded = f"{row['graded']}" + (f", {row['judged']} by the judge" if row["judged"] else "")
        table.add_row(row["bucket"], row["model"], quality, cost, str(row["n"]), graded)
    Console(width=120).print(table)
