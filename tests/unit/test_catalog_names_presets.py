"""The operator's own presets: tables of the catalog, checked at start."""

from __future__ import annotations

from pathlib import Path

import pytest

from arbiter_app.catalog import CatalogError
from arbiter_app.catalog_file import load_catalog
from arbiter_app.pipeline.wishes import BUILT_IN, Preset
from arbiter_app.policy import Objective

MODELS = """
baseline = "big"
[models.big]
input = 10
output = 30
[models.small]
input = 1
output = 2
aliases = ["tiny"]
"""


def presets(tmp_path: Path, text: str) -> dict[str, Preset]:
    path = tmp_path / "catalog.toml"
    path.write_text(MODELS + text)
    return dict(load_catalog(path, baseline="big").presets)


def test_without_any_there_are_those_that_come_with_arbiter(tmp_path: Path) -> None:
    assert presets(tmp_path, "") == BUILT_IN


def test_they_stand_beside_the_others_and_may_replace_one(tmp_path: Path) -> None:
    found = presets(
        tmp_path,
        """
        [presets.Batch]
        objective = "cost"
        tolerance = 0.2
        models = ["!big", "tiny"]
        max_cost = 0.01
        max_latency = 30
        [presets.best]
        models = ["big"]
        """,
    )
    assert found["batch"] == Preset(Objective.COST, 0.2, ("!big", "tiny"), 0.01, 30.0)
    assert found["best"] == Preset(allow=("big",))
    assert set(found) == {*BUILT_IN, "batch"}


@pytest.mark.parametrize(
    "text",
    [
        'presets = "batch"',
        "presets.batch = 1",
        '[presets."two words"]',
        '[presets.batch]\nobjective = "speed"',
        "[presets.batch]\ntolerance = 1.5",
        "[presets.batch]\ntolerance = true",
        "[presets.batch]\ntolerance = nan",
        "[presets.batch]\nmodels = []",
        '[presets.batch]\nmodels = "big"',
        '[presets.batch]\nmodels = ["!huge"]',
        "[presets.batch]\nmax_cost = -1",
        "[presets.batch]\nmax_latency = 0",
        "[presets.batch]\ncolour = 1",
    ],
)
def test_what_cannot_be_used_is_said_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(f"{text}\n{MODELS}" if text.startswith("presets") else MODELS + text)
    with pytest.raises(CatalogError, match="preset"):
        load_catalog(path, baseline="big")
