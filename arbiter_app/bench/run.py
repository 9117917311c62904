"""`python -m arbiter_app bench`: send a workload to a running Arbiter, watch spend and saving, check its books."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TextIO

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from arbiter_app.bench.client import BenchAnswer, Client, Unreachable
from arbiter_app.bench.operating import agreed, operator_key
from arbiter_app.bench.tally import Tally, problems
from arbiter_app.bench.truth import NoTruth, told, truth, world_of
from arbiter_app.bench.workload import Ask, NoPrompts, from_prompts, read_prompts, workload
from arbiter_app.pipeline.types import Json
from arbiter_app.settings import Settings, SettingsError, load_settings
from arbiter_app.store.backends import StoreUnusable

WIDE = 120


def main(argv: Sequence[str], console: Console | None = None) -> int:
    """Run it. 0 when every answer is on record and the report is exact, else 1."""
    given = _parser().parse_args(argv)
    out = console or Console(width=None if sys.stdout.isatty() else WIDE)
    try:
        settings = load_settings()
        url = given.url or settings.own_url
        asks = _asks(given)
        with closing(Client(url, "")) as nobody:
            nobody.get("/health")
        with (
            operator_key(settings, given.key, url, "bench", foreign=bool(given.url)) as key,
            closing(Client(url, key)) as client,
        ):
            if not (given.yes or _free(client, given, out) or agreed()):
                out.print("nothing was sent")
                return 1
            return _bench(client, asks, given, settings, out)
    except (Unreachable, NoPrompts, SettingsError, StoreUnusable, ValueError, OSError) as error:
        out.print(f"bench: {error}", markup=False, highlight=False)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m arbiter_app bench", description=__doc__)
    parser.add_argument("--n", type=int, default=300, help="requests to send")
    parser.add_argument("--fresh", action="store_true", help="reset first: forget policy, feed, alerts and counters")
    parser.add_argument("--yes", action="store_true", help="start without asking, also where models are real")
    parser.add_argument("--url", help="the running Arbiter; the one of the settings when not given")
    parser.add_argument("--key", help="an operator key; made for the run in the local store when not given")
    parser.add_argument("--concurrency", type=int, default=8, help="requests in flight")
    parser.add_argument("--prompts", type=Path, help="JSONL or Parquet with a column `prompt`; n of them, at random")
    parser.add_argument("--stream-share", type=float, default=0.3, help="share of requests that are streamed, 0 to 1")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, help="write one JSON line a request: prompt, status, and what Arbiter said")
    return parser


def _free(client: Client, given: argparse.Namespace, out: Console) -> bool:
    """Whether it costs and loses nothing that matters, as with simulated models; else says what."""
    if client.get("/v1/overview")["mode"] == "sandbox":
        return True
    out.print(f"This Arbiter has a real runtime: {given.n} requests will be charged.", soft_wrap=True)
    if given.fresh:
        out.print("--fresh forgets first all that it has learned, recorded and summed.", soft_wrap=True)
    return False


def _asks(given: argparse.Namespace) -> list[Ask]:
    if given.n < 1 or given.concurrency < 1:
        raise NoPrompts("--n and --concurrency must be at least 1")
    if given.prompts is None:
        return workload(given.n, given.seed, given.stream_share)
    return from_prompts(read_prompts(given.prompts), given.n, given.seed, given.stream_share)


def _bench(client: Client, asks: list[Ask], given: argparse.Namespace, settings: Settings, out: Console) -> int:
    if given.fresh:
        client.post("/v1/reset")
    before = client.get("/v1/report")
    started = time.monotonic()
    with ExitStack() as stack:
        log = stack.enter_context(given.log.open("w")) if given.log else None
        pool = stack.enter_context(ThreadPoolExecutor(given.concurrency))
        tally = _send_all(client, asks, pool, log, out)
        took_s = time.monotonic() - started
        recorded = dict(zip(tally.costs, pool.map(lambda one: _recorded(client, one), tally.costs), strict=True))
    after = client.get("/v1/report")
    out.print(_settled(client.get("/v1/policy"), tally), _classified(tally))
    _totals(tally, after, took_s, out)
    out.print(_truth(tally, recorded, after, settings), soft_wrap=True)
    found = list(problems(tally, recorded, before, after))
    for problem in found:
        out.print(f"NOT RIGHT: {problem}", style="bold red", markup=False)
    if not found:
        done = f"checked: {len(recorded)} decisions on record; the report is the exact sum of the returned costs"
        out.print(done, soft_wrap=True)
    return 1 if found else 0


def _truth(tally: Tally, recorded: Mapping[str, Json | None], report: Json, settings: Settings) -> str:
    kept = {decision_id: row for decision_id, row in recorded.items() if row is not None}
    try:
        return told(truth(world_of(settings), tally.asked, kept, report))
    except NoTruth as why:
        return f"no ground truth: {why}"


def _send_all(client: Client, asks: list[Ask], pool: ThreadPoolExecutor, log: TextIO | None, out: Console) -> Tally:
    tally = Tally()
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[money]}"), TimeRemainingColumn())
    with Progress(*columns, console=out) as progress:
        bar = progress.add_task("requests", total=len(asks), money="")
        sent = {pool.submit(client.chat, ask.body): ask for ask in asks}
        for future in as_completed(sent):
            answer = future.result()
            tally.add(answer, sent[future].body)
            if log is not None:
                log.write(_log_line(sent[future], answer))
            progress.update(bar, advance=1, money=f"spent ${tally.spend:.6f}  saved ${tally.saved:.6f}")
    return tally


def _recorded(client: Client, decision_id: str) -> Json | None:
    try:
        return client.get(f"/v1/decisions/{decision_id}")
    except ValueError:
        return None


def _log_line(ask: Ask, answer: BenchAnswer) -> str:
    line = {
        "kind": ask.kind,
        "prompt": ask.body["messages"][-1]["content"],
        "status": answer.status,
        "error": answer.error,
        "latency_ms": round(answer.latency_ms, 1),
        "arbiter": answer.arbiter,
    }
    return json.dumps(line, default=str, ensure_ascii=False) + "\n"


def _settled(policy: Json, tally: Tally) -> Table:
    """Per bucket of this run, the model that an exploiting request would get now."""
    table = Table(title="What each task settled on", title_justify="left", box=SIMPLE)
    for name in ("task", "calls", "model", "share", "graded", "quality", "mean cost"):
        table.add_column(
            name, justify="left" if name in ("task", "model") else "right", no_wrap=name != "model", overflow="fold"
        )
    for bucket, models in sorted(tally.models.items()):
        row: Json = next((one for one in policy["buckets"].get(bucket, ()) if one["chosen"]), {})
        model, calls = row.get("model", "nothing yet"), models.total()
        quality, cost = row.get("quality"), row.get("avg_cost")
        table.add_row(
            bucket,
            str(calls),
            model,
            f"{models[model] / calls:.0%}",
            f"{row.get('n', 0):.0f}",
            "unknown" if quality is None else f"{quality:.2f}",
            "unknown" if cost is None else f"${cost:.6f}",
        )
    return table


def _classified(tally: Tally) -> Table:
    """How many requests each task got, and how that was decided."""
    ways = sorted({way for counts in tally.tasks.values() for way in counts})
    table = Table(title="Classified by", title_justify="left", box=SIMPLE)
    table.add_column("task")
    for way in (*ways, "all"):
        table.add_column(way, justify="right")
    for task, counts in sorted(tally.tasks.items()):
        table.add_row(task, *(str(counts[way]) for way in ways), str(counts.total()))
    table.add_row("all", *(str(sum(counts[way] for counts in tally.tasks.values())) for way in ways), str(tally.done))
    return table


def _totals(tally: Tally, report: Json, took_s: float, out: Console) -> None:
    p50, p95 = tally.quantile_ms(0.50), tally.quantile_ms(0.95)
    statuses = ", ".join(f"{n} x {status or 'no answer'}" for status, n in sorted(tally.statuses.items()))
    modes = ", ".join(f"{mode} {n}" for mode, n in tally.modes.most_common())
    out.print(f"{tally.done} requests in {took_s:.1f} s: {statuses}; {modes}", soft_wrap=True)
    if p50 is not None and p95 is not None:
        out.print(f"latency p50 {p50:.0f} ms, p95 {p95:.0f} ms")
    share = "unknown" if report["saved_pct"] is None else f"{report['saved_pct']:.1f} %"
    out.print(
        f"report: {report['calls']} calls, spent ${report['actual_spend_exact']} "
        f"(judge ${report['judge_spend']}), baseline ${report['baseline_spend']}, saved {share}",
        soft_wrap=True,
    )
    if tally.unknown_costs:
        out.print(f"{tally.unknown_costs} answers came without a known cost")
    for message, n in tally.errors.most_common(5):
        out.print(f"{n} x {message}", markup=False, highlight=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
