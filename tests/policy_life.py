"""The life of a policy, seeded: calls in several buckets, late grades, votes, prices and qualities that change, restarts.

What it has emitted is gathered like a store does, so that at any moment a fresh policy can be loaded with it: both have to
choose the same, to the last digit.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from arbiter_app.policy import (
    Beside,
    Learned,
    ModelFacts,
    Observation,
    Policy,
    PolicySettings,
    RoutingAsk,
    RoutingChoice,
    Trials,
    build,
)

PRICES = {"free": 0.0, "tiny": 0.02, "small": 0.06, "middle": 0.4, "large": 0.7, "big": 1.0}
QUALITY = {"free": 0.45, "tiny": 0.62, "small": 0.83, "middle": 0.9, "large": 0.91, "big": 0.93}
FACTS = {
    model: ModelFacts(
        usd / 1e6, 4 * usd / 1e6, prior={"code": 0.7} if model == "tiny" else {}, cached_usd_per_token=usd / 4e6
    )
    for model, usd in PRICES.items()
}
BUCKETS = ("code", "code:hard", "open", "translation")
LENGTHS = (60, 200, 400, 900, 2_500)
MODELS = tuple(PRICES)
BASELINE = "big"
PROJECTS = ("search", "support", "batch")
HARD_FOR = {("search", "small"): 0.2, ("batch", "middle"): 0.3}
"""How much of its quality a model has in a project, where it is not the same as elsewhere."""
TOPICS = {False: "name the colour of", True: "prove the lemma about"}
WORDS = "river stone cloud paper window garden music table winter letter".split()


@dataclass
class Life:
    """One policy and what a store would know of it. `step` is one request; `fresh` loads another from the store."""

    name: str
    seed: int = 0
    settings: PolicySettings = field(default_factory=PolicySettings)

    def __post_init__(self) -> None:
        """Nothing learned yet."""
        self.draw = random.Random(self.seed)
        self.policy = self._built()
        self.state: dict[str, bytes] = {}
        self.waiting: list[Observation] = []
        self.calls, self.alarms, self.votes, self.late, self.beside = 0, 0, 0, 0, 0
        self.price = dict.fromkeys(MODELS, 1.0)
        self.worse: set[str] = set()

    def fresh(self) -> Policy:
        """Another policy with the same statistics, in another order, and the same state."""
        rows = self.policy.rows()
        self.draw.shuffle(rows)
        other = self._built()
        other.load(rows, dict(self.state))
        return other

    def ask(self) -> RoutingAsk:
        """A request, now and then of a conversation, with fewer models, or with one that nobody has listed."""
        draw = self.draw
        models = MODELS if draw.random() < 0.8 else tuple(draw.sample(MODELS, draw.randint(2, 5)))
        if draw.random() < 0.02:
            models = (*models, "unlisted")
        prompt = f"{TOPICS[draw.random() < 0.4]} {' '.join(draw.sample(WORDS, 4))}"
        own = draw.choice(MODELS) if draw.random() < 0.1 else None
        bucket = draw.choices(BUCKETS, (8, 2, 4, 1))[0]
        length, cached = draw.choice(LENGTHS), draw.random() if own is not None else 0.0
        trials = draw.choices(tuple(Trials), (4, 5, 1))[0]
        segments = ("project", draw.choice(PROJECTS)), ("system", f"{draw.randrange(40):02d}")
        return RoutingAsk(
            bucket, prompt, models, length, 200, own, own, int(cached * length), trials, segments=segments
        )

    def step(self) -> None:
        """One request from the choice to what is learned from it, and whatever else befalls a policy."""
        self.calls += 1
        ask, draw = self.ask(), self.draw
        choice = self.policy.choose(ask, float(self.calls), draw.getrandbits(40))
        beside: Beside | None = None
        for model in (choice.model, *choice.shadows):
            mode = choice.mode if model == choice.model else "shadow"
            seen = replace(self._outcome(ask, model, mode), beside=beside)
            if beside is None or model == BASELINE:
                beside = Beside(model, seen.quality, seen.quality_weight)
            self.beside += mode == "shadow"
            if seen.quality is not None and draw.random() < 0.2:
                self.waiting.append(seen)
                seen = replace(seen, quality=None)
            self._learned(self.policy.record(seen))
        if self.waiting and draw.random() < 0.2:
            self.late += 1
            self._learned(self.policy.grade(self.waiting.pop(draw.randrange(len(self.waiting)))))
        if draw.random() < 0.02:
            self.votes += 1
            up, withdrawn = draw.random() < 0.7, draw.random() < 0.1
            self._learned(self.policy.vote(ask.bucket, choice.model, up, withdrawn, ask.segments))
        self._change(choice.model)

    def differences(self, compared: int) -> Iterator[tuple[RoutingChoice, RoutingChoice]]:
        """The choices that differ from those of a fresh policy, of so many asked now."""
        other = self.fresh()
        for _ in range(compared):
            ask, seed = self.ask(), self.draw.getrandbits(40)
            mine, its = self.policy.choose(ask, 1.0, seed), other.choose(ask, 2.0, seed)
            if mine != its:
                yield mine, its

    def _built(self) -> Policy:
        return build(self.name, catalog=FACTS, baseline=BASELINE, settings=self.settings)

    def _learned(self, learned: Learned) -> None:
        self.alarms += len(learned.shifts)
        self.state.update(learned.state)

    def _outcome(self, ask: RoutingAsk, model: str, mode: str) -> Observation:
        draw = self.draw
        good = QUALITY.get(model, 0.5) * (0.3 if model in self.worse else 1.0)
        if TOPICS[True] in ask.prompt and model in ("tiny", "small"):
            good *= 0.4
        good *= HARD_FOR.get((dict(ask.segments)["project"], model), 1.0)
        usd = FACTS[model].list_usd(ask.tokens_in, 200) * self.price[model] if model in FACTS else 1e-4
        return Observation(
            bucket=ask.bucket,
            model=model,
            prompt=ask.prompt,
            cost_usd=usd * draw.lognormvariate(0, 0.05) if draw.random() < 0.95 else None,
            tokens_in=ask.tokens_in,
            tokens_out=200,
            quality=float(draw.random() < good) if draw.random() < 0.8 else None,
            quality_weight=draw.choice((1.0, 0.5)),
            latency_ms=100.0,
            mode=mode,
            asked_tokens=float(ask.tokens_in),
            segments=ask.segments,
        )

    def _change(self, model: str) -> None:
        """Prices rise and fall, models get worse and better, and the process starts again."""
        if self.calls % 300 == 0 and model in MODELS:
            self.price[model] = 4.0 if self.price[model] == 1.0 else 1.0
        if self.calls % 500 == 0:
            self.worse = set() if self.worse else {model}
        if self.calls % 700 == 0:
            self.policy = self.fresh()
