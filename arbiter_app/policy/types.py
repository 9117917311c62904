"""The values a policy takes and gives: frozen, with the units in their names. Clock and seed are always arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from arbiter_app.policy.statistics import ModelStats


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is public knowledge about a model: list prices in USD per token, benchmark priors per task in 0..1."""

    input_usd_per_token: float = 0.0
    output_usd_per_token: float = 0.0
    prior: Mapping[str, float] = field(default_factory=dict)
    coarse_request_usd: float | None = None

    def list_usd(self, tokens_in: float, tokens_out: float) -> float:
        """Price of a request at list prices; the coarse price per request where no list price is known."""
        listed = tokens_in * self.input_usd_per_token + tokens_out * self.output_usd_per_token
        return listed if listed or self.coarse_request_usd is None else self.coarse_request_usd


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """Every threshold of routing. Each is a setting: `ARBITER_` + its name in upper case."""

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
    holdout_share: float = 0.0
    """Share of routed requests that the baseline answers, at random, to measure the saving."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense. Raises ValueError naming the field."""
        for spec in fields(self):
            value = getattr(self, spec.name)
            if not 0 <= value < 1e9:
                raise ValueError(f"{spec.name} must be 0 or more, not {value}")
        for name in ("quality_tolerance", "epsilon", "holdout_share"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} is a share between 0 and 1, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to route. Token counts are estimates, 0 when unknown; `prompt` is the latest human ask."""

    bucket: str
    prompt: str
    eligible: tuple[str, ...]
    tokens_in: int = 0
    tokens_out: int = 0
    conversation_model: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
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


@dataclass(frozen=True, slots=True)
class Choice:
    """The policy's decision. `ranking` lists every eligible model, chosen first, then in failover order.

    `propensity` is the probability with which this model was chosen; `seed` replays the choice.
    """

    model: str
    mode: str
    reason: str
    propensity: float
    ranking: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    seed: int


@dataclass(frozen=True, slots=True)
class Observation:
    """What one call showed. None means unknown, and an unknown never moves a statistic."""

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


@dataclass(frozen=True, slots=True)
class Learned:
    """What an observation changed: additive deltas by (bucket, model), shifts, and blobs of non-additive state."""

    deltas: tuple[tuple[str, str, ModelStats], ...] = ()
    shifts: tuple[Shift, ...] = ()
    state: Mapping[str, bytes] = field(default_factory=dict)
