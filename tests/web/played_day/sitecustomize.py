"""On the path of a process, this makes its wall clock play a day in `PLAYED_DAY_S` seconds from `PLAYED_FROM` on.

Before that it stands a day ago, afterwards it goes as ever. So pictures show a day of traffic that was really routed,
graded and learned from, without waiting for one.
"""

from __future__ import annotations

import os
import time

DAY_S = 86_400.0
_real = time.time
_from, _lasts = float(os.environ["PLAYED_FROM"]), float(os.environ["PLAYED_DAY_S"])
_speed = 1 + DAY_S / _lasts


def _played() -> float:
    now = _real()
    return min(now, _from - DAY_S + max(0.0, now - _from) * _speed)


time.time = _played
