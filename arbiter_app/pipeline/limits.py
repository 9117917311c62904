"""What models turned out not to be able to: windows that are smaller than listed, parameters that they refuse.

A runtime states both when it refuses a request. That is a claim: a window has to be plausible, and everything is forgotten
again after a while. Callers choose what is refused, so that a refusal keeps a model from those requests alone that it must
refuse, too: those with the same value in that field, or with the field at all where it is the field that it does not know.

Pure bookkeeping over a clock that is passed in (seconds, monotonic).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from arbiter_app.pipeline.ports import Refusal
from arbiter_app.pipeline.types import Deployment, Model

LEAST_WINDOW = 1_000
"""No chat model has a smaller one, in tokens."""
WINDOW_S = 86_400.0
LACK_S = 600.0
MOST_LACKS = 1_000
MAX_VALUE_CHARS = 80
_EVERYWHERE = frozenset({"messages", "model", "stream", "stream_options", "user", "metadata", "store"})
_WORDS = {"tool": "tools", "function": "tools", "schema": "response_format", "json": "response_format"}
_ANY = b""
"""Whatever the value is."""
_NO_SUCH_FIELD = re.compile(
    r"(?:unsupported|unknown|unrecognized|unexpected) (?:request )?(?:parameter|argument|field)\b|extra inputs are not permitted"
)
_NO_SUCH_FIELD_CODES = frozenset({"unsupported_parameter", "unknown_parameter", "extra_forbidden"})


class LearnedLimits:
    """What is known of each deployment beyond the catalog, by its key."""

    def __init__(self) -> None:
        self._windows: dict[str, tuple[int, float]] = {}
        self._served: dict[str, int] = {}
        self._lacks: dict[tuple[str, str, bytes], float] = {}
        self._unwanted: dict[str, dict[str, float]] = {}

    @property
    def known(self) -> bool:
        """Whether there is anything to look at."""
        return bool(self._windows or self._lacks)

    def served(self, key: str, prompt_tokens: int) -> None:
        """A deployment answered a prompt of this size: its window is no smaller."""
        if prompt_tokens > self._served.get(key, 0):
            self._served[key] = prompt_tokens

    def learn_window(self, at: Deployment, window: int, most_needed: float, now: float) -> bool:
        """Believe a smaller window, as stated when a request was refused; False where it is not plausible.

        `most_needed`: the most tokens that the request can have needed, however they are counted.
        """
        known = self.window_of(at, now)
        if window < LEAST_WINDOW or window <= self._served.get(at.key, 0) or window > most_needed:
            return False
        if known is None or window < known:
            self._windows[at.key] = (window, now + WINDOW_S)
        return True

    def window_of(self, at: Deployment, now: float) -> int | None:
        """The window in tokens: the listed one, or a smaller one that was learned; None while it is not known."""
        (learned, until), listed = self._windows.get(at.key, (0, 0.0)), at.model.context_tokens
        if not learned or now >= until:
            return listed
        return learned if listed is None else min(learned, listed)

    def applied(
        self, models: Sequence[Model], at: Callable[[str], Sequence[Deployment]], now: float
    ) -> Sequence[Model]:
        """These models with the windows that were learned: of each, the widest of its deployments (`at`) that are listed."""
        if not self._windows:
            return models
        for name in [name for name, (_, until) in self._windows.items() if now >= until]:
            del self._windows[name]
        return [replace(model, context_tokens=self._widest(at(model.id), now)) for model in models]

    def _widest(self, several: Sequence[Deployment], now: float) -> int | None:
        windows = [self.window_of(at, now) for at in several if at.model.listed]
        return max((window for window in windows if window is not None), default=None)

    def learn_lack(self, key: str, written: Mapping[str, str], refusal: Refusal, now: float) -> None:
        """Remember for a while what the deployment refused of a request, if that is said; `written` are its members as they came."""
        field = refused_field(written, refusal.param, refusal.message)
        if field is None:
            return
        lack = key, field, _ANY if _refuses_any(field, written[field], refusal) else _digest(written[field])
        self._lacks.pop(lack, None)
        if len(self._lacks) >= MOST_LACKS:
            del self._lacks[next(iter(self._lacks))]
        self._lacks[lack] = now + LACK_S

    def lacking(self, written: Mapping[str, str], now: float) -> Mapping[str, str]:
        """The deployments that refused what this request has in a field, by their keys, and the field."""
        if not self._lacks:
            return {}
        for lack in [lack for lack, until in self._lacks.items() if now >= until]:
            del self._lacks[lack]
        values = {field: (_ANY, _digest(written[field])) for _, field, _ in self._lacks if field in written}
        return {key: field for key, field, value in self._lacks if value in values.get(field, ())}

    def learn_unwanted(self, key: str, fields: Iterable[str], refusal: Refusal, now: float) -> None:
        """Remember for a while optional fields that the deployment does not know, and answered without; not those of which it refused
        the value, which may be another caller's next time."""
        if {refusal.code, refusal.type} & _NO_SUCH_FIELD_CODES or _NO_SUCH_FIELD.search(refusal.message.lower()):
            self._unwanted.setdefault(key, {}).update(dict.fromkeys(fields, now + LACK_S))

    def unwanted(self, key: str, now: float) -> frozenset[str]:
        """The optional fields that the deployment is not sent at present."""
        known = self._unwanted.get(key)
        return frozenset(name for name, until in known.items() if now < until) if known else frozenset()

    def forget(self) -> None:
        """Start anew (operator reset)."""
        self._windows.clear()
        self._served.clear()
        self._lacks.clear()
        self._unwanted.clear()


def refused_field(written: Mapping[str, str], param: str | None, message: str) -> str | None:
    """The field of the request that a refusal is about; None where that is not clear."""
    named = re.split(r"[.\[]", param, maxsplit=1)[0] if param else ""
    asked = {key for key in written if key not in _EVERYWHERE}
    if named in asked:
        return named
    if named in _EVERYWHERE:
        return None
    words = message.lower()
    places = [(place.start(), -len(key), key) for key in asked if (place := _place(key, words)) is not None]
    if places:
        return min(places)[2]
    return next((field for word, field in _WORDS.items() if word in words and field in asked), None)


def _place(key: str, words: str) -> re.Match[str] | None:
    return re.search(rf"\b{re.escape(key.lower())}\b", words)


def _refuses_any(field: str, written: str, refusal: Refusal) -> bool:
    """Whether a model refused the field itself, and neither a part of it nor its value."""
    words, value = refusal.message.lower(), written.strip('"').lower()[:MAX_VALUE_CHARS]
    stated = {refusal.code, refusal.type} & _NO_SUCH_FIELD_CODES or _NO_SUCH_FIELD.search(words)
    of_a_part = (refusal.param or field) != field or re.search(rf"\b{re.escape(field.lower())}[.\[]\w", words)
    of_a_value = re.search(rf"(?<![\w.]){re.escape(value)}(?!\w)", words)
    return bool(stated and not of_a_part and not of_a_value)


def _digest(written: str) -> bytes:
    return hashlib.blake2b(written.encode("utf-8", "surrogatepass"), digest_size=16).digest()
