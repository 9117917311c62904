"""Whether the runtime serves the operator at all: an account without credit and a refused key concern every model."""

from __future__ import annotations

from arbiter_app.pipeline.ports import Refused

WORDS = {
    Refused.OUT_OF_CREDIT: "the runtime says that its account is out of credit",
    Refused.KEY: "the runtime refuses the key",
}


class Standing:
    """What the runtime refuses the operator at present. An answer of any model clears it."""

    def __init__(self) -> None:
        self.refused: dict[Refused, tuple[str, str]] = {}
        """By what was refused: the model that was asked, and the runtime's words."""

    def note(self, means: Refused, model: str, said: str) -> bool:
        """Note a refusal; True when it is the first of its kind since the runtime last answered."""
        new = means in WORDS and means not in self.refused
        if new:
            self.refused[means] = (model, said)
        return new

    def served(self) -> None:
        """A model answered."""
        if self.refused:
            self.refused.clear()

    @property
    def told(self) -> str:
        """One sentence for the operator; empty while all is well."""
        return "; ".join(f"{WORDS[means]} ({model}: {said[:200]})" for means, (model, said) in self.refused.items())
