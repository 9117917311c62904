"""A published benchmark: its own table of routers, with Arbiter's row from the data that the user fetched.

CodeRouterBench (Zhou et al., Agent-as-a-Router, arXiv:2606.22902v3, table 12; MIT) scores eight models on 2,919 coding tasks of nine
dimensions. The regret of a choice is what the best one for that task would have been worth more, where an answer is worth its score less
a tenth of its dollars. What is asked beside answers counts as money spent. In the results that were released the best choice for each task
scores 60.02 %, not the 57.00 % of the published oracle, so regret over all tasks is told against either.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from arbiter_app.policy import PolicySettings
from arbiter_app.replay.one_run import Result, fingerprint, run_seeded
from arbiter_app.replay.seeded_stream import Run, SeededStream
from arbiter_app.replay.traffic import Floats, Row, Stream, TrafficError, read_table, streams

USD_WEIGHT = 0.1
"""What a dollar counts against a score of 1."""
AT = (100, 300, 1_000)
"""Requests after which the regret is told, besides all."""


class Published(NamedTuple):
    """A router's line: mean score in per cent, dollars, and regret after all tasks."""

    router: str
    score: float
    usd: float
    regret: float


class Benchmark(NamedTuple):
    """What was published: how many tasks, and every router's line."""

    title: str
    tasks: int
    lines: tuple[Published, ...]


BENCHMARKS = {
    "coderouterbench": Benchmark(
        "CodeRouterBench, in distribution",
        2_919,
        (
            Published("Oracle", 57.00, 6.95, 0.0),
            Published("ACRouter", 49.98, 13.21, 205.5),
            Published("DimensionBest", 47.50, 12.89, 277.4),
            Published("LogReg", 47.26, 7.54, 284.4),
            Published("RouteLLM-BERT", 47.22, 7.59, 285.5),
            Published("kNN Retrieval", 47.18, 7.77, 286.7),
            Published("TF-IDF+MLP", 46.97, 7.69, 292.8),
            Published("LinUCB", 46.84, 10.69, 296.9),
            Published("LinTS", 46.48, 10.35, 307.4),
            Published("Qwen3.5-0.8B-FT", 46.41, 6.81, 309.1),
            Published("RouteLLM-MF", 46.16, 7.46, 316.5),
            Published("Always-Opus 4.6", 43.83, 34.02, 387.1),
            Published("Random", 38.75, 15.64, 533.6),
            Published("Always-Qwen3.5-Plus", 37.16, 18.14, 580.2),
            Published("Always-Kimi-K2.5", 36.66, 2.90, 593.3),
        ),
    )
}
"""Published tables by the name of the benchmark."""
_COLUMNS = {"dimension": "task", "task_id": "prompt_id", "score": "quality", "input_tokens": "prompt_tokens"}
"""What the benchmark's own files call the columns of recorded traffic."""


def read(path: Path) -> Stream:
    """The one stream of a file, in the benchmark's own columns or those of recorded traffic (of several datasets the one whose tasks are
    the dimensions: `crb_dim`). Raises TrafficError."""
    rows: list[Row] = [{_COLUMNS.get(name, name): value for name, value in row.items()} for row in read_table(path)]
    found = streams(rows, {})
    by_dimension = [one for one in found if one.name == "crb_dim"] or found
    if len(by_dimension) != 1:
        raise TrafficError(f"{path}: {len(found)} datasets; a benchmark is one")
    return by_dimension[0]


def regrets(stream: Stream, seeded: SeededStream, run: Run) -> Floats:
    """The regret so far after each request [n], of one run."""
    worth = stream.quality[seeded.order] - USD_WEIGHT * stream.cost[seeded.order]
    chosen = worth[np.arange(len(run.picks)), run.picks] - USD_WEIGHT * run.beside
    so_far: Floats = np.cumsum(worth.max(axis=1) - chosen)
    return so_far


class Line(NamedTuple):
    """A router's figures here, means over the orders: score in per cent, dollars, and regret at `AT` (None: fewer tasks) and at the end."""

    router: str
    score: float
    usd: float
    regret: tuple[float | None, ...]


def measured(stream: Stream, seeds: int, baseline: str, settings: PolicySettings) -> Iterator[Line]:
    """Arbiter's line, and what hindsight would have chosen."""
    for name, shown in (
        ("arbiter", "Arbiter"),
        ("hindsight_static", "hindsight: cheapest within 0.05"),
        ("always_best", "hindsight: best single model"),
    ):
        runs: list[tuple[Result, Floats]] = []
        for seed in range(seeds):
            seeded, run, figures = run_seeded(stream, name, seed, baseline=baseline, settings=settings)
            runs.append((figures, regrets(stream, seeded, run)))
        ends = [at if at <= len(stream) else None for at in AT] + [len(stream)]
        yield Line(
            shown,
            100 * fmean(figures["quality"] for figures, _ in runs),
            fmean(figures["cost_usd"] for figures, _ in runs),
            tuple(None if at is None else fmean(float(one[at - 1]) for _, one in runs) for at in ends),
        )


def _as_published(benchmark: Benchmark, line: Line, share: float) -> float:
    """The regret over all tasks against the oracle that was published: that of the results that were released has a higher score."""
    oracle = next(one for one in benchmark.lines if one.regret == 0)
    return (oracle.score - line.score) / 100 * benchmark.tasks + USD_WEIGHT * (line.usd / share - oracle.usd)


def show(args: argparse.Namespace, settings: PolicySettings, console: Console) -> None:
    """Print the published lines and those of this replay, best score first. Raises TrafficError."""
    benchmark, stream = BENCHMARKS[args.benchmark], read(args.file)
    share = len(stream) / benchmark.tasks
    table = Table(
        title=f"{benchmark.title}: regret at so many tasks, against the best of the file, and as published",
        title_justify="left",
        box=SIMPLE,
    )
    at = *(f"at {at:,}" for at in AT), "at all"
    for column in ("router", "score %", "USD here", f"USD of {benchmark.tasks:,}", *at, "as published", "from"):
        table.add_column(column, justify="left" if column in ("router", "from") else "right", no_wrap=True)
    lines = list[tuple[float, Sequence[str]]]()
    for one in benchmark.lines:
        cells = one.router, f"{one.score:.2f}", "-", f"{one.usd:.2f}", *"-" * len(at), f"{one.regret:.1f}", "paper"
        lines.append((-one.score, cells))
    for line in measured(stream, args.seeds, args.baseline, settings):
        regret = ["-" if one is None else f"{one:.1f}" for one in line.regret]
        usd, like = (f"{line.usd:.2f}", f"{line.usd / share:.2f}"), f"{_as_published(benchmark, line, share):.1f}"
        lines.append((-line.score, (line.router, f"{line.score:.2f}", *usd, *regret, like, "here")))
    for _, row in sorted(lines):
        table.add_row(*row, style="bold" if row[0] == "Arbiter" else "")
    table.caption = (
        f"here: {len(stream):,} of {benchmark.tasks:,} tasks, {args.seeds} orders, settings {fingerprint(settings)}"
    )
    console.print(table)
