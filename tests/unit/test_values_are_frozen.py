"""Values are compared, hashed and read as frozen dataclasses; the type checker is who sees that nobody changes one."""

import subprocess
import sys

from arbiter_app.pipeline.types import Cost, CostState
from tests.served import ROOT

CHANGED = """
from arbiter_app import values

@values.value(frozen=True, slots=True)
class Point:
    x: int

Point(1).x = 2
"""


def test_equal_values_are_one_key():
    assert {Cost(1, CostState.SETTLED): "found"}[Cost(1, CostState.SETTLED)] == "found"
    assert Cost(1, CostState.SETTLED) != Cost(2, CostState.SETTLED)


def test_a_change_of_a_value_does_not_pass_the_type_checker():
    words = [sys.executable, "-m", "mypy", "--config-file=", "--cache-dir=/dev/null", "-c", CHANGED]
    checked = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert 'Property "x" defined in "Point" is read-only' in checked.stdout
