"""Quarantine: rests grow, and one probe ends them."""

from __future__ import annotations

from arbiter_app.pipeline.health import Health


def test_a_rest_grows_with_every_failure_and_ends_with_one_probe() -> None:
    health = Health(first_s=5, max_s=300)
    assert not health.quarantined("m", 0)
    assert health.failed("m", 0, "500") == 5
    assert health.quarantined("m", 4.9)
    assert not health.quarantined("m", 5)
    health.begin("m")
    assert health.quarantined("m", 5), "one probe at a time"
    assert health.failed("m", 6, "500") == 10
    health.begin("m")
    health.succeeded("m")
    assert not health.quarantined("m", 6)


def test_a_probe_that_says_nothing_frees_the_next() -> None:
    health = Health(first_s=5)
    health.failed("m", 0, "500")
    health.begin("m")
    health.released("m")
    assert not health.quarantined("m", 5)


def test_retry_after_is_honoured_up_to_the_longest_rest() -> None:
    health = Health(first_s=5, max_s=100)
    assert health.failed("a", 0, "429", 60) == 60
    assert health.failed("b", 0, "429", 10_000) == 100
    assert health.snapshot(10)["a"]["seconds_left"] == 50
