"""Whether a runtime serves the operator at all: an account without credit and a refused key concern all of its models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from arbiter_app.pipeline.ports import Refused
from arbiter_app.pipeline.types import DEFAULT_RUNTIME

WORDS = {
    Refused.OUT_OF_CREDIT: "says that its account is out of credit",
    Refused.KEY: "refuses the key",
}


class Standing:
    """What runtimes refuse the operator at present. An answer of any model of one clears it; `send` tells other processes."""

    def __init__(self, send: Callable[[str, Any], None] = lambda kind, data: None) -> None:
        self.refused: dict[tuple[str, Refused], tuple[str, str]] = {}
        """By the runtime and what it refused: the model that was asked, and the runtime's words."""
        self._send = send

    def note(self, runtime: str, means: Refused, model: str, said: str) -> bool:
        """Note a refusal; True when it is the first of its kind since the runtime last answered."""
        new = means in WORDS and (runtime, means) not in self.refused
        if new:
            self.refused[runtime, means] = (model, said)
            self._tell()
        return new

    def served(self, runtime: str) -> None:
        """A model of a runtime answered."""
        if self.refused and any(one == runtime for one, _ in self.refused):
            self.refused = {key: told for key, told in self.refused.items() if key[0] != runtime}
            self._tell()

    def hear(self, refused: Iterable[Sequence[str]]) -> None:
        """Know what another process knows."""
        self.refused = {(runtime, Refused(means)): (model, said) for runtime, means, model, said in refused}

    def _tell(self) -> None:
        self._send("standing", [[runtime, str(means), *told] for (runtime, means), told in self.refused.items()])

    @property
    def told(self) -> str:
        """One sentence for everybody; empty while all is well."""
        return "; ".join(f"{_called(runtime)} {WORDS[means]}" for runtime, means in self.refused)


def _called(runtime: str) -> str:
    return "the runtime" if runtime == DEFAULT_RUNTIME else f"the runtime {runtime}"
