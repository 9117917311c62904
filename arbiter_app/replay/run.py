"""`python -m arbiter_app replay FILE`: what a policy would have cost and scored on recorded traffic, before going live."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from arbiter_app.policy import PolicySettings, Trials
from arbiter_app.replay.adapter import ADAPTERS, ReplayPolicy
from arbiter_app.replay.calibration import calibrated
from arbiter_app.replay.plot import write_plot
from arbiter_app.replay.seeded_stream import QUARTERS, Outcome, Run, SeededStream
from arbiter_app.replay.traffic import Stream, TrafficError, read_rows, streams
from arbiter_app.settings import PREFIX, SettingsError, load_settings

REFERENCES = ("always_best", "always_baseline", "hindsight_static")
QUARTER_COLUMNS = tuple(f"loss_q{at}" for at in range(1, QUARTERS + 1))
COLUMNS = (
    *("loss", *QUARTER_COLUMNS, "cost_vs_best", "q_vs_best", "shadow"),
    *("explore_share", "explore_usd_share", "alarms_per_1000"),
)
Result = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """The command; exit code 0 done, 1 impossible, 2 misused (the parser's own)."""
    args = _parser().parse_args(argv)
    try:
        settings = changed(load_settings().routing, args.set)
        found = streams(read_rows(args.file), dict(_mix(text) for text in args.mix))
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


def changed(settings: PolicySettings, changes: Sequence[str]) -> PolicySettings:
    """The settings with `NAME=VALUE` changed. Raises SettingsError where there is no such setting, or no such value."""
    known = {spec.name: type(getattr(settings, spec.name)) for spec in fields(settings)}
    values = {}
    for change in changes:
        name, sign, value = change.partition("=")
        name = name.lower().removeprefix(PREFIX.lower())
        if not sign or name not in known:
            raise SettingsError(f"--set wants NAME=VALUE with a routing setting, not {change!r}")
        try:
            values[name] = known[name](value)
        except ValueError as error:
            raise SettingsError(f"--set {change}: {error}") from error
    try:
        return replace(settings, **values)
    except ValueError as error:
        raise SettingsError(f"--set: {error}") from error


def fingerprint(settings: PolicySettings) -> str:
    """Twelve hexadecimal digits that are the same for the same settings, to be quoted with figures."""
    return hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode()).hexdigest()[:12]


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
                    results.append(
                        run_one(
                            stream, policy, seed, args.scenario, args.calibrate, args.baseline, settings, args.trials
                        )
                    )
                    progress.advance(work, len(stream))
    return results


def run_one(
    stream: Stream,
    name: str,
    seed: int,
    scenario: str = "none",
    calibrate: int = 0,
    baseline: str = "",
    settings: PolicySettings | None = None,
    trials: Trials | None = None,
) -> Result:
    """One policy over one seeded order of one stream. Without a baseline it is the best single model in hindsight; without
    `trials` they are where the policy has them by itself."""
    seeded = SeededStream(stream, seed, scenario)
    baseline = baseline or stream.models[seeded.best]
    result: Result = {"stream": stream.name, "policy": name, "seed": seed, "models": len(stream.models)}
    if name in REFERENCES:
        run = _reference(seeded, name, stream.models.index(baseline))
        return result | seeded.judge(run) | {"path": seeded.path(run)}
    policy = ADAPTERS[name](seed=seed, prices=seeded.prices, baseline=baseline, settings=settings, trials=trials)
    cost = calibrated(seeded, policy, calibrate)
    run = seeded.run(lambda place: _choose(seeded, policy, place), lambda seen: _record(seeded, policy, seen))
    figures = seeded.judge(run)
    best_usd = figures["cost_usd"] / figures["cost_vs_best"]
    learning = policy.policy.learning()
    figures["loss"] += cost / best_usd
    figures["cost_vs_best"] += cost / best_usd
    figures["explore_share"] = learning["explore_calls"] / len(run.picks)
    figures["explore_usd_share"] = learning["explore_usd"] / best_usd
    figures["alarms_per_1000"] = 1000 * policy.resets / len(run.picks)
    return result | figures | {"path": seeded.path(run)}


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


def _reference(seeded: SeededStream, name: str, baseline: int) -> Run:
    single = baseline if name == "always_baseline" else seeded.best
    table = seeded.before if name == "hindsight_static" else dict.fromkeys(seeded.before, single)
    return seeded.run(lambda place: [table[seeded.stream.tasks[place]]], lambda _: None)


def _choose(seeded: SeededStream, policy: ReplayPolicy, place: int) -> list[int]:
    stream = seeded.stream
    return [stream.models.index(m) for m in policy.choose(stream.tasks[place], stream.prompts[place], stream.models)]


def _record(seeded: SeededStream, policy: ReplayPolicy, seen: Outcome) -> None:
    stream, place, model = seeded.stream, seen.place, seen.model
    tokens = float(stream.tokens[place, model])
    known = None if math.isnan(tokens) else tokens
    asked = stream.tasks[place], stream.prompts[place], stream.models[model]
    policy.record(*asked, seen.usd, seen.quality, known, seen.shadow)


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
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--html", type=Path, help="write the cost-quality paths of the policies to this file")
    return parser
