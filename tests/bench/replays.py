"""Does a decision replay? `python -m tests.bench.replays`: 5,000 decisions of each policy after 2,500 calls each life.

Lives of 2,500 calls with votes, alarms, late grades and restarts (`tests/policy_life.py`), seeded; at the end of each, and now
and then before, choices are compared with those of a fresh policy that is loaded with the same rows and state.
"""

from __future__ import annotations

from arbiter_app.policy import POLICIES
from tests.policy_life import Life

LIVES, CALLS, EVERY, EACH, LAST = 10, 2_500, 50, 5, 255


def main() -> None:
    """Run and print."""
    for name in POLICIES:
        lives = [Life(name, seed) for seed in range(LIVES)]
        compared = other_model = other = 0
        for life in lives:
            for _ in range(CALLS):
                life.step()
                count = LAST if life.calls == CALLS else EACH if life.calls % EVERY == 0 else 0
                found = list(life.differences(count)) if count else []
                compared += count
                other += len(found)
                other_model += sum(mine.model != its.model for mine, its in found)
        events = {what: sum(getattr(life, what) for life in lives) for what in ("calls", "votes", "late", "alarms")}
        print(f"{name:8s} {compared} decisions compared: {other} differ, {other_model} in the model; {events}")


if __name__ == "__main__":
    main()
