"""One policy over one seeded order of one stream, with the settings that were asked for."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from arbiter_app.policy import PolicySettings, Trials
from arbiter_app.replay.adapter import ADAPTERS, ReplayPolicy
from arbiter_app.replay.calibration import calibrated
from arbiter_app.replay.seeded_stream import Outcome, Run, SeededStream
from arbiter_app.replay.traffic import Stream
from arbiter_app.settings import PREFIX, SettingsError

REFERENCES = ("always_best", "always_baseline", "hindsight_static")
Result = dict[str, Any]


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


def run_seeded(
    stream: Stream,
    name: str,
    seed: int,
    scenario: str = "none",
    calibrate: int = 0,
    baseline: str = "",
    settings: PolicySettings | None = None,
    trials: Trials | None = None,
) -> tuple[SeededStream, Run, Result]:
    """One policy over one seeded order of one stream. Without a baseline it is the best single model in hindsight; without
    `trials` they are where the policy has them by itself."""
    seeded = SeededStream(stream, seed, scenario)
    baseline = baseline or stream.models[seeded.best]
    result: Result = {"stream": stream.name, "policy": name, "seed": seed, "models": len(stream.models)}
    if name in REFERENCES:
        run = _reference(seeded, name, stream.models.index(baseline))
        return seeded, run, result | seeded.judge(run) | {"path": seeded.path(run)}
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
    return seeded, run, result | figures | {"path": seeded.path(run)}


def _reference(seeded: SeededStream, name: str, baseline: int) -> Run:
    single = baseline if name == "always_baseline" else seeded.best
    table = seeded.before if name == "hindsight_static" else dict.fromkeys(seeded.before, single)
    return seeded.run(lambda place: [table[str(seeded.all_tasks[place])]], lambda _: None)


def _choose(seeded: SeededStream, policy: ReplayPolicy, place: int) -> list[int]:
    stream = seeded.stream
    segment = stream.segments[place] if stream.segments else ""
    chosen = policy.choose(stream.tasks[place], stream.prompts[place], stream.models, segment)
    return [stream.models.index(model) for model in chosen]


def _record(seeded: SeededStream, policy: ReplayPolicy, seen: Outcome) -> None:
    stream, place, model = seeded.stream, seen.place, seen.model
    tokens = float(stream.tokens[place, model])
    known = None if math.isnan(tokens) else tokens
    asked = stream.tasks[place], stream.prompts[place], stream.models[model]
    policy.record(*asked, seen.usd, seen.quality, known, seen.shadow)
