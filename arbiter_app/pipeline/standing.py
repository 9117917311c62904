"""Whether the runtime serves the operator at all: an account without credit and a refused key concern every model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from arbiter_app.pipeline.ports import Refused

WORDS = {
    Refused.OUT_OF_CREDIT: "the runtime says that its account is out of credit",
    Refused.KEY: "the runtime refuses the key",
}


class Standing:
    """What the runtime refuses the operator at present. An answer of any model clears it; `send` tells other processes."""

    def __init__(self, send: Callable[[str, Any], None] = lambda kind, data: None) -> None:
        self.refused: dict[Refused, tuple[str, str]] = {}
        """By what was refused: the model that was asked, and the runtime's words."""
        self._send = send

    def note(self, means: Refused, model: str, said: str) -> bool:
        """Note a refusal; True when it is the first of its kind since the runtime last answered."""
        new = means in WORDS and means not in self.refused
        if new:
            self.refused[means] = (model, said)
            self._send("standing", {str(one): told for one, told in self.refused.items()})
        return new

    def served(self) -> None:
        """A model answered."""
        if self.refused:
            self.refused.clear()
            self._send("standing", {})

    def hear(self, refused: Mapping[str, Sequence[str]]) -> None:
        """Know what another process knows."""
        self.refused = {Refused(means): (model, said) for means, (model, said) in refused.items()}

    @property
    def told(self) -> str:
        """One sentence for everybody; empty while all is well."""
        return "; ".join(WORDS[means] for means in self.refused)
