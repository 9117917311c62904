"""How many times as much a dollar weighs while a budget is being used up: the multiplier of a pacing controller.

Choosing under a budget is minimising loss + mu x price, where mu is the Lagrange multiplier of the budget: with the right one, fixed,
the choices are those of perfect foresight. Who does not know the traffic to come finds it by dual mirror descent on what is spent
against a target rate; with the entropic mirror map the logarithm of the multiplier is the sum of those differences (Balseiro, Lu and
Mirrokni, The Best of Many Worlds: Dual Mirror Descent for Online Allocation Problems, Operations Research 71, 2023; Balseiro and Gur,
Learning in Repeated Auctions with Budgets, Management Science 65, 2019). Where the target rate is always `FRONT` times what is left of
the budget over what is left of the time, the sum has a closed form: the integral of ds / (1 - s) - FRONT dt / (1 - t) is
log((1 - t)^FRONT / (1 - s)), of s the share spent and t the share of time gone. So nothing has to be kept but the balance, and
processes that share a budget agree. `python -m tests.bench.months` holds it against perfect foresight.
"""

from __future__ import annotations

GAIN = 4.0
"""How fast the multiplier moves: where a tenth less is left than was meant to be, a dollar weighs 1.5 times as much. Of 4, 8 and 16, with
which 24 simulated months lost about the same quality, the one that left least of the budget unspent."""
FRONT = 1.3
"""How much faster than evenly the budget is meant to be spent at first: what is left at the end of a period that is quieter than the
rest is worth nothing. At 1 a month of 24 left 6 % unspent, at 1.3 one left 1 %, and 1.6 and 2 lost more quality."""
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
    meant = max(LEAST_LEFT, 1.0 - soft if elapsed is None else max(0.0, 1.0 - elapsed) ** FRONT)
    left = max(LEAST_LEFT, 1.0 - spent)
    return float(min(LARGEST, max(1.0, (meant / left) ** GAIN)))
