"""The values that travel through the six stages: frozen, typed, parsed once at the door.

Units are in the names: `_s` seconds, `_ms` milliseconds, `_usd` dollars as float (for estimates and statistics),
`_pico` exact money in integer pico-dollars (1e-12 USD: every charge a runtime states, so that sums stay exact).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import orjson

from arbiter_app import exact_json, values
from arbiter_app.pipeline.effort import EFFORTS, USUAL_EFFORT, Setting
from arbiter_app.pipeline.errors import BadRequest
from arbiter_app.pipeline.native import NativeRequest
from arbiter_app.policy import Objective, Wish

PICO_PER_USD = 1_000_000_000_000
DEFAULT_RUNTIME = "btl"
"""The name of the runtime that the settings give (BTL_BASE_URL, GATEWAY_API_KEY)."""
_ROUTED = frozenset({"auto", "arbiter"})

Json = dict[str, Any]


def leaves_choice(name: str) -> bool:
    """Whether it is a name by which callers leave the choice of a model to Arbiter (`auto`, `arbiter`, presets such as `auto:cheap`): no
    model of the pool goes by one.
    """
    plain = name.strip().casefold()
    return plain in _ROUTED or plain.startswith("auto:")


class Task(StrEnum):
    """What kind of answer a prompt asks for."""

    CODE = "code"
    MATH = "math"
    STRUCTURED = "structured"
    FACTUAL = "factual"
    OPEN = "open"


MEANING = {
    Task.CODE: "programming",
    Task.MATH: "calculation or proof",
    Task.STRUCTURED: "output in a data format such as JSON, YAML, CSV or a table",
    Task.FACTUAL: "a question with a checkable answer",
    Task.OPEN: "everything else",
}
"""What a classifier model is told of each task."""


class Capability(StrEnum):
    """What a request may ask for and a model be unable to do, as the catalog calls it."""

    VISION = "vision"
    AUDIO = "audio"
    VIDEO = "video"
    TOOLS = "tools"
    JSON_SCHEMA = "json_schema"


IN_WORDS = {
    Capability.VISION: "image input",
    Capability.AUDIO: "audio input",
    Capability.VIDEO: "video input",
    Capability.TOOLS: "tools",
    Capability.JSON_SCHEMA: "response_format json_schema",
}
"""What callers hear that no model can do."""
USUAL = frozenset({Capability.TOOLS, Capability.JSON_SCHEMA})
"""What a model can of which nothing is said."""


def capabilities(stated: Mapping[str, bool]) -> frozenset[Capability]:
    """What a model can, of which this is stated."""
    return frozenset(one for one in Capability if stated.get(one, one in USUAL))


class ClassifiedBy(StrEnum):
    """How the task was decided."""

    RULES = "rules"
    MODEL = "model"
    FALLBACK = "model-fallback"
    CALLER = "caller"
    MEMORY = "memory"


class Mode(StrEnum):
    """Why the serving model was the serving model."""

    EXPLORE = "explore"
    EXPLOIT = "exploit"
    ESCALATE = "escalate"
    PINNED = "pinned"
    CACHE = "cache"
    HOLDOUT = "holdout"
    CALIBRATE = "calibrate"
    EMBEDDING = "embedding"
    SHADOW = "shadow"


class CostState(StrEnum):
    """How a cost is known, best first. A missing cost is `unknown`, never zero."""

    SETTLED = "settled"
    COMPUTED = "computed"
    ESTIMATED = "estimated"
    UNKNOWN = "unknown"


class Role(StrEnum):
    """Who is asking."""

    ANONYMOUS = "anonymous"
    CALLER = "caller"
    OPERATOR = "operator"


class ProjectRole(StrEnum):
    """What a person may do in a project, from the least to the most (see `services.project_roles`)."""

    VIEWER = "viewer"
    MEMBER = "member"
    OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated client: the public id of its key, and what it may do.

    `origin` is the key that this one replaces, the first of the line: budgets go by it.
    """

    key_id: str
    role: Role
    email: str = ""
    status: str = "active"
    project: str = "default"
    origin: str = ""
    models: tuple[str, ...] | None = None
    """Those that the key may use; None for all."""
    tolerance: float | None = None
    """The key's own of quality, 0 to 1; None for that of the settings."""
    expires: float | None = None
    """When the key is no longer good, unix seconds; None for never."""
    memberships: tuple[tuple[str, ProjectRole], ...] = ()
    """The projects in which a person has a role, in the order in which they came in; a key has none."""

    @property
    def line(self) -> str:
        """The id under which the key and those that replace it are one."""
        return self.origin or self.key_id


_UNWRITTEN: Mapping[str, str] = MappingProxyType({})
"""Stands for the members of a request that nobody sent."""


@values.value(frozen=True, slots=True)
class ChatRequest:
    """One parsed `POST /v1/chat/completions`.

    `payload` is what the runtime will get, apart from `model`: the caller's body without `arbiter_*` fields. `written` is the
    same, each member as the caller wrote it.
    `ask` is the latest human message as plain text; `system` the system prompt; `body_bytes` the size of the body;
    `named` says that the caller named the conversation; `dropped` are members of a request in another dialect that could not be
    carried over, `untranslatable` is the refusal of one that only a runtime of its own dialect can serve; `show_thoughts` says
    whether the caller takes what a model thought; `repeated` are those that its answer repeats; `native` is the request as it came in
    another dialect.
    """

    request_id: str
    caller: Caller
    payload: Json
    messages: list[Json]
    ask: str
    system: str
    stream: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    """The caller's bound on the answer, in tokens; 0 where it fills a prompt cache and asks for no answer."""
    needs: frozenset[Capability] = frozenset()
    max_cost_usd: float | None = None
    max_latency_s: float | None = None
    no_cache: bool = False
    no_shadow: bool = False
    cache: bool = False
    allow: tuple[str, ...] | None = None
    """The models that may serve; those behind a `!` may not."""
    pin: str | None = None
    tolerance: float | None = None
    objective: Objective | None = None
    setting: Setting | None = None
    """What the caller says of how hard a model is to think; no variant says otherwise then."""
    wish: Wish | None = None
    """Objective and tolerance as the policy takes them, once they are looked at (`wishes.py`)."""
    conversation: str = ""
    named: bool = False
    body_bytes: int = 0
    dropped: tuple[str, ...] = ()
    native: NativeRequest | None = None
    untranslatable: BadRequest | None = None
    show_thoughts: bool = True
    storable: bool = False
    """Whether the caller lets its contents be kept, where any are."""
    repeated: Json = field(default_factory=dict)
    written: Mapping[str, str] = field(default_factory=lambda: _UNWRITTEN)
    tags: tuple[str, ...] = ()
    """What the caller says that the request belongs to, bounded in number and length."""
    end_user: str = ""
    """For whom the caller says that it asks."""
    task: Task | None = None
    """What the caller says that is asked for, where it does."""
    hard: bool | None = None
    """The same of its difficulty."""
    as_it_came: bytes = b""
    """The body, where it goes on unchanged and is not looked at."""
    texts: int = 1
    """How many of them it asks vectors for."""
    hosted: bool = False
    """It offers tools that a provider runs, which could not be carried over."""
    stored: bool = False
    """Its caller wants the answer kept by the provider, which could not be carried over."""
    talk: tuple[str, str] = field(init=False)
    """Which conversation of which key it belongs to."""

    def __post_init__(self) -> None:
        """Name its conversation; a request that nobody sent is written by us."""
        object.__setattr__(self, "talk", (self.caller.key_id, self.conversation))
        if self.written is _UNWRITTEN:
            written = {name: orjson.dumps(value).decode() for name, value in self.payload.items()}
            object.__setattr__(self, "written", written)

    def body(self, *, without: Collection[str] = (), **own: Any) -> bytes:
        """The body for a runtime: every member as the caller wrote it, but for our `own`, and `without` some."""
        members = {**self.written, **{name: orjson.dumps(value).decode() for name, value in own.items()}}
        for name in without:
            members.pop(name, None)
        return exact_json.of_members(members)


@values.value(frozen=True, slots=True)
class Usage:
    """Token counts as the runtime reported them. All but the first two are of a kind with a price of its own, and among those two.

    `written_tokens` went into the provider's cache for some minutes, `written_1h_tokens` for an hour; `cached_audio_tokens` are among
    both the cached ones and those of audio.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    written_tokens: int = 0
    written_1h_tokens: int = 0
    audio_in_tokens: int = 0
    cached_audio_tokens: int = 0
    image_in_tokens: int = 0
    reasoning_tokens: int = 0
    audio_out_tokens: int = 0
    image_out_tokens: int = 0

    @property
    def fresh_tokens(self) -> int:
        """Those of the prompt that were neither read from a cache nor written to one."""
        return self.prompt_tokens - self.cached_tokens - self.written_tokens - self.written_1h_tokens

    @property
    def in_cache_tokens(self) -> int:
        """Those of the prompt that the provider has in its cache after the call."""
        return self.cached_tokens + self.written_tokens + self.written_1h_tokens

    @property
    def special(self) -> bool:
        """Whether there are any with a price of their own."""
        prompt = self.cached_tokens or self.written_tokens or self.written_1h_tokens
        media = self.audio_in_tokens or self.image_in_tokens or self.audio_out_tokens or self.image_out_tokens
        return bool(prompt or media or self.reasoning_tokens)


@values.value(frozen=True, slots=True)
class Cost:
    """What one call cost, and how we know. `pico` is None exactly when `state` is `unknown`.

    `set_aside`: a charge was stated that cannot be true.
    """

    pico: int | None
    state: CostState
    set_aside: bool = False

    @property
    def usd(self) -> float | None:
        """The charge in dollars, or None when unknown."""
        return None if self.pico is None else self.pico / PICO_PER_USD

    @property
    def measured(self) -> bool:
        """Whether the runtime stated the charge, or its tokens, and nothing about it is doubtful."""
        return self.state in (CostState.SETTLED, CostState.COMPUTED) and not self.set_aside


UNKNOWN_COST = Cost(None, CostState.UNKNOWN)


@values.value(frozen=True, slots=True)
class Classification:
    """Stage 1: the task and how it was decided. `cost` is what asking a model cost, None when none was asked."""

    task: Task
    hard: bool
    classified_by: ClassifiedBy
    rule: str
    cost: Cost | None = None
    teaches: bool = True
    """Whether what becomes of the request says something of its bucket."""
    bucket: str = field(init=False)
    """Where this request learns: `code`, or `code:hard`."""
    difficulty: str = field(init=False)
    """`easy` or `hard`."""

    def __post_init__(self) -> None:
        """Name the bucket and the difficulty."""
        object.__setattr__(self, "bucket", f"{self.task}:hard" if self.hard else str(self.task))
        object.__setattr__(self, "difficulty", "hard" if self.hard else "easy")


@values.value(frozen=True, slots=True)
class Eligible:
    """Stage 2: who can serve. `rejected` maps each other model to the gate that dropped it, in words."""

    models: tuple[str, ...]
    rejected: Mapping[str, str]
    tokens_needed: int
    prompt_tokens: int
    budget_met: bool = True
    latency_capped: bool = False
    note: str = ""


@values.value(frozen=True, slots=True)
class Attempt:
    """One call of one model, good or bad. `error` is empty on success; `runtime` where there is but one."""

    model: str
    status: int
    error: str
    latency_ms: float
    cost: Cost
    runtime: str = ""

    @property
    def named(self) -> str:
        """The model, and on which runtime where that is not plain."""
        return f"{self.model} on {self.runtime}" if self.runtime else self.model


@values.value(frozen=True, slots=True)
class Completion:
    """Stage 4: the answer that was received, whole or cut short.

    `body` is the runtime's JSON (for a stream: assembled from its chunks), `raw` its bytes where they came as one. `text` is
    the answer's content, without a block of thought before it. One that is `large` is passed on and not looked at: its `raw`,
    or the `pieces` of that, are all that there is, with the `hold` on their memory. `base` is the model whatever its
    setting, `deployment` the key of who answered where that is not the model, `runtime` where that is (empty where there is but one).
    """

    model: str
    body: Json
    text: str
    tool_calls: list[Json]
    usage: Usage | None
    cost: Cost
    latency_ms: float
    first_byte_ms: float
    finish_reason: str | None = None
    aborted: str = ""
    raw: bytes = b""
    large: bool = False
    hold: object = None
    pieces: Sequence[bytes] = ()
    native: Sequence[bytes | memoryview] = ()
    base: str = ""
    deployment: str = ""
    runtime: str = ""


@values.value(frozen=True, slots=True)
class Grade:
    """Stage 5: quality in 0..1, or None when it could not be judged. `source`: objective, judge, learned or none."""

    quality: float | None
    reason: str
    source: str = "objective"


UNGRADED = Grade(None, "not graded", "none")


@dataclass(slots=True)
class Timing:
    """Milliseconds each stage took; `overhead_ms` is everything but waiting for models."""

    classify_ms: float = 0.0
    filter_ms: float = 0.0
    route_ms: float = 0.0
    call_ms: float = 0.0
    grade_ms: float = 0.0
    learn_ms: float = 0.0
    waited_ms: float = 0.0
    total_ms: float = 0.0

    overhead_ms: float = 0.0
    _stage: str = ""
    _since: int = 0

    def enter(self, stage: str) -> None:
        """What is done from now on, waits included, counts for this stage (`grade_ms`), or for none where that is empty."""
        now = time.perf_counter_ns()
        if before := self._stage:
            setattr(self, before, getattr(self, before) + (now - self._since) / 1_000_000)
        self._stage, self._since = stage, now

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """What is done inside is waiting for a model."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.waited_ms += (time.perf_counter() - started) * 1000

    def end(self, began: float) -> None:
        """The request, which began then (by `time.perf_counter`), is done."""
        self.enter("")
        self.total_ms = (time.perf_counter() - began) * 1000
        self.overhead_ms = max(0.0, self.total_ms - self.waited_ms)


@dataclass(frozen=True, slots=True)
class Model:
    """One line of the catalog. Prices are USD per token; `context_tokens` None means the window is not known.

    `name` is what the runtime calls it where that is not its id; `listed` is False for one that the runtime does not offer,
    `joined` True for one beyond the catalog's file, which it offers or an operator added. `price_from` says whose price it is: of the
    catalog, the runtime, the library (the price list that comes with Arbiter), the operator (edited), or nobody: then it is `unknown`, and a
    cautious one.
    """

    id: str
    input_usd: float
    output_usd: float
    context_tokens: int | None
    can: frozenset[Capability] = USUAL
    routable: bool = True
    baseline: bool = False
    prior: Mapping[str, float] = field(default_factory=dict)
    cached_usd: float | None = None
    """Price of a prompt token that the provider had cached; None means not known."""
    special_usd: Mapping[str, float] = field(default_factory=dict)
    """Prices of other tokens of a special kind that the catalog states (`pool.rates.SPECIAL`)."""
    name: str = ""
    listed: bool = True
    joined: bool = False
    price_from: str = "catalog"
    fixed: frozenset[str] = frozenset()
    """Keys of the catalog that an operator has edited: no list of a runtime changes them."""
    variants: tuple[Setting, ...] = ()
    """The settings at which it is a candidate, too, beside its provider's own."""
    effort: str = USUAL_EFFORT
    """How hard it thinks by itself (`effort.EFFORTS`)."""
    setting: Setting | None = None
    """Of a variant: how hard it is to think."""
    variant_of: str = ""
    """Of a variant: the id of its model, with which it shares price, window, deployments and health."""
    base: str = field(init=False)
    """The id of the model, whatever its setting."""
    kin: frozenset[str] = field(init=False)
    """Its id at all of its settings: what one of them signed, the others can read."""

    def __post_init__(self) -> None:
        """Name the model and its kin."""
        base = self.variant_of or self.id
        object.__setattr__(self, "base", base)
        object.__setattr__(self, "kin", frozenset((base, *(f"{base}:{one.name}" for one in self.variants))))

    @property
    def output_scale(self) -> float:
        """How many times the tokens of an answer without thinking are expected of it; 1 where it is no variant and has none."""
        if self.setting is not None:
            return self.setting.output_scale
        return EFFORTS[self.effort] if self.variants else 1.0

    @property
    def sent(self) -> str:
        """What the runtime is asked for."""
        return self.name or self.id

    @property
    def priced(self) -> bool:
        """Whether its price is known."""
        return self.price_from != "unknown"


@dataclass(frozen=True, slots=True, eq=False)
class Deployment:
    """A model on one runtime. `model` is as that runtime sells it: its name there, price, window, and whether it is listed.

    `key` is what health and limits go by: the model's id where it has no other deployment and this one is on the default
    runtime, else `id@runtime`.
    """

    key: str
    runtime: str
    model: Model
