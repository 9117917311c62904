"""How many times as much a dollar weighs while a budget is being used up: the multiplier of a pacing controller.

Choosing under a budget is minimising loss + mu x price, where mu is the Lagrange multiplier of the budget: with the right one, fixed,
the choices are those of perfect foresight. Who does not know the traffic to come finds it by dual mirror descent on what is spent
against a target rate; with the entropic mirror map the logarithm of the multiplier is the sum of those differences (Balseiro, Lu and
Mirrokni, The Best of Many Worlds: Dual Mirror Descent for Online Allocation Problems, Operations Research 71, 2023; Balseiro and Gur,
Learning in Repeated Auctions with Budgets, Management Science 65, 2019). Where the target rate is always what is left of the budget
over what is left of the time, the sum has a closed form: the integral of ds / (1 - s) - dt / (1 - t) is
log((1 - t) / (1 - s)), of s the share spent and t the share of time gone. So nothing has to be kept but the balance, and processes
that share a budget agree.
"""

from __future__ import annotations

GAIN = 8.0
"""How fast the multiplier moves: a budget that is a tenth behind its time makes a dollar weigh about twice as much."""
LARGEST = 1e6
"""The multiplier at which nothing but the price counts; the same while nothing is left."""
LEAST_LEFT = 1e-9
"""Share of the budget or of the time that is taken to be left at least."""


def dollar_weight(spent: float, elapsed: float | None, soft: float) -> float:
    """The weight of a dollar, 1 as without a budget, and more once the soft limit is passed.

    `spent` and `soft` are shares of the budget, `elapsed` of its period; None where it has none: then what is left counts against
    what was left at the soft limit.
    """
    if spent < soft:
        return 1.0
    ahead = max(LEAST_LEFT, 1.0 - (soft if elapsed is None else elapsed))
    behind = max(LEAST_LEFT, 1.0 - spent)
    return float(min(LARGEST, max(1.0, (ahead / behind) ** GAIN)))
