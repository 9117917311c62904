"""Calibration, the warm start: an operator's own prompts run on every model of the pool, their outcomes taught at once.

Each call is a decision of mode `calibrate`, under an id that follows from calibration, prompt and model, and is written in
one transaction with what it teaches. So whatever interrupts a calibration, going on with it calls what has no decision
yet, and nothing is counted twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from arbiter_app.pipeline.errors import ArbiterError, NotFound, Unprocessable
from arbiter_app.pipeline.graders.calibration import Item, parse_items
from arbiter_app.pipeline.learn import Learner
from arbiter_app.pipeline.plain import quoted
from arbiter_app.pipeline.prices import PriceOverrides
from arbiter_app.pipeline.tokens import estimate_messages
from arbiter_app.pipeline.types import PICO_PER_USD, Json, Task
from arbiter_app.policy import Policy
from arbiter_app.services.catalog_holder import CatalogHolder
from arbiter_app.services.feed import Feed
from arbiter_app.services.prompt_runner import Prompt, PromptRunner, request_of
from arbiter_app.services.rows.calibrations import CalibrationCell, CalibrationHead, CalibrationView
from arbiter_app.store import Store, StoreError, calibrations

log = logging.getLogger("arbiter.calibration")

TRIAL = Path(__file__).with_name("trial.jsonl")
"""Prompts with checked answers, four of each kind: what a model that is new in the pool can be tried with."""
DEFAULT_MAX_USD = 1.0
LARGEST_MAX_USD = 10_000.0
AT_ONCE = 4
BEAT_S, STALE_S = 2.0, 8.0
TYPICAL_OUT = 256
INTERRUPTED = "interrupted; start it again to go on"
DOWN_AFTER = 12
"""Calls that fail in a row, of at least two models, after which the runtime is taken to be down."""
_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(slots=True)
class Plan:
    """One calibration: its prompts, its models, and what came of it so far by id of the decision."""

    id: str
    items: list[Item]
    models: list[str]
    max_usd: float
    results: dict[str, Json] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    reserved: dict[str, float] = field(default_factory=dict)
    stop: str = ""
    note: str = ""

    def todo(self) -> Iterator[tuple[str, int, str]]:
        """What has no outcome yet: decision id, place of the prompt, model. One prompt on all models, then the next."""
        for at in range(len(self.items)):
            for model in self.models:
                found = self.outcome_id(at, model)
                if found not in self.results:
                    yield found, at, model

    def outcome_id(self, at: int, model: str) -> str:
        """The id of the decision that answers a prompt by a model."""
        digest = hashlib.blake2b(f"{self.id}/{at}/{model}".encode(), digest_size=16).digest()
        return "d_" + "".join(_BASE32[byte & 31] for byte in digest)

    @property
    def spent_usd(self) -> float:
        """What it cost so far, the judge included."""
        pico = sum((row["cost_pico"] or 0) + (row["judge_cost_pico"] or 0) for row in self.results.values())
        return pico / PICO_PER_USD

    def end(self, state: str, note: str = "") -> None:
        """Begin no further call; the first reason counts."""
        if not self.stop:
            self.stop, self.note = state, note


class Calibrations:
    """One calibration runs at a time in a process."""

    def __init__(
        self,
        *,
        store: Store,
        catalog: CatalogHolder,
        prices: PriceOverrides,
        policy: Policy,
        learner: Learner,
        runner: PromptRunner,
        feed: Feed,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._prices = prices
        self._policy = policy
        self._learner = learner
        self._runner = runner
        self._feed = feed
        self._plan: Plan | None = None
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def trial(self, model: str, *, max_usd: float | None = None) -> CalibrationView:
        """Run the trial's prompts on one model of the pool, within a cap; going on with a trial calls what has no outcome yet."""
        made = await self.create(TRIAL.read_text("utf-8"), max_usd=max_usd, models=(model,))
        return await self.start(made["id"], max_usd=max_usd)

    async def create(
        self, text: str, *, max_usd: float | None = None, again: bool = False, models: Sequence[str] = ()
    ) -> CalibrationView:
        """A new calibration with its estimated price, of these models or of the whole pool; the same prompts give the same one,
        unless `again`."""
        items = parse_items(text)
        cap = _cap(max_usd)
        models = list(models or self._catalog.now.names)
        if absent := [model for model in models if model not in self._catalog.now.names]:
            raise Unprocessable(f"{quoted(absent[0])} is not routed to, so it cannot be tried", param="model")
        body = orjson.dumps({"items": [asdict(item) for item in items], "models": models})
        salt = secrets.token_bytes(8) if again else b""
        calibration_id = "cal_" + hashlib.blake2b(body + salt, digest_size=6).hexdigest()
        estimate = sum(self._usd(item, model)[0] for item in items for model in models)
        now = time.time()
        row = {"id": calibration_id, "created": now, "changed": now, "state": calibrations.READY, "note": ""}
        row |= {"max_usd": cap, "estimate_usd": estimate, "body": body}
        await self._store.writer.call(lambda connection: calibrations.add(connection, row))
        return await self.view(calibration_id)

    async def start(self, calibration_id: str, *, max_usd: float | None = None) -> CalibrationView:
        """Run it, or go on with it. Raises Unprocessable when one is running already."""
        async with self._starting:
            await self._let_go()
            row = await self._row(calibration_id)
            plan = await self._planned(row, row["max_usd"] if max_usd is None else _cap(max_usd))
            now = time.time()
            if not await self._store.writer.call(
                lambda connection: calibrations.claim(connection, calibration_id, plan.max_usd, now, STALE_S)
            ):
                raise Unprocessable(f"calibration {calibration_id} is running in another process")
            self._plan = plan
            self._task = asyncio.get_running_loop().create_task(self._run(plan), name=calibration_id)
        return await self.view(calibration_id)

    async def cancel(self, calibration_id: str) -> CalibrationView:
        """Begin no further call of it; calls under way end, because they are paid for."""
        row = await self._row(calibration_id)
        if row["state"] == calibrations.RUNNING:
            await self._end(calibration_id, "cancelled", "cancelled; start it again to go on")
            if self._plan is not None and self._plan.id == calibration_id and self._task is not None:
                self._plan.end("cancelled", "cancelled; start it again to go on")
                await asyncio.wait([self._task])
        return await self.view(calibration_id)

    def forget(self) -> None:
        """What was recorded of calibrations is gone: no further call of one is begun."""
        if self._plan is not None:
            self._plan.end("cancelled", "everything was reset")

    async def close(self) -> None:
        """End what runs, at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def listing(self, limit: int = 20) -> list[CalibrationHead]:
        """The newest calibrations, without their tables."""
        rows = await self._store.read(calibrations.newest, limit)
        return [_head(row) for row in rows]

    async def view(self, calibration_id: str) -> CalibrationView:
        """Progress, money, and the table so far: per task and model quality, mean cost and n."""
        row = await self._row(calibration_id)
        mine = self._plan is not None and self._plan.id == calibration_id
        plan = self._plan if mine and self._plan is not None else await self._planned(row, row["max_usd"])
        total = len(plan.items) * len(plan.models)
        unmeasured = sorted(set(plan.failed.values()))
        return {
            **_head(row),
            "prompts": len(plan.items),
            "models": len(plan.models),
            "total": total,
            "done": len(plan.results),
            "failed": len(plan.failed),
            "failures": unmeasured[:3],
            "spent_usd": plan.spent_usd,
            "table": _table(plan),
        }

    async def _let_go(self) -> None:
        """Raises Unprocessable while one runs. One that is shown as ended may have its last steps to do: they are awaited."""
        if self._task is None or self._task.done() or self._plan is None:
            return
        row = await self._store.read(calibrations.one, self._plan.id)
        if row is not None and row["state"] == calibrations.RUNNING:
            raise Unprocessable(f"calibration {self._plan.id} is running; cancel it, or wait for its end")
        await asyncio.wait([self._task])

    async def _row(self, calibration_id: str) -> Json:
        row = await self._store.read(calibrations.one, calibration_id)
        if row is None:
            raise NotFound(f"no calibration {calibration_id[:40]!r}; see GET /v1/calibrations")
        return row

    async def _planned(self, row: Json, max_usd: float) -> Plan:
        body = orjson.loads(row["body"])
        items = [Item(**{**one, "task": Task(one["task"]) if one["task"] else None}) for one in body["items"]]
        plan = Plan(row["id"], items, body["models"], max_usd)
        ids = [found for found, _, _ in plan.todo()]
        plan.results = {one["id"]: one for one in await self._store.read(calibrations.outcomes, ids)}
        return plan

    async def _run(self, plan: Plan) -> None:
        """Call what has no outcome yet, a few at a time, until the end, the cap, or a reason to stop."""
        left = plan.todo()
        prompts: dict[int, Prompt] = {}
        beat = asyncio.get_running_loop().create_task(self._beat(plan))
        try:
            await asyncio.gather(*(self._worker(plan, left, prompts) for _ in range(AT_ONCE)))
            done = f"{len(plan.failed)} calls failed; start it again to repeat them" if plan.failed else ""
            plan.end("done", done)
        except asyncio.CancelledError:
            plan.end("interrupted", INTERRUPTED)
            raise
        except Exception:
            log.exception("a calibration failed")
            plan.end("failed", "Arbiter failed on it; the log has the details")
        finally:
            beat.cancel()
            try:
                await asyncio.shield(self._end(plan.id, plan.stop, plan.note))
            except StoreError as error:
                log.warning("the end of %s is not on record: %s", plan.id, error)
            self._feed.publish("calibration", {"id": plan.id})

    async def _worker(self, plan: Plan, left: Iterator[tuple[str, int, str]], prompts: dict[int, Prompt]) -> None:
        for outcome_id, at, model in left:
            if plan.stop or not self._affordable(plan, outcome_id, at, model):
                return
            if self._learner.paused:
                plan.end("failed", f"the database refuses writes: {self._learner.paused}")
                return
            if at not in prompts:
                prompts[at] = Prompt(plan.items[at], request_of(plan.items[at], f"{plan.id}/{at + 1}"))
            try:
                decision = await self._runner.call(prompts[at], model, outcome_id, plan.id)
            except ArbiterError as error:
                if error.code == "draining":
                    plan.end("interrupted", INTERRUPTED)
                    return
                plan.failed[outcome_id] = f"{model}: {error.message}"
                continue
            finally:
                plan.reserved.pop(outcome_id, None)
            if decision.status == "ok":
                plan.results[outcome_id] = {name: decision.row()[name] for name in _COLUMNS}
                plan.failed.pop(outcome_id, None)
            else:
                plan.failed[outcome_id] = f"{model}: {decision.error}"
                self._give_up(plan)
            self._feed.publish("calibration", {"id": plan.id})

    def _affordable(self, plan: Plan, outcome_id: str, at: int, model: str) -> bool:
        """Whether the next call fits under the cap even at its dearest; if not, the calibration ends there."""
        most = self._usd(plan.items[at], model)[1]
        if plan.spent_usd + sum(plan.reserved.values()) + most > plan.max_usd:
            plan.end(
                "capped", f"stopped before the cap of ${plan.max_usd:g}; start it again with a higher one to go on"
            )
            return False
        plan.reserved[outcome_id] = most
        return True

    def _give_up(self, plan: Plan) -> None:
        """A runtime that answers nothing at all is not asked for the rest."""
        models = {said.partition(":")[0] for said in plan.failed.values()}
        if len(plan.failed) >= DOWN_AFTER and len(models) > 1 and not plan.results:
            plan.end("failed", f"the runtime answers nothing: {next(iter(plan.failed.values()))}")

    async def _beat(self, plan: Plan) -> None:
        """Say now and then that it runs, and hear whether somebody cancelled it elsewhere."""
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                state = await self._store.writer.call(lambda c: calibrations.told(c, plan.id, time.time()))
            except StoreError as error:
                log.warning("%s could not be noted as running: %s", plan.id, error)
                continue
            if state != calibrations.RUNNING:
                plan.end("cancelled", "cancelled; start it again to go on")

    async def _end(self, calibration_id: str, state: str, note: str) -> None:
        now = time.time()
        await self._store.writer.call(lambda c: calibrations.ended(c, calibration_id, state, note, now))

    def _usd(self, item: Item, model_id: str) -> tuple[float, float]:
        """What a call of a model for a prompt will probably cost, and the most that is reckoned with, USD."""
        catalog = self._catalog.now
        model = catalog.models.get(model_id) or catalog.variants.get(model_id)
        if model is None:
            return 0.0, 0.0
        tokens, times = estimate_messages(item.messages), self._prices.multiplier_of(model.base)
        out = min(round(TYPICAL_OUT * model.output_scale), item.max_tokens)
        listed = times * (tokens * model.input_usd + out * model.output_usd)
        most = times * (1.5 * tokens * model.input_usd + item.max_tokens * model.output_usd)
        bucket = item.task.value if item.task is not None else Task.OPEN.value
        known = self._policy.expected_cost_usd(bucket, model_id, tokens, out) or listed
        judged = 0.0
        if not item.check:
            judge = catalog.model(catalog.judge)
            judged = (tokens + out + 200) * judge.input_usd + 20 * judge.output_usd
        return known + judged, max(most, 1.25 * known) + 2 * judged


def _cap(max_usd: float | None) -> float:
    cap = DEFAULT_MAX_USD if max_usd is None else max_usd
    if not 0 < cap <= LARGEST_MAX_USD:
        raise Unprocessable(f"max_usd must be above 0 and at most {LARGEST_MAX_USD:g}", param="max_usd")
    return cap


def _head(row: Json) -> CalibrationHead:
    """A calibration's own columns as they are shown; one whose process went away without a word is interrupted."""
    state, note = row["state"], row["note"]
    if state == calibrations.RUNNING and abs(row["changed"] - time.time()) > STALE_S:
        state, note = "interrupted", INTERRUPTED
    return {
        "id": row["id"],
        "created": row["created"],
        "changed": row["changed"],
        "max_usd": row["max_usd"],
        "estimate_usd": row["estimate_usd"],
        "state": state,
        "note": note,
    }


def _table(plan: Plan) -> list[CalibrationCell]:
    """Per task and model: calls, grades, mean quality, mean cost in USD. By task, the best first."""
    cells: dict[tuple[str, str], list[Json]] = {}
    for row in plan.results.values():
        cells.setdefault((row["bucket"], row["model"]), []).append(row)
    lines = [_cell(bucket, model, rows) for (bucket, model), rows in cells.items()]
    return sorted(
        lines, key=lambda one: (one["bucket"], -(one["quality"] or 0.0), one["mean_cost"] or 0.0, one["model"])
    )


def _cell(bucket: str, model: str, rows: list[Json]) -> CalibrationCell:
    graded = [row["quality"] for row in rows if row["quality"] is not None]
    charged = [row["cost_pico"] for row in rows if row["cost_pico"] is not None]
    return {
        "bucket": bucket,
        "model": model,
        "n": len(rows),
        "graded": len(graded),
        "judged": sum(row["quality_source"] == "judge" for row in rows),
        "quality": sum(graded) / len(graded) if graded else None,
        "mean_cost": sum(charged) / len(charged) / PICO_PER_USD if charged else None,
    }


_COLUMNS: tuple[str, ...] = (
    "id",
    "model",
    "bucket",
    "task",
    "quality",
    "quality_source",
    "cost_pico",
    "judge_cost_pico",
)
