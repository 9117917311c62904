"""`python -m arbiter_app replay FILE`: what a policy would have cost and scored on recorded traffic, before going live."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, median
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from arbiter_app.policy import PolicySettings, Trials
from arbiter_app.replay import benchmark
from arbiter_app.replay.adapter import ADAPTERS
from arbiter_app.replay.one_run import REFERENCES, Result, changed, fingerprint, run_seeded
from arbiter_app.replay.plot import write_plot
from arbiter_app.replay.seeded_stream import QUARTERS
from arbiter_app.replay.traffic import Stream, TrafficError, read_rows, streams
from arbiter_app.settings import SettingsError, load_settings

WIDE = 140
QUARTER_COLUMNS = tuple(f"loss_q{at}" for at in range(1, QUARTERS + 1))
COLUMNS = (
    *("loss", *QUARTER_COLUMNS, "cost_vs_best", "q_vs_best", "shadow"),
    *("explore_share", "explore_usd_share", "alarms_per_1000"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; exit code 0 done, 1 impossible, 2 misused (the parser's own)."""
    args = _parser().parse_args(argv)
    try:
        settings = changed(load_settings().routing, args.set)
        if args.benchmark:
            benchmark.show(args, settings, Console(width=None if sys.stdout.isatty() else WIDE))
            return 0
        found = streams(read_rows(args.file), dict(_mix(text) for text in args.mix), args.segment)
        chosen = [stream for stream in found if not args.stream or stream.name in args.stream]
        for stream in chosen:
            if args.baseline and args.baseline not in stream.models:
                raise TrafficError(f"{stream.name}: no model {args.baseline!r}; it has {', '.join(stream.models)}")
    except (TrafficError, SettingsError, OSError) as error:
        print(f"arbiter: {error}", file=sys.stderr)
        return 1
    references = [name for name in REFERENCES if args.baseline or name != "always_baseline"]
    results = replay(chosen, args.policy or [*references, *ADAPTERS], args, settings)
    if args.html:
        write_plot(args.html, results)
    if args.json:
        print(
            json.dumps(report(results) | {"settings": asdict(settings), "hash": fingerprint(settings)}, allow_nan=False)
        )
    else:
        show(results, args.scenario)
        print(f"settings {fingerprint(settings)}{''.join(f' {one}' for one in args.set)}")
    return 0


def replay(
    chosen: Sequence[Stream], policies: Sequence[str], args: argparse.Namespace, settings: PolicySettings
) -> list[Result]:
    """Every policy over every stream and seed: one result a run."""
    results = []
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=args.json and not console.is_terminal) as progress:
        work = progress.add_task("replay", total=sum(map(len, chosen)) * len(policies) * args.seeds)
        for stream in chosen:
            for policy in policies:
                for seed in range(args.seeds):
                    progress.update(work, description=f"{stream.name} {policy}")
                    how = args.scenario, args.calibrate, args.baseline, settings, args.trials
                    results.append(run_seeded(stream, policy, seed, *how)[2])
                    progress.advance(work, len(stream))
    return results


def report(results: Sequence[Result]) -> Result:
    """The figures for machines: per policy and stream the means over the seeds, and per policy over the streams."""
    policies = {name: _summary([one for one in results if one["policy"] == name]) for name in _names(results, "policy")}
    return {"policies": policies}


def show(results: Sequence[Result], scenario: str) -> None:
    """The same as tables."""
    console = Console()
    for name, summary in report(results)["policies"].items():
        columns = [column for column in COLUMNS if any(column in one for one in summary["streams"].values())]
        extra = [] if scenario == "none" else ["affected", "recovered", "recover_median"]
        table = Table(title=name, title_justify="left")
        for column in ("stream", *columns, *extra):
            table.add_column(column, justify="left" if column == "stream" else "right")
        for stream, figures in summary["streams"].items():
            table.add_row(stream, *(_text(figures.get(column)) for column in (*columns, *extra)))
        table.caption = _caption(summary)
        console.print(table)


def _summary(results: Sequence[Result]) -> Result:
    by_stream = {name: [one for one in results if one["stream"] == name] for name in _names(results, "stream")}
    means = {name: _means(runs) for name, runs in by_stream.items()}
    worst = max(means, key=lambda name: means[name]["loss"])
    out: Result = {
        "mean_loss": fmean(one["loss"] for one in means.values()),
        "worst_loss": means[worst]["loss"],
        "worst_stream": worst,
        "streams": means,
    }
    return out | _recovery(results)


def _means(runs: Sequence[Result]) -> Result:
    keys = [key for key, value in runs[0].items() if isinstance(value, float) and key != "recover_at"]
    figures: Result = {key: fmean(run[key] for run in runs) for key in keys}
    return figures | {"runs": len(runs), "models": runs[0]["models"]} | _recovery(runs)


def _recovery(runs: Sequence[Result]) -> Result:
    affected = [run["recover_at"] for run in runs if "recover_at" in run]
    if not affected:
        return {}
    middle = median(affected)
    return {
        "affected": len(affected) / len(runs),
        "recovered": fmean(math.isfinite(value) for value in affected),
        "recover_median": middle if math.isfinite(middle) else None,
    }


def _caption(summary: Result) -> str:
    words = f"mean loss {summary['mean_loss']:.3f}, worst {summary['worst_loss']:.3f} ({summary['worst_stream']})"
    if "recovered" in summary:
        words += f"; recovered {_text(summary['recovered'])}, median {_text(summary['recover_median'])} requests"
    return words


def _text(value: Any) -> str:
    return "-" if value is None else f"{value:.3f}"


def _names(results: Iterable[Result], key: str) -> list[str]:
    return list(dict.fromkeys(str(one[key]) for one in results))


def _mix(text: str) -> tuple[str, str]:
    name, sign, pattern = text.partition("=")
    if not (name and sign and pattern):
        raise TrafficError(f"--mix wants NAME=PATTERN or NAME=PATTERN:model,model, not {text!r}")
    return name, pattern


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m arbiter_app replay",
        description=__doc__,
        epilog="Policies run with the routing settings of the environment and .env (ARBITER_QUALITY_TOLERANCE and the like). "
        "The loss always counts a shortfall below 0.05, so that settings can be compared.",
    )
    parser.add_argument("file", type=Path, help="Parquet, CSV or JSONL: task, prompt, model, quality, cost_usd")
    parser.add_argument("--policy", action="append", choices=[*REFERENCES, *ADAPTERS], help="repeat; default: all")
    parser.add_argument(
        "--baseline", default="", metavar="MODEL", help="the policies' baseline; default: the best model in hindsight"
    )
    parser.add_argument(
        "--trials",
        type=Trials,
        choices=list(Trials),
        help="where trials are; default: beside answers, for classic as answers",
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a routing setting")
    parser.add_argument("--stream", action="append", help="only this stream; repeat for several")
    parser.add_argument("--seeds", type=int, default=5, help="orders of each stream to run")
    parser.add_argument(
        "--scenario", choices=["none", "price", "quality"], default="none", help="change at half stream"
    )
    parser.add_argument("--calibrate", type=int, default=0, metavar="N", help="run N prompts on all models first")
    parser.add_argument(
        "--mix", action="append", default=[], metavar="NAME=PATTERN[:MODEL,...]", help="one more stream"
    )
    parser.add_argument(
        "--segment",
        default="",
        metavar="COLUMN",
        help="what tells segments of one task apart, which are judged apart then",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--benchmark", choices=["coderouterbench"], help="print its published table, with Arbiter's row from this file"
    )
    parser.add_argument("--html", type=Path, help="write the cost-quality paths of the policies to this file")
    return parser
