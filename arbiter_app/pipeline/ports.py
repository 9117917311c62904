"""What the core needs from the outside, as protocols. `runtime/` and `store/` implement them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from arbiter_app import values
from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.native import NativeEvents
from arbiter_app.pipeline.types import ChatRequest, Grade, Json
from arbiter_app.policy.agreement import PairKey, Pairs
from arbiter_app.policy.statistics import ModelStats


class Refused(StrEnum):
    """What a runtime's refusal means, whatever its status and words (`runtime.claims.refusals`)."""

    GONE = "gone"
    """No such model, or no access to it: its name was our choice, not the caller's."""
    TOO_LONG = "too_long"
    UNSUPPORTED = "unsupported"
    """This model cannot do what is asked of it; another may."""
    FOREIGN = "foreign"
    """What another model thought or signed in this conversation, which this one cannot read."""
    CONTENT = "content"
    OUT_OF_CREDIT = "out_of_credit"
    KEY = "key"
    """The runtime does not accept the key it was given, or its account."""
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    INVALID = "invalid"
    """The request itself: the caller's own mistake."""
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal as the runtime stated it, bounded and free of secrets.

    `status` is 400..599. `matched` are the words it was recognised by, empty where a code or the status said it. `window`
    and `needs` are tokens, where the words state them.
    """

    means: Refused
    status: int
    message: str = ""
    type: str | None = None
    code: str | None = None
    param: str | None = None
    matched: str = ""
    window: int | None = None
    needs: int | None = None


class RuntimeFault(Exception):
    """A call of the runtime that gave no answer.

    `kind`: connect, timeout, transport, protocol, status. `refusal` is what the runtime said, `status` its status (0 when
    it said nothing), `retry_after_s` its Retry-After in seconds, when given.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        refusal: Refusal | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.refusal = refusal
        self.retry_after_s = retry_after_s

    @property
    def status(self) -> int:
        """The status of the refusal; 0 when there was none."""
        return self.refusal.status if self.refusal is not None else 0

    @property
    def means(self) -> Refused:
        """What it means; BROKEN when nothing was said."""
        return self.refusal.means if self.refusal is not None else Refused.BROKEN


LARGE_BYTES = 1_000_000
"""Larger answers are passed on, and neither graded nor kept: looking at them would cost several times their size."""


@values.value(frozen=True, slots=True)
class Reply:
    """A whole answer of the runtime: status 2xx, lower-case headers, its body and that parsed, time to first byte.

    `hold` has to be kept for as long as the body is: what all answers hold together is bounded. One larger than `LARGE_BYTES`
    may be in `pieces` instead of `body`, as it may go to the caller; `json` has its long strings cut down then. `dropped` are members of
    the request that the runtime has no word for. `native` is the answer in the runtime's own dialect, where the request was in that: as
    it may go to the caller, without the brace that ends it; a large one instead of `body`. No member has our name.
    """

    headers: Mapping[str, str]
    body: bytes
    first_byte_ms: float
    json: Json
    hold: object = None
    pieces: Sequence[bytes] = ()
    dropped: Sequence[str] = ()
    native: Sequence[bytes | memoryview] = ()


class ReplyStream(Protocol):
    """A streamed answer as raw SSE events (bytes of one event, without its blank line).

    `together` gives the next event and those that have come with it; none at the end. It raises `RuntimeFault` when the
    runtime breaks off, stalls, or the deadline passes. `aclose` ends the connection at once.
    """

    headers: Mapping[str, str]
    first_byte_ms: float
    dropped: Sequence[str]
    native: NativeEvents | None

    async def together(self) -> Sequence[bytes]: ...

    async def aclose(self) -> None: ...


class Runtime(Protocol):
    """The client of a runtime. `payload` is a chat request, or one in the runtime's own `dialect`: then `native` are the caller's headers
    that go along. `deadline` is absolute, in `time.monotonic()` seconds, the clock of event loops."""

    @property
    def dialect(self) -> str: ...

    async def complete(self, payload: bytes, *, deadline: float, native: Mapping[str, str] | None = None) -> Reply: ...

    async def stream(
        self, payload: bytes, *, deadline: float, native: Mapping[str, str] | None = None
    ) -> ReplyStream: ...

    async def models(self) -> list[Json]: ...

    async def aclose(self) -> None: ...


Delta = tuple[str, str, ModelStats]
Pairing = tuple[PairKey, Pairs]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What is charged to the budgets of a request, in pico-dollars; what else was reserved under its id is let go.

    `places` are the budgets, each with the start of the period in which it was reserved, unix seconds.
    """

    reservation: str
    places: tuple[tuple[str, int], ...]
    pico: int


class Reservation(Protocol):
    """What one request may charge to its budgets. `pico` is reserved by now; `left_pico` might be in all, as far as is known here;
    `dollar_weight` is how many times as much as else a dollar weighs in the choice; `remaining_pico` is what is left of the tightest;
    `places` are as in `Settlement`."""

    @property
    def places(self) -> tuple[tuple[str, int], ...]: ...

    @property
    def pico(self) -> int: ...

    @property
    def left_pico(self) -> int: ...

    @property
    def remaining_pico(self) -> int: ...

    @property
    def dollar_weight(self) -> float: ...

    @property
    def warning(self) -> str:
        """That a soft limit is passed, in a sentence; empty where none is."""
        ...

    async def look(self) -> None:
        """Ask the store what is left. Raises ArbiterError where that cannot be known."""
        ...

    async def cover(self, pico: int) -> bool:
        """Reserve so much in all, at least; False where that does not fit into a budget. Raises ArbiterError as `look` does."""
        ...

    def settled(self, pico: int) -> Settlement | None:
        """The end of it: so much is charged. None where nothing was reserved and nothing is charged."""
        ...

    def exceeded(self, pico: int) -> ArbiterError:
        """Why so much cannot be reserved, in words."""
        ...


class Spending(Protocol):
    """The budgets that requests count for; `limited` says whether there are any."""

    @property
    def limited(self) -> bool: ...

    def begin(self, request: ChatRequest) -> Reservation | None:
        """The reservation of a request, which holds nothing yet; None where no budget limits it."""
        ...


@dataclass(slots=True)
class DecisionRecord:
    """Everything one request leaves behind, written in one transaction (see `store.tables.Decision`).

    `row` holds the columns of the decision; `trace` what every stage saw (JSON-ready); `deltas` the additive
    changes of the statistics, by bucket and model; `alerts` rows of the alert table; `state` blobs of
    policy state by key; `settlement` is what its budgets are charged.
    """

    row: dict[str, Any]
    trace: Json
    deltas: list[Delta] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    state: Mapping[str, bytes] = field(default_factory=dict)
    settlement: Settlement | None = None


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is learned after a decision, or without one: see `DecisionRecord`; `pairs` of a judge's scores with the truth."""

    deltas: Sequence[Delta] = ()
    alerts: Sequence[dict[str, Any]] = ()
    state: Mapping[str, bytes] = field(default_factory=dict)
    pairs: Sequence[Pairing] = ()


class NotDurable(Exception):
    """The record is kept in memory and will be written when the database recovers."""


class Ledger(Protocol):
    """The durable side of learning. `record` returns a future that is done when all of the records are committed."""

    def record(self, *records: DecisionRecord) -> asyncio.Future[None]: ...

    def grade(
        self,
        decision_id: str,
        grade: Grade,
        lesson: Lesson,
        *,
        judge_pico: int | None,
        settlement: Settlement | None = None,
    ) -> asyncio.Future[None]:
        """A grade that comes after the record: the decision's row, roll-ups, statistics and budgets change together."""
        ...

    def settle(self, settlement: Settlement) -> asyncio.Future[None]:
        """Charge budgets, or let go what was reserved, without a record."""
        ...

    def shadow(
        self, decision_id: str, row: Mapping[str, Any], lesson: Lesson, *, settlement: Settlement | None = None
    ) -> asyncio.Future[None]:
        """What came of a model that was asked beside an answer (see `store.tables.StoredShadow`), and what that taught: once."""
        ...

    def shadow_grades(self, decision_id: str, grades: Mapping[str, Grade], lesson: Lesson) -> asyncio.Future[None]:
        """Grades of models that were asked beside an answer, by their names, and what these taught."""
        ...

    def adjust(self, lesson: Lesson) -> asyncio.Future[None]:
        """Statistics that change without a decision (a vote)."""
        ...

    @property
    def degraded(self) -> str:
        """Why writing does not work at the moment, empty when it does."""
        ...


class SharedAnswers(Protocol):
    """Answers that several hosts keep together, packed; whatever goes wrong is a miss."""

    async def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, packed: bytes) -> None: ...
