"""The values a policy takes and gives: frozen, with the units in their names. Clock and seed are always arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

import orjson

from arbiter_app import values
from arbiter_app.policy.statistics import ModelStats


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is public knowledge about a model: list prices in USD per token, benchmark priors per task in 0..1.

    `cached_usd_per_token` is that of a prompt token that its provider has cached; None where it is that of any other. A variant is a
    model at another setting: `variant_of` names the model. `output_scale` is how many times the tokens of an answer without thinking
    are expected.
    """

    input_usd_per_token: float = 0.0
    output_usd_per_token: float = 0.0
    prior: Mapping[str, float] = field(default_factory=dict)
    coarse_request_usd: float | None = None
    cached_usd_per_token: float | None = None
    variant_of: str = ""
    output_scale: float = 1.0

    @property
    def cache_usd_per_token(self) -> float:
        """What a prompt token costs more that is not in the provider's cache."""
        cached = self.cached_usd_per_token
        return 0.0 if cached is None else max(0.0, self.input_usd_per_token - cached)

    @property
    def listed(self) -> bool:
        """Whether a list price is known (a free model has none)."""
        return self.input_usd_per_token > 0 or self.output_usd_per_token > 0

    def list_usd(self, tokens_in: float, tokens_out: float) -> float:
        """Price of a request at list prices; the coarse price per request where no list price is known."""
        listed = tokens_in * self.input_usd_per_token + tokens_out * self.output_usd_per_token
        return listed if listed or self.coarse_request_usd is None else self.coarse_request_usd


UNLISTED = ModelFacts()
"""Of a model that nobody has listed."""


class Serve(StrEnum):
    """Who may serve: whoever is believed best, or only the baseline and models with a licence (see `licence`)."""

    BELIEVED = "believed"
    LICENSED = "licensed"


_SHARES = (
    "quality_tolerance",
    "epsilon",
    "gap_shared",
    "explore_share",
    "explore_usd_share",
    "explore_chance",
    "shadow_share",
    "repriced_share",
    "recheck_share",
    "segment_sure",
    "holdout_share",
)


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """Every threshold of routing. Each is a setting: `ARBITER_` + its name in upper case."""

    serve: Serve = Serve.BELIEVED
    """Who may serve: `believed`, whoever is believed best, or `licensed`, the baseline and models proven to be within the tolerance of it."""
    quality_tolerance: float = 0.05
    """How far under the best quality is still good enough."""
    min_samples: int = 2
    """Classic: tries of every model in a bucket before it is exploited (one where a benchmark prior is known)."""
    epsilon: float = 0.10
    """Classic: share of requests that go to a random model for ever after."""
    prior_strength: float = 1.5
    """Pseudo-observations that a benchmark prior counts for."""
    vote_weight: float = 3.0
    """Grades that a human thumb counts for."""
    price_shift: float = 0.75
    """Relative move of the unit price that is a shift at once."""
    price_shift_sigma: float = 4.0
    """A smaller move is a shift when it is this many standard deviations off ..."""
    price_shift_floor: float = 0.10
    """... and at least this large, relative ..."""
    price_shift_calls: int = 5
    """... after this many priced calls."""
    price_shift_tokens: int = 40
    """Tokens of history before any move is believed."""
    baseline_first: float = 5.0
    """Grades that the baseline gets in a bucket before anything else is tried: they set the bar ..."""
    baseline_growth: float = 0.6
    """... plus this many for the square root of a bucket's calls: a bar that nobody looks at again is the dearest mistake."""
    caution: float = 0.0
    """Standard deviations of doubt by which a model is taken to be worse than it looks where it is to serve ..."""
    caution_shadow: float = 0.2
    """... the same where trials are asked beside answers, so that doubt can be resolved first ..."""
    caution_trial: float = 0.05
    """... and where it is to be tried."""
    early_shortfall: float = 1.0
    """How many times more quality that falls short counts in a bucket's first requests, where trials are asked beside answers ..."""
    early_requests: float = 50.0
    """... and the requests after which that has halved."""
    lead: float = 0.03
    """How much better than the bar's own model another may at most be."""
    horizon_min: float = 70.0
    """Requests of a bucket within which a trial has to pay, at least ..."""
    horizon_growth: float = 0.3
    """... plus this many for each one seen so far."""
    gap_mean: float = 0.12
    """How much worse than the baseline a cheaper model is expected to be ..."""
    gap_slope: float = 0.008
    """... plus this much for each factor of e in price."""
    gap_common_sd: float = 0.03
    """Standard deviation of what all cheaper models of a pool have in common."""
    gap_slope_sd: float = 0.03
    """Standard deviation of that slope."""
    gap_own_sd: float = 0.11
    """Standard deviation of one model's own gap."""
    gap_shared: float = 0.7
    """Share of a gap's variance that is common to all buckets."""
    price_strength: float = 4.0
    """Calls that the list price counts for."""
    explore_share: float = 0.5
    """Largest share of all requests that may be trials."""
    explore_usd_share: float = 0.06
    """Largest share of the baseline's price of all requests that trials may cost."""
    explore_start: float = 100.0
    """Requests that both shares are granted in advance, where trials serve."""
    explore_chance: float = 0.9
    """Chance that a trial that pays is made; the rest of the time the best known model serves."""
    shadow_models: int = 3
    """Models that are asked beside one answer at most, where trials are asked beside answers; they cost at most `explore_usd_share`."""
    shadow_share: float = 1.0
    """Largest share of requests beside which others are asked."""
    shadow_worth: float = 2.5
    """How many times its price a call beside an answer has to be worth ..."""
    shadow_horizon: float = 150.0
    """... within this many requests of a bucket, at least (`horizon_growth` more for each one seen so far)."""
    shadow_start: float = 400.0
    """Requests that the share of dollars is granted in advance for calls beside answers."""
    explore_loss_share: float = 0.2
    """Largest expected loss on the baseline for the sake of trials, per request ..."""
    explore_loss_start: float = 500.0
    """... with this many requests granted in advance."""
    sticky_margin: float = 0.25
    """Gain, in baseline prices, under which a conversation keeps its model."""
    repriced_calls: float = 20.0
    """Calls with which a model whose price rose earns its traffic again; until then ..."""
    repriced_share: float = 0.10
    """... it serves this share of what would go to it, and the others are looked at anew."""
    recheck_share: float = 0.05
    """Share of requests that look whether the price of a model that was left for it fell again; less with every look."""
    price_alarm: float = 9.0
    """Evidence (CUSUM of standard deviations) that is a price alarm."""
    quality_alarm: float = 10.0
    """Evidence (CUSUM of log-likelihood ratios) that is a quality alarm."""
    segment_sure: float = 0.7
    """How likely the segments of a bucket have to differ, above this, for choices to be made for each of them; with 1 they never are."""
    holdout_share: float = 0.0
    """Share of routed requests that the baseline answers, at random, to measure the saving; 0.01 is a good one."""
    holdout_usd_per_day: float = 1.0
    """Largest cost of these answers in USD, per UTC day."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense. Raises ValueError naming the field."""
        for spec in fields(self):
            value = getattr(self, spec.name)
            if spec.name == "serve":
                continue
            if not 0 <= value < 1e9:
                raise ValueError(f"{spec.name} must be 0 or more, not {value}")
        for name in _SHARES:
            if getattr(self, name) > 1:
                raise ValueError(f"{name} is a share between 0 and 1, not {getattr(self, name)}")


class Trials(StrEnum):
    """How a request may be used to learn: a trial serves the caller, is asked beside the answer (the caller gets that of the
    model believed best, or the baseline's), or there is none."""

    SERVED = "served"
    SHADOW = "shadow"
    NONE = "none"


Segment = tuple[str, str]
"""A part of a bucket: by which feature of a request it is told apart, and that feature's value (see `segments.py`)."""


class Objective(StrEnum):
    """What a caller wants most: the least money, the operator's balance, the best answer, or the quickest good one."""

    COST = "cost"
    BALANCED = "balanced"
    QUALITY = "quality"
    LATENCY = "latency"


@dataclass(frozen=True, slots=True)
class Wish:
    """How one caller wants to be served, other than by the operator's rule; `tolerance` is in 0..1, None the objective's own."""

    objective: Objective = Objective.BALANCED
    tolerance: float | None = None


@values.value(frozen=True, slots=True)
class RoutingAsk:
    """One request to route. Token counts are estimates, 0 when unknown; `prompt` is the latest human ask.

    `tokens_in` tells long prompts from short ones: any measure will do that is also given as `Observation.asked_tokens`.
    `cached_tokens` of the prompt are in the cache of `cached_by`, the model that served the conversation last: any other pays them in
    full. `dollar_weight` is how many times as much as else a dollar weighs (see `pacing`). `segments` are those of its bucket that the
    request belongs to, one by each feature.
    """

    bucket: str
    prompt: str
    eligible: tuple[str, ...]
    tokens_in: int = 0
    tokens_out: int = 0
    conversation_model: str | None = None
    cached_by: str | None = None
    cached_tokens: int = 0
    trials: Trials = Trials.SERVED
    wish: Wish | None = None
    dollar_weight: float = 1.0
    segments: tuple[Segment, ...] = ()


class Candidate(NamedTuple):
    """One eligible model as the policy saw it: graded weight, quality with 95 % interval, expected cost in USD.

    `why_not` is a short sentence, empty for the model that was chosen.
    """

    model: str
    n: float
    quality: float | None
    low: float | None
    high: float | None
    cost_usd: float | None
    why_not: str


class Candidates(tuple[Candidate, ...]):
    """Those of a decision; many decisions, one after the other, have the same."""

    @cached_property
    def stored(self) -> bytes:
        """As they are stored, a row each in JSON: written once for all decisions that have them."""
        return orjson.dumps([tuple(one) for one in self])


@values.value(frozen=True, slots=True)
class RoutingChoice:
    """The policy's decision. `ranking` lists every eligible model, chosen first, then in failover order.

    `propensity` is the probability with which this model was chosen; `seed` replays the choice. `shadows` are to be asked beside it, for
    learning alone, best first; only where the ask's `trials` are `SHADOW`.
    """

    model: str
    mode: str
    reason: str
    propensity: float
    ranking: tuple[str, ...]
    candidates: Candidates
    seed: int
    shadows: tuple[str, ...] = ()


class Beside(NamedTuple):
    """Another answer to the same prompt: its model, and its grade (0 to 1; None while unknown) with that grade's weight."""

    model: str
    quality: float | None = None
    weight: float = 1.0


REACTION = "reaction"
"""The mode of an observation that is what the next turn said of an answer."""


@values.value(frozen=True, slots=True)
class Observation:
    """What one call showed. None means unknown, and an unknown never moves a statistic; nor does `asked_tokens` (the
    estimate that the ask carried) of 0.

    `mode` is `shadow` for an answer that was asked beside another: its cost is learning money; and `reaction` for a weak grade that
    callers say, on which no alarm rests. `beside` is another answer to the same
    prompt, known by now: the baseline's where there is one, else the one that was served. Of two answers the later one tells.
    `segments` are those of the ask."""

    bucket: str
    model: str
    prompt: str = ""
    cost_usd: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    quality: float | None = None
    quality_weight: float = 1.0
    latency_ms: float | None = None
    mode: str = "exploit"
    now: float = 0.0
    asked_tokens: float = 0.0
    beside: Beside | None = None
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True, slots=True)
class Shift:
    """Something changed: `kind` is price or quality, units are those of the statistic that moved."""

    kind: str
    bucket: str
    model: str
    old_unit: float
    new_unit: float
    direction: str
    reason: str


@values.value(frozen=True, slots=True)
class Learned:
    """What an observation changed: additive deltas by (bucket, model), shifts, and blobs of non-additive state."""

    deltas: tuple[tuple[str, str, ModelStats], ...] = ()
    shifts: tuple[Shift, ...] = ()
    state: Mapping[str, bytes] = field(default_factory=dict)


class Differing(NamedTuple):
    """A part of a bucket that differs from its others: the chance of that, the weight of the grades in it, and the model that an exploiting
    request would get now, with its quality as believed there, and whether it has a licence there."""

    bucket: str
    segment: Segment
    chance: float
    graded: float
    model: str
    quality: float | None
    licensed: bool


@dataclass(frozen=True, slots=True)
class PolicySnapshot:
    """All that choices follow from, besides the models' facts and the settings: `load` with it makes a policy that chooses the
    same. `version` counts what was learned since the process started, so that two choices of one version rest on the same."""

    version: int
    rows: tuple[tuple[str, str, ModelStats], ...]
    state: Mapping[str, bytes]
