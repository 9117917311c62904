"""What was asked and answered, kept for the projects that want it: encrypted, redacted, until it expires; never without their word.

An answer is kept once it has gone, beside everything else: what there is no place, no time or no key for is not kept, and said.
It can then be read again, searched, asked of another model, and taken out as JSONL, by owners of its project and operators; each such act is
in the audit log.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from arbiter_app.dialects.openai_chat import parse
from arbiter_app.dialects.reasoning import RESPONSES
from arbiter_app.notices import Notices
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.errors import NotFound, Unprocessable
from arbiter_app.pipeline.messages import content_text
from arbiter_app.pipeline.plain import quoted
from arbiter_app.pipeline.types import PICO_PER_USD, Caller, ChatRequest, Json, ProjectRole
from arbiter_app.pipeline.wishes import AUTO
from arbiter_app.services.audit import Audit
from arbiter_app.services.encryption import Encryption, Unreadable, place_of
from arbiter_app.services.project_roles import is_operator
from arbiter_app.services.redaction import Unredacted, redactor
from arbiter_app.services.requests import RequestService
from arbiter_app.services.rows.contents import FoundContent, FoundContents, KeptContent, SecondAnswer
from arbiter_app.store import Store, StoreError, contents, projects
from arbiter_app.store.contents import HOUR_S, KeptDecision

log = logging.getLogger("arbiter.contents")
unreadable = Notices("arbiter.contents")

WAITING, WAITING_BYTES = 256, 32_000_000
"""Contents that are on their way into the store, at most: what comes on top is not kept."""
CLOSE_S = 5.0
SEARCHED, PAGE, SEARCH_S = 5_000, 50, 2.0
"""A search reads so many contents at most, in pages, for so long."""
MOST_QUERY_CHARS = 200
AROUND_CHARS = 80
FORMS = ("evaluation", "fine_tuning")
"""Of a line: everything that is known of it, or what OpenAI's fine-tuning takes and nothing else."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How long a project's contents are kept, and what takes out of them what shall not be."""

    hours: float
    without: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which contents of decisions: of a `project`, `task` or `model`, graded at least so well, with all `words` in them."""

    project: str | None = None
    task: str | None = None
    model: str | None = None
    min_quality: float | None = None
    words: tuple[str, ...] = ()

    def fits(self, row: Mapping[str, Any] | None) -> bool:
        """Whether a decision is one of them; one whose record was retired is only where nothing else is asked of it."""
        if row is None:
            return self.task is None and self.model is None and self.min_quality is None
        if self.task not in (None, row["task"]) or self.model not in (None, row["model"]):
            return False
        return self.min_quality is None or (row["quality"] is not None and row["quality"] >= self.min_quality)


class Exchanges:
    """The contents of decisions of one store. What is larger than `most_bytes` is not kept."""

    def __init__(
        self,
        store: Store,
        encryption: Encryption,
        requests: Callable[[], RequestService],
        audit: Audit,
        *,
        most_bytes: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._encryption = encryption
        self._requests = requests
        self._audit = audit
        self._most_bytes = most_bytes
        self._now = now
        self._rules: dict[str, Rule] = {}
        self._version: tuple[float, ...] = ()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting_bytes = 0
        self.kept = self.dropped = 0
        """How many were kept by this process, and how many were to be and could not."""

    # Keeping

    async def follow(self) -> None:
        """Bring in how long projects keep what. Raises StoreError."""
        version = await self._store.read(projects.version)
        if version == self._version:
            return
        self._rules = {}
        for one in await self._store.read(projects.everyone):
            if one.content_hours > 0:
                try:
                    self._rules[one.id] = Rule(one.content_hours, redactor(one.redact))
                except Unprocessable as error:
                    log.warning("contents of the project %s are not kept: %s", one.id, error)
        self._version = version
        if self._rules and not self._encryption.on:
            log.warning("projects want contents kept, and without ARBITER_CONTENT_KEYS none are")

    def keep(self, decision: Decision) -> None:
        """Keep what was asked and answered, beside everything else, where its project wants that and its caller does not object."""
        request, done = decision.request, decision.completion
        rule = self._rules.get(request.caller.project)
        if rule is None or not self._encryption.on or done is None or decision.status != "ok" or _objects(request):
            return
        size = request.body_bytes + len(done.text)
        if done.large or size > self._most_bytes or not self._holds(size):
            self.dropped += 1
            return
        self._waiting_bytes += size
        task = asyncio.get_running_loop().create_task(self._keep(decision, rule, size))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Keep what is on its way, within a short while."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_S)
        for task in self._tasks:
            task.cancel()

    def _holds(self, size: int) -> bool:
        return len(self._tasks) < WAITING and self._waiting_bytes + size <= WAITING_BYTES

    async def _keep(self, decision: Decision, rule: Rule, size: int) -> None:
        try:
            row = await asyncio.to_thread(self._row, decision, rule)
            await self._store.writer.call(lambda connection: contents.add(connection, [row]))
            self.kept += 1
        except Exception as error:  # noqa: BLE001 - the answer went out long ago
            self.dropped += 1
            known = isinstance(error, (StoreError, Unredacted))
            log.warning("contents were not kept: %s", error if known else type(error).__name__)
        finally:
            self._waiting_bytes -= size

    def _row(self, decision: Decision, rule: Rule) -> Json:
        key_id, made = decision.request.caller.key_id, decision.at
        content = orjson.dumps(rule.without({"request": decision.request.payload, "answer": _answer_of(decision)}))
        encrypted, body = self._encryption.write(place_of(key_id, decision.id), content)
        return {
            "key_id": key_id,
            "id": decision.id,
            "response_id": "",
            "made": made,
            "expires": made + rule.hours * HOUR_S,
            "size": len(body),
            "encrypted": encrypted,
            "body": body,
            "project_id": decision.request.caller.project,
        }

    # Reading

    @property
    def keeps(self) -> bool:
        """Whether any project keeps contents."""
        return bool(self._rules)

    async def has(self, caller: Caller, decision_id: str) -> bool:
        """Whether the content of a decision is kept and somebody may see it; False also while the store cannot be read."""
        with suppress(StoreError):
            return await self._store.read(contents.has_decision, decision_id, _owned(caller), self._now())
        return False

    async def content(self, caller: Caller, decision_id: str) -> KeptContent:
        """What was asked and answered in a decision. Raises NotFound, StoreError."""
        found = await self._one(caller, decision_id)
        await self._audit.note(caller, "content.read", decision_id)
        return found

    async def delete(self, caller: Caller, decision_id: str) -> None:
        """Delete the content of a decision, also one that cannot be read. Raises NotFound, StoreError."""
        if not await self._store.read(contents.has_decision, decision_id, _owned(caller), self._now()):
            raise _missing(decision_id)
        await self._audit.note(caller, "content.delete", decision_id)
        await self._store.writer.call(lambda c: contents.remove_decision(c, decision_id, _owned(caller)))

    async def search(self, caller: Caller, wanted: Wanted, *, limit: int, before: str | None) -> FoundContents:
        """Contents with all the words in them, newest first; `next` goes on where this search ended. Raises Unprocessable, StoreError."""
        if sum(map(len, wanted.words)) > MOST_QUERY_CHARS:
            raise Unprocessable(f"at most {MOST_QUERY_CHARS} characters are looked for", param="query")
        await self._audit.note(caller, "content.search", wanted.project or "")
        return await self._store.in_turn(functools.partial(self._found, wanted, _among(caller, wanted), limit, before))

    async def export(self, caller: Caller, wanted: Wanted, form: str) -> Callable[[str | None], Any]:
        """Reads pages of JSONL: from a cursor (None: the newest) the text, and the cursor of the next page (None at the end)."""
        await self._audit.note(caller, "content.export", wanted.project or "", after={"form": form})

        theirs = _among(caller, wanted)

        async def page(before: str | None) -> tuple[bytes, str | None]:
            return await self._store.in_turn(functools.partial(self._lines, wanted, theirs, form, before))

        return page

    async def ask_again(self, caller: Caller, decision_id: str, model: str) -> SecondAnswer:
        """Ask another model what was asked in a decision, for its caller's money. Raises NotFound, ArbiterError, StoreError."""
        kept = await self._one(caller, decision_id)
        await self._audit.note(caller, "content.ask_again", decision_id, after={"model": model})
        body = {name: value for name, value in kept["request"].items() if name not in ("stream", "stream_options")}
        own = {"model": AUTO, "arbiter_pin": model, "arbiter_no_cache": True}
        chat = parse(orjson.dumps({**body, **own}), caller, f"again_{decision_id}")
        service = self._requests()
        async with service.request() as request:
            await request.admit(caller)
            decision = await service.lifecycle.answer(chat)
        cost, done = decision.cost, decision.completion
        return {
            "decision_id": decision.id,
            "model": decision.model,
            "answer": _answer_of(decision),
            "quality": decision.grade.quality,
            "cost": cost.usd,
            "latency_ms": done.latency_ms if done is not None else None,
        }

    async def _one(self, caller: Caller, decision_id: str) -> KeptContent:
        read = functools.partial(self._pages, _owned(caller), PAGE, None, decision_id)
        for page in await self._store.in_turn(lambda: list(read())):
            for row, content in page:
                return _shown(row, content)
        if await self.has(caller, decision_id):
            raise NotFound(
                f"the content of decision {quoted(decision_id)} is kept, and cannot be read: it is damaged, or the key that encrypted it "
                "is not among ARBITER_CONTENT_KEYS",
                param="decision_id",
            )
        raise _missing(decision_id)

    def _found(self, wanted: Wanted, theirs: Sequence[str] | None, limit: int, before: str | None) -> FoundContents:
        began, searched, found, cursor = time.monotonic(), 0, list[FoundContent](), before
        words = [one.casefold() for one in wanted.words]
        for page in self._pages(theirs, PAGE, before):
            for row, content in page:
                cursor, searched = row.id, searched + 1
                if wanted.fits(row.decision) and (excerpt := _excerpt(content, words)) is not None:
                    found.append(_hit(row, excerpt))
                if len(found) >= limit or searched >= SEARCHED or time.monotonic() - began > SEARCH_S:
                    return {"data": found, "searched": searched, "next": cursor}
        return {"data": found, "searched": searched, "next": None}

    def _lines(
        self, wanted: Wanted, theirs: Sequence[str] | None, form: str, before: str | None
    ) -> tuple[bytes, str | None]:
        page = next(self._pages(theirs, PAGE, before), None)
        if page is None:
            return b"", None
        fitting = [(row, content) for row, content in page if wanted.fits(row.decision)]
        return b"".join([_line(row, content, form) for row, content in fitting]), page[-1][0].id

    def _pages(
        self, theirs: Sequence[str] | None, size: int, before: str | None, decision_id: str | None = None
    ) -> Iterator[list[tuple[KeptDecision, Json]]]:
        """Contents of these projects (None: of all) that can be read, newest first, in pages; in a reading thread. No connection is held
        between pages."""
        newest = functools.partial(
            contents.of_decisions, projects=theirs, now=self._now(), limit=size, decision_id=decision_id
        )
        while rows := self._store.read_now(newest, before=before):
            before = rows[-1].id
            page = []
            for row in rows:
                try:
                    content = self._encryption.read(place_of(row.key_id, row.id), row.encrypted, row.body)
                    page.append((row, orjson.loads(content)))
                except (Unreadable, orjson.JSONDecodeError) as error:
                    why = error if isinstance(error, Unreadable) else "it is damaged"
                    unreadable.count("content", f"a kept content cannot be read: {why}")
            if page:
                yield page


def _objects(request: ChatRequest) -> bool:
    """Whether the caller says that nothing is to be kept, as clients of OpenAI do."""
    responses = request.native is not None and request.native.dialect == RESPONSES
    return request.payload.get("store") is False or (responses and not request.storable)


def _owned(caller: Caller) -> tuple[str, ...] | None:
    """The projects whose contents somebody may see: None for all."""
    if is_operator(caller):
        return None
    return tuple(project for project, role in caller.memberships if role is ProjectRole.OWNER)


def _among(caller: Caller, wanted: Wanted) -> tuple[str, ...] | None:
    """Those of them that are wanted."""
    owned = _owned(caller)
    if wanted.project is None:
        return owned
    return (wanted.project,) if owned is None or wanted.project in owned else ()


def _answer_of(decision: Decision) -> Json:
    """The answer as a message of a chat."""
    done = decision.completion
    if done is None:
        return {"role": "assistant", "content": ""}
    calls = {"tool_calls": done.tool_calls} if done.tool_calls else {}
    return {"role": "assistant", "content": done.text, **calls}


def _shown(row: KeptDecision, content: Json) -> KeptContent:
    return {
        "decision_id": row.id,
        "project_id": row.project_id,
        "made": row.made,
        "expires": row.expires,
        "request": content["request"],
        "answer": content["answer"],
    }


def _texts(content: Json) -> Iterator[str]:
    for message in (*content["request"].get("messages", ()), content["answer"]):
        if isinstance(message, dict):
            yield content_text(message.get("content"))
            for call in message.get("tool_calls") or ():
                yield orjson.dumps(call).decode()


def _excerpt(content: Json, words: Sequence[str]) -> str | None:
    """What stands around the first of the words; None unless all are in it."""
    text = "\n".join(_texts(content))
    folded = text.casefold()
    if any(word not in folded for word in words):
        return None
    at = folded.find(words[0]) if words else 0
    start = max(0, at - AROUND_CHARS)
    return " ".join(text[start : at + 2 * AROUND_CHARS].split())


def _hit(row: KeptDecision, excerpt: str) -> FoundContent:
    seen = row.decision or {}
    return {
        "decision_id": row.id,
        "project_id": row.project_id,
        "made": row.made,
        "task": seen.get("task"),
        "model": seen.get("model"),
        "quality": seen.get("quality"),
        "excerpt": excerpt,
    }


def _line(row: KeptDecision, content: Json, form: str) -> bytes:
    asked, seen = content["request"], row.decision or {}
    line: Json = {"messages": [*asked.get("messages", ()), content["answer"]]}
    line |= {name: asked[name] for name in ("tools", "parallel_tool_calls") if name in asked}
    if form == "evaluation":
        pico = seen.get("cost_pico")
        told = {name: seen.get(name) for name in ("task", "difficulty", "model", "quality", "quality_source")}
        line["metadata"] = {
            "decision_id": row.id,
            "project_id": row.project_id,
            "time": row.made,
            **told,
            "cost": None if pico is None else pico / PICO_PER_USD,
        }
    return orjson.dumps(line) + b"\n"


def _missing(decision_id: str) -> NotFound:
    return NotFound(f"no content of decision {quoted(decision_id, 40)} is kept", param="decision_id")
