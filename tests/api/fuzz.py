"""`make fuzz`, or `python -m tests.api.fuzz`: 20,000 requests made from the API's own description, one after another in sessions.

Each is made by schemathesis from the OpenAPI document that a sandbox Arbiter serves, in every shape that the document allows and
in some that it does not; links lead from an answer (a decision, a calibration) to requests about it. None may be answered with 5xx.
"""

from __future__ import annotations

import argparse
import contextlib
import secrets
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.errors
import schemathesis
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.generation import GenerationMode

from tests.conftest import OPERATOR, running

ROUND, STEPS = 50, 8
QUIET = {
    "deadline": None,
    "database": None,
    "suppress_health_check": list(hypothesis.HealthCheck),
    "phases": [hypothesis.Phase.generate],
}
KEY = {"authorization": f"Bearer {OPERATOR}"}


class Fuzz:
    """Requests against a served Arbiter: `statuses` of all answers so far, and the 5xx among them in `failed`."""

    def __init__(self, url: str, seed: int) -> None:
        self.statuses: Counter[int] = Counter()
        self.failed: list[str] = []
        self._schema = schemathesis.openapi.from_url(f"{url}/v1/openapi.json")
        self._schema.config.generation.update(modes=list(GenerationMode))
        self._seed = seed

    @property
    def sent(self) -> int:
        """How many requests have been answered."""
        return self.statuses.total()

    def alone(self, examples: int = ROUND) -> None:
        """Requests to any operation, each on its own."""

        @self._settings(examples)
        @hypothesis.given(case=self._schema.as_strategy())
        def ask(case: Any) -> None:
            self._note(case, case.call(headers=KEY))

        self._seeded(ask)()

    def in_sessions(self, examples: int = ROUND) -> None:
        """Requests that follow from the answers before them."""
        note = self._note

        class Session(self._schema.as_state_machine()):  # type: ignore[misc]
            def get_call_kwargs(self, case: Any) -> dict[str, Any]:
                return {"headers": KEY}

            def validate_response(self, response: Any, case: Any, **_: Any) -> None:
                note(case, response)

        self._seeded(Session)
        # What comes next depends on what was answered, which is never twice the same: a round that hypothesis ends over that is one all the same.
        with contextlib.suppress(hypothesis.errors.FlakyStrategyDefinition):
            run_state_machine_as_test(Session, settings=self._settings(examples, stateful_step_count=STEPS))

    def _settings(self, examples: int, **more: Any) -> Any:
        return hypothesis.settings(max_examples=examples, **QUIET, **more)

    def _seeded(self, test: Any) -> Any:
        self._seed += 1
        return hypothesis.seed(self._seed)(test)

    def _note(self, case: Any, response: Any) -> None:
        self.statuses[response.status_code] += 1
        if response.status_code >= 500:
            self.failed.append(f"{response.status_code}: {case.as_curl_command()[:2000]}")


def main() -> int:
    """Send, and print what was answered; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.api.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=None, help="for the same again; drawn when absent")
    given = parser.parse_args()
    seed = secrets.randbelow(10**6) if given.seed is None else given.seed
    with tempfile.TemporaryDirectory() as directory, running(Path(directory)) as gateway:
        fuzz = Fuzz(gateway.url, 1_000 * seed)
        while fuzz.sent < given.requests:
            fuzz.alone()
            fuzz.in_sessions()
    print("answers by status:", ", ".join(f"{times} x {status}" for status, times in sorted(fuzz.statuses.items())))
    print("\n".join(sorted(set(fuzz.failed))))
    print(f"seed {seed}: {len(fuzz.failed)} of {fuzz.sent} were answered with 5xx")
    return 1 if fuzz.failed else 0


if __name__ == "__main__":
    sys.exit(main())
