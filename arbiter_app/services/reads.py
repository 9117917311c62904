"""Everything that can be read about routing: what the API returns and the pages show, as the types of `rows/`.

Money leaves here as USD floats of exact pico-dollar sums, with the exact decimal beside the headline figure.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC
from decimal import Decimal
from itertools import chain
from typing import Any, cast

from arbiter_app.moments import moment
from arbiter_app.pipeline.ask import Asker
from arbiter_app.pipeline.cache import ResponseCache
from arbiter_app.pipeline.deployments import Deployments
from arbiter_app.pipeline.health import Health
from arbiter_app.pipeline.prices import PriceOverrides
from arbiter_app.pipeline.types import DEFAULT_RUNTIME, PICO_PER_USD, Capability, Deployment, Json, Mode, Model
from arbiter_app.pipeline.wishes import AUTO
from arbiter_app.policy import Policy
from arbiter_app.policy.licence import licence_of
from arbiter_app.pool import telling
from arbiter_app.services import alert_outcome, savings_report
from arbiter_app.services.catalog_holder import CatalogHolder
from arbiter_app.services.judging import Judging
from arbiter_app.services.reacting import Reacting
from arbiter_app.services.rows.alerts import AlertRow
from arbiter_app.services.rows.decisions import DecisionRow, TracedDecision
from arbiter_app.services.rows.gateway import State
from arbiter_app.services.rows.models import (
    Abilities,
    CatalogModel,
    DeployedModel,
    DeploymentRow,
    ListedModel,
    ModelList,
    PricePoint,
)
from arbiter_app.services.rows.policy import KnownModel, LicenceRow, PolicyTable, SegmentRow
from arbiter_app.services.rows.reports import Exploration, GroupSums, Money, ReportSums, TimeSlot
from arbiter_app.settings import Settings
from arbiter_app.store import Store
from arbiter_app.store.decisions import Filter

PICO_FIELDS = (
    *("cost_pico", "answer_cost_pico", "classifier_cost_pico", "judge_cost_pico", "baseline_pico"),
    "learning_cost_pico",
)

PRICE_ROWS, PRICE_ROWS_AROUND = 400, 60
DEPLOYED_ROWS = 200
"""Decisions of a model from which it is told how its deployments fared: the newest."""
PRICE_ALERTS, PRICE_AFTER_S = 3, 1_800.0
"""Decisions whose price is told: the newest; and before each of the newest shifts, and until half an hour after it."""


class Reads:
    """`scope` restricts to the calls of a key, or of a project (`rollup_math.project_scope`); None means everybody's."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        catalog: CatalogHolder,
        policy: Policy,
        health: Health,
        deployments: Deployments,
        prices: PriceOverrides,
        cache: ResponseCache | None,
        judging: Judging,
        reacting: Reacting,
        askers: Sequence[Asker],
    ) -> None:
        self._settings = settings
        self._store = store
        self._catalog = catalog
        self._policy = policy
        self._health = health
        self._deployments = deployments
        self._prices = prices
        self._cache = cache
        self._judging = judging
        self._reacting = reacting
        self._askers = askers

    @property
    def shadows(self) -> bool:
        """Whether models are asked beside answers, to learn."""
        return self._settings.shadow

    async def report(
        self, *, since: float | None = None, until: float | None = None, scope: str | None = None
    ) -> ReportSums:
        """Calls, spend, baseline and saving, with a breakdown. Where the baseline is unmeasured no saving is claimed."""
        store, catalog = self._store, self._catalog.now
        rows = await store.totals(savings_report.BY, since=since, until=until, scope=scope)
        everybody = rows if scope is None else await store.totals(savings_report.BY, since=since, until=until)
        ever = everybody if since is None else await store.totals(savings_report.BY)
        input_usd = catalog.model(catalog.baseline).input_usd
        baseline = savings_report.baseline_of(catalog.baseline, input_usd, everybody, ever)
        for row in rows:
            row["repriced_pico"], row["measured_calls"] = baseline.pico(row), baseline.compared((row,))
        total = _summed(rows)
        money = _money(total)
        calibrated = _summed(row for row in rows if row["mode"] == Mode.CALIBRATE)
        asked = _summed(row for row in rows if row["mode"] != Mode.CALIBRATE)
        unsure = baseline.unsure(rows)
        certain = savings_report.certainty(money["saved"], money["baseline_spend"], unsure)
        ahead = self._policy.outlook() if scope is None else ()
        return {
            **money,
            "since": since,
            "until": until,
            "baseline_model": catalog.baseline,
            **certain,
            "outlook": savings_report.outlook(ahead, certain, money["saved"], unsure),
            "unmeasured_calls": asked["calls"] - asked["failed"] - asked["aborted"] - asked["measured_calls"],
            "learning_spend": usd(total["learning_pico"]),
            "learning_spend_exact": exact(total["learning_pico"]),
            "calibrate_spend": usd(calibrated["cost_pico"] + calibrated["judge_pico"]),
            "failed": total["failed"],
            "aborted": total["aborted"],
            "classifier_spend": usd(total["classifier_pico"]),
            "judge_spend": usd(total["judge_pico"]),
            "judge": self._judging.told(),
            "reactions": self._reacting.told(),
            **self._exploration(rows, money),
            "holdout_calls": _summed(row for row in rows if row["mode"] == Mode.HOLDOUT)["calls"],
            "holdout": savings_report.holdout(rows, catalog.baseline, input_usd),
            "cost_states": {
                "settled": total["settled"],
                "computed": total["computed"],
                "estimated": total["estimated"],
                "unknown": total["unknown"],
            },
            "mean_quality": _mean(total["quality_sum"], total["graded"]),
            "graded": total["graded"],
            "licences": self.licences(),
            "mean_latency_ms": _mean(total["latency_sum"], total["latency_n"]),
            "mean_overhead_ms": _mean(total["overhead_sum"], total["calls"]),
            "by_bucket": [{"bucket": name, **sums} for name, sums in _grouped(rows, "bucket")],
            "by_model": [{"model": name, **sums} for name, sums in _grouped(rows, "model")],
            "by_mode": [{"mode": name, **sums} for name, sums in _grouped(rows, "mode")],
        }

    def _exploration(self, rows: list[Json], money: Money) -> Exploration:
        """What was chosen to learn something: requests of those routed, dollars of the baseline's price; with their caps.

        Dollars are those of trials of other models, as the policy counts them, and of models that were asked beside answers;
        `explore_spend` is all that answers cost which were chosen to learn.
        """
        explored = [row for row in rows if row["mode"] == Mode.EXPLORE]
        routed = sum(row["calls"] for row in rows if row["mode"] in (*savings_report.ROUTED, Mode.HOLDOUT))
        trials = _summed(row for row in explored if row["model"] != self._catalog.now.baseline)
        total, settings = _summed(explored), self._settings.routing
        learning = trials["cost_pico"] + sum(row["learning_pico"] for row in rows)
        capped = self._policy.name != "classic"
        return {
            "explore_calls": total["calls"],
            "explore_spend": usd(total["cost_pico"]),
            "explore_share": total["calls"] / routed if routed else None,
            "explore_cap": settings.explore_share if capped else None,
            "explore_usd_share": usd(learning) / money["baseline_spend"] if money["baseline_spend"] > 0 else None,
            "explore_usd_cap": settings.explore_usd_share if capped else None,
        }

    def licences(self) -> list[LicenceRow]:
        """What is proven now of every model that was compared with the baseline, those with a licence first."""
        tolerance, rows = self._settings.routing.quality_tolerance, list[LicenceRow]()
        for bucket, model, known in self._policy.rows():
            proven = licence_of(known, tolerance)
            if proven.pairs > 0:
                bound = proven.at_most_worse if proven.at_most_worse < 1 else None
                rows.append(
                    {
                        "bucket": bucket,
                        "model": model,
                        "licensed": proven.granted,
                        "pairs": proven.pairs,
                        "at_most_worse": bound,
                    }
                )
        return sorted(rows, key=lambda row: (not row["licensed"], row["bucket"], row["model"]))

    def segments(self) -> list[SegmentRow]:
        """The segments of buckets that differ; they name projects, keys and tags, and are for operators."""
        return [
            {
                "bucket": one.bucket,
                "feature": one.segment[0],
                "value": one.segment[1],
                "chance": one.chance,
                "n": one.graded,
                "model": one.model,
                "quality": one.quality,
                "licensed": one.licensed,
            }
            for one in self._policy.segments(self._catalog.now.names)
        ]

    def policy(self, *, segments: bool = False) -> PolicyTable:
        """Per bucket, the models: n, quality with interval, mean cost, latency, and which one is chosen; with the `segments` that differ."""
        pool = self._catalog.now.names
        policy = self._policy
        buckets = {bucket: cast(list[KnownModel], policy.table(bucket, pool)) for bucket in policy.buckets()}
        found = self.segments() if segments else []
        return {"policy": policy.name, "baseline": self._catalog.now.baseline, "buckets": buckets, "segments": found}

    async def recent(self, narrowed: Filter, *, limit: int, before: int | None = None) -> list[DecisionRow]:
        """Decisions newest first; `before` is the `seq` of the last one seen."""
        return [cast(DecisionRow, shown(row)) for row in await self._store.page(narrowed, limit=limit, before=before)]

    async def ranked(self, narrowed: Filter, order: str, *, limit: int) -> list[DecisionRow]:
        """The dearest, slowest or worst of the newest decisions."""
        return [cast(DecisionRow, shown(row)) for row in await self._store.ranked(narrowed, order, limit=limit)]

    async def decision(self, decision_id: str) -> TracedDecision | None:
        """One decision with every stage's input, numbers, attempts and timing."""
        row = await self._store.decision(decision_id)
        return None if row is None else cast(TracedDecision, shown(row))

    async def timeseries(
        self, *, bucket_s: int, buckets: int, first: int | None = None, scope: str | None = None
    ) -> list[TimeSlot]:
        """Calls and spend per time slot, oldest first: up to now, or from `first` on, unix seconds in whole five minutes."""
        slots = await self._store.series(bucket_s=bucket_s, buckets=buckets, now=time.time(), first=first, scope=scope)
        return [
            {
                "ts": slot["start"],
                "calls": slot["calls"],
                "spend": usd(slot["cost_pico"] + slot["judge_pico"] + slot["learning_pico"]),
                "learning": usd(slot["learning_pico"]),
                "baseline": usd(slot["baseline_pico"] + slot["cost_pico"] - slot["compared_pico"]),
                "measured_calls": slot["compared"],
                "models": {model: usd(pico) for model, pico in slot["models"].items()},
                "modes": slot["modes"],
                "p50_ms": slot["p50_ms"],
                "p95_ms": slot["p95_ms"],
            }
            for slot in slots
        ]

    async def overview(self) -> State:
        """Pool size, how requests were classified, alerts, overrides, cache, mode."""
        catalog = self._catalog.now
        counters = await self._store.counters()
        prefix = "classified."
        return {
            "mode": "sandbox" if self._settings.sandbox else "live",
            "policy": self._policy.name,
            "baseline_model": catalog.baseline,
            "pool_size": len(catalog.pool),
            "pool_notes": [
                *telling.replaced(catalog),
                *chain.from_iterable(asker.notes() for asker in self._askers),
            ],
            "classifier": {name.removeprefix(prefix): n for name, n in counters.items() if name.startswith(prefix)},
            "decisions": counters.get("decisions", 0),
            "alerts": await self.alerts(limit=20),
            "active_price_overrides": self._prices.active(),
            "cache_entries": len(self._cache) if self._cache is not None else 0,
            "cache_mode": self._cache_mode(),
            "cache_hits": counters.get("cache.hit", 0),
            "quarantined": self._health.snapshot(time.monotonic()),
            "learning": dict(self._policy.learning()),
            "store": self._store.ledger.degraded or "ok",
        }

    def _cache_mode(self) -> str:
        if self._cache is None:
            return "off"
        return "exact and by meaning" if self._settings.embeddings_url else "exact"

    def pricing(self) -> list[CatalogModel]:
        """The catalog with list prices in USD per 1,000,000 tokens, each model tagged routable or not."""
        return [
            {
                "id": model.id,
                "input_per_million": per_million(model.input_usd) if model.priced else None,
                "output_per_million": per_million(model.output_usd) if model.priced else None,
                "price_from": model.price_from,
                "runtime_name": model.sent,
                "state": "absent" if not model.listed else "new" if model.joined else "catalog",
                "context": model.context_tokens,
                **abilities(model),
                "baseline": model.baseline,
                "routable": model.routable and model.listed,
                "variants": [one.id for one in self._catalog.now.variants_of(model)],
            }
            for model in self._catalog.now.models.values()
        ]

    async def catalog(self) -> list[DeployedModel]:
        """The same, with the deployments of the models that name them."""
        rows, deployments = cast(list[DeployedModel], self.pricing()), self._catalog.now.deployments
        if deployments:
            self._deployments.resting(time.monotonic())  # so that it is noted who would be asked now
        for row in rows if deployments else ():
            if (several := deployments.get(row["id"])) is not None:
                seen = await self._store.attempts(Filter(model=row["id"], status="ok"), limit=DEPLOYED_ROWS)
                rests = self._health.snapshot(time.monotonic())
                first = self._deployments.first(row["id"]).key
                row["deployments"] = [_deployment(at, seen, rests.get(at.key, {}), at.key == first) for at in several]
        return rows

    def models(self) -> ModelList:
        """OpenAI's model list: `auto` first, with the pool behind it, and the presets last."""
        catalog = self._catalog.now
        auto, *presets = [_chooser(name) for name in (AUTO, *(f"{AUTO}:{one}" for one in catalog.presets))]
        pool: list[ListedModel] = [
            row for priced in self.pricing() if priced["state"] != "absent" for row in _at_its_settings(priced)
        ]
        return {"object": "list", "data": [auto, *pool, *presets]}

    async def alerts(self, *, limit: int, before: int | None = None) -> list[AlertRow]:
        """What moved, newest first, with what came of it."""
        return [_followed(row) for row in await self._store.alerts(limit=limit, before=before)]

    async def price_history(self, since: float, until: float | None = None) -> list[PricePoint]:
        """What a thousand tokens cost in each of the newest decisions and in those around shifts, oldest first."""
        found: dict[str, PricePoint] = {}
        newest = await self.recent(Filter(since=since or None, until=until, status="ok"), limit=PRICE_ROWS)
        pages, oldest = [newest], newest[-1]["ts"] if len(newest) == PRICE_ROWS else since
        for one in await self.alerts(limit=PRICE_ALERTS):
            if since <= one["ts"] < oldest:
                for until in (one["ts"], (one["settled"] or one["ts"]) + PRICE_AFTER_S):
                    around = Filter(since=since or None, until=until, status="ok")
                    pages.append(await self.recent(around, limit=PRICE_ROWS_AROUND))
        for row in (row for page in pages for row in page):
            price = _per_thousand(row)
            found[row["id"]] = {"ts": row["ts"], "model": row["model"], "task": row["task"], "cost": price}
        return sorted(found.values(), key=lambda point: point["ts"])


def _at_its_settings(row: CatalogModel) -> list[ListedModel]:
    """A model, and each of its variants, as OpenAI's list has them."""
    known: Json = {"object": "model", "created": 0, "owned_by": "runtime", **row}
    own: Json = {**known, "baseline": False, "variants": [], "variant_of": row["id"]}
    return [cast(ListedModel, one) for one in (known, *({**own, "id": name} for name in row["variants"]))]


def _chooser(name: str) -> ListedModel:
    """A name that stands for whichever model is chosen."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "arbiter", "routable": True}


def _deployment(at: Deployment, seen: Sequence[Json], rest: Json, serving: bool) -> DeploymentRow:
    """A deployment, and how it fared in decisions of its model."""
    model, made = at.model, [(row, one) for row in seen for one in row["attempts"] if _was_at(one, at)]
    answered = [(row, one) for row, one in made if not one["error"]]
    prices = [price for row, one in answered if one is row["attempts"][-1] and (price := _charged(row)) is not None]
    return {
        "key": at.key,
        "runtime": at.runtime,
        "runtime_name": model.sent,
        "input_per_million": per_million(model.input_usd) if model.priced else None,
        "output_per_million": per_million(model.output_usd) if model.priced else None,
        "price_from": model.price_from,
        "context": model.context_tokens,
        "listed": model.listed,
        "serving": serving,
        "calls": len(answered),
        "failed": len(made) - len(answered),
        "latency_ms": _mean(sum(one["ms"] for _, one in answered), len(answered)),
        "cost_per_thousand": _mean(sum(prices), len(prices)),
        "resting_s": float(rest.get("seconds_left", 0.0)),
        "reason": str(rest.get("reason", "")),
    }


def _was_at(attempt: Json, at: Deployment) -> bool:
    return bool(attempt["model"] == at.model.id and attempt.get("runtime", DEFAULT_RUNTIME) == at.runtime)


def _charged(row: Json) -> float | None:
    """What a thousand tokens of a decision's answer cost, in USD."""
    tokens = (row["prompt_tokens"] or 0) + (row["completion_tokens"] or 0)
    return None if not tokens or row["answer_cost_pico"] is None else usd(row["answer_cost_pico"]) / tokens * 1000


def _per_thousand(row: DecisionRow) -> float | None:
    tokens = (row["prompt_tokens"] or 0) + (row["completion_tokens"] or 0)
    return None if not tokens or row["answer_cost"] is None else row["answer_cost"] / tokens * 1000


def _followed(row: Json) -> AlertRow:
    """An alert with its sentences: what moved, what came of it, and both together."""
    moved, then = alert_outcome.told(row)
    told = {**row, "moved": moved, "then": then, "summary": f"{row['model']}: {moved}; {then}"}
    return cast(AlertRow, told)


def usd(pico: int) -> float:
    """USD of an exact amount."""
    return pico / PICO_PER_USD


def usd_or_none(pico: int | None) -> float | None:
    """USD of an exact amount; None stays unknown."""
    return None if pico is None else usd(pico)


def exact(pico: int) -> str:
    """The exact decimal of an amount in USD."""
    return f"{Decimal(pico) / PICO_PER_USD:f}"


def shown(row: Json) -> Json:
    """A decision's columns as they are shown, a `rows.DecisionRow`: money in USD under the names of the response."""
    money = {name.removesuffix("_pico"): usd_or_none(row[name]) for name in PICO_FIELDS}
    rest = {name: value for name, value in row.items() if name not in PICO_FIELDS and name != "beyond_pico"}
    cost, baseline = row["cost_pico"], row["baseline_pico"]
    saved = None if cost is None or baseline is None else usd(baseline - cost)
    if "shadows" in rest:
        rest["shadows"] = [_shadow(one) for one in rest["shadows"]]
    return {**rest, **money, "saved": saved}


def exported(row: Json) -> Json:
    """A decision's columns for a file: as they are shown, and `time`, which a spreadsheet reads (`ts` is unix seconds)."""
    told = shown(row)
    return {"id": told["id"], "time": moment(row["ts"], UTC).isoformat(timespec="milliseconds"), **told}


def _shadow(row: Json) -> Json:
    """A model that was asked beside an answer, a `rows.ShadowRow`."""
    return {
        **{name: value for name, value in row.items() if name != "cost_pico"},
        "cost": usd_or_none(row["cost_pico"]),
    }


def _summed(rows: Any) -> Json:
    total: Json = dict.fromkeys(_SUMS, 0)
    for row in rows:
        for name in _SUMS:
            total[name] += row[name]
    return total


def _money(total: Json) -> Money:
    """Spend against the baseline."""
    actual, baseline = total["cost_pico"] + total["judge_pico"] + total["learning_pico"], total["repriced_pico"]
    saved = baseline - actual
    return {
        "calls": total["calls"],
        "actual_spend": usd(actual),
        "actual_spend_exact": exact(actual),
        "baseline_spend": usd(baseline),
        "saved": usd(saved),
        "saved_pct": 100 * saved / baseline if baseline > 0 else None,
    }


def _grouped(rows: list[Json], by: str) -> Iterator[tuple[str, GroupSums]]:
    for name in sorted({row[by] for row in rows if row[by]}):
        total = _summed(row for row in rows if row[by] == name)
        yield (
            name,
            {
                **_money(total),
                "mean_quality": _mean(total["quality_sum"], total["graded"]),
                "measured_calls": total["measured_calls"],
                "graded": total["graded"],
                "failed": total["failed"],
                "learning_spend": usd(total["learning_pico"]),
            },
        )


def _mean(total: float, n: int) -> float | None:
    return total / n if n else None


def per_million(price: float) -> float:
    return round(price * 1e6, 6)


_SUMS = (
    "calls",
    "failed",
    "aborted",
    "cost_pico",
    "classifier_pico",
    "judge_pico",
    "learning_pico",
    "repriced_pico",
    "measured_calls",
    "settled",
    "computed",
    "estimated",
    "unknown",
    "graded",
    "quality_sum",
    "latency_sum",
    "latency_n",
    "overhead_sum",
)


def abilities(model: Model) -> Abilities:
    return cast(Abilities, {one.value: one in model.can for one in Capability})
