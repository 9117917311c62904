"""What a runtime that the catalog names lists beyond it is new here, too, and added it is asked of that runtime."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import running
from tests.stranger import Said, Stranger, plain, stranger

CATALOG = """
[runtimes.house]
base_url = "{house}"
[models."gpt-4o"]
input = 2.5
output = 10
[models."shared"]
input = 1
output = 2
[[models."shared".deployments]]
[[models."shared".deployments]]
runtime = "house"
"""


def lists(runtime: Stranger, *models: str) -> None:
    rows = [{"id": name} for name in models]
    runtime.listing = lambda: (200, "application/json", json.dumps({"data": rows}).encode())

    def answer(body: bytes) -> Said:
        return plain(model=json.loads(body)["model"])

    runtime.say = answer


def test_a_model_of_a_named_runtime_is_offered_added_and_asked_there(tmp_path: Path) -> None:
    with stranger() as default, stranger() as house:
        lists(default, "gpt-4o", "shared")
        lists(house, "shared", "gpt-4o", "claude-sonnet-4-5")
        file = tmp_path / "catalog.toml"
        file.write_text(CATALOG.format(house=house.url))
        settings = {**default.settings, "ARBITER_CATALOG": str(file), "ARBITER_JOIN": "!*"}
        with running(tmp_path, **settings) as over:
            (offer,) = over.http.get("/v1/pool/models").json()["new"]
            assert (offer["id"], offer["runtime"], offer["input_per_million"]) == ("claude-sonnet-4-5", "house", 3.0)
            added = over.http.post("/v1/pool/models", json={"id": "claude-sonnet-4-5"})
            assert added.status_code == 200, added.text
            (at,) = added.json()["deployments"]
            assert (at["runtime"], at["price_from"], at["listed"]) == ("house", "library", True)
            house.heard.clear()
            told = over.chat("Calculate 2 * 21", arbiter_pin="claude-sonnet-4-5", arbiter_no_cache=True).json()[
                "arbiter"
            ]
            assert (told["model"], told["runtime"], len(house.heard)) == ("claude-sonnet-4-5", "house", 1)
