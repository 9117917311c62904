"""What all dialects need that translate to a chat and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from arbiter_app import exact_json
from arbiter_app.pipeline.completions import choices_of, delta_of, index_of
from arbiter_app.pipeline.errors import BadRequest
from arbiter_app.pipeline.events import Chunk
from arbiter_app.pipeline.types import Completion, Json

MAX_DROPPED = 100
"""As many names are told; a caller can send thousands."""
MAX_DROPPED_CHARS = 100
"""Of a name: it is told, recorded and shown, and whoever asks has chosen it."""


class Dropped:
    """Gathers the names of what could not be carried, each once."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}
        self.rounded = False
        """Whether what a tool was called with has numbers that may have been written otherwise than they are read."""
        self.untranslatable: BadRequest | None = None
        """Why the request would mean something else as a chat: only a runtime of its own dialect can serve it then."""

    def add(self, name: str) -> None:
        """One more; positions in lists are not part of a name."""
        if len(self._names) < MAX_DROPPED:
            self._names[name[:MAX_DROPPED_CHARS]] = None

    def all(self, names: Iterable[str]) -> None:
        """Several of them."""
        for name in names:
            self.add(name)

    def cannot(self, error: BadRequest) -> None:
        """What no chat has a word for and the request does not mean the same without; the first is told."""
        self.untranslatable = self.untranslatable or error

    def rest(self, given: Json, known: Sequence[str], where: str = "") -> None:
        """All members of an object that are not known and say something."""
        for name, value in given.items():
            if name not in known and value is not None:
                self.add(f"{where}{name}")

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, in the order in which they were met."""
        return tuple(self._names)


class WrittenLater(Mapping[str, str]):
    """Members of a request, each as JSON, which are only written when a runtime of another dialect, or a cache, needs them."""

    def __init__(self, write: Callable[[], dict[str, str]]) -> None:
        self._write = write
        self._written: dict[str, str] | None = None

    @property
    def _texts(self) -> dict[str, str]:
        if self._written is None:
            self._written = self._write()
        return self._written

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def exactly(given: Json, written: Mapping[str, str], names: Sequence[str]) -> Json:
    """A request in which these members have their numbers as they were written."""
    return {**given, **{name: exact_json.exact(written[name].encode()) for name in names if name in given}}


def line_of(value: Json) -> bytes:
    """JSON on one line, to every reader of lines. Raises TypeError for half of a surrogate pair."""
    return exact_json.on_one_line(orjson.dumps(value))


class FirstChoice:
    """Reads what the chunks of an answer add to its first choice; a dialect that translates has no others."""

    def __init__(self) -> None:
        self._first = True

    def of(self, chunk: Chunk) -> Iterator[tuple[Json, Json, list[tuple[int | None, Json]]]]:
        """For each time that a chunk speaks of it: the choice, what it adds, and pieces of tool calls with their right numbers."""
        numbers = iter(chunk.placed)
        for choice in choices_of(chunk.data) or ():
            mine = index_of(choice) == 0
            delta = delta_of(choice, first=mine and self._first)
            calls = delta.get("tool_calls")
            calls = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
            placed = [(next(numbers, None), call) for call in calls]
            if mine:
                self._first = False
                yield choice, delta, placed


def arguments_of(function: Json) -> str:
    """The arguments of a call, or a piece of them, as text."""
    arguments = function.get("arguments")
    if isinstance(arguments, dict):
        return exact_json.dumps(arguments).decode()
    return arguments if isinstance(arguments, str) else ""


def body_of(done: Completion | None) -> Json:
    """The runtime's answer; one that was not looked at is read now."""
    if done is None:
        return {}
    raw = b"".join(done.pieces) + b"}" if done.pieces else done.raw
    if not raw or not done.large:
        return done.body
    body: Any = exact_json.loads(raw)
    return body if isinstance(body, dict) else {}
