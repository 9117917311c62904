"""Image, compose file and chart are held to the code: what they copy is there, what they set is a setting, what they ask is a route."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from arbiter_app.api.roles import ROLES
from arbiter_app.metrics import METRICS
from arbiter_app.settings import setting_names

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "arbiter"
CONTAINER = (ROOT / "Containerfile").read_text()
COMPOSE = ROOT / "compose.yaml"
TEMPLATES = sorted((CHART / "templates").glob("*.yaml"))
FILES = (ROOT / "Containerfile", COMPOSE, CHART / "values.yaml", *TEMPLATES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_setting_that_is_named_is_one(path: Path) -> None:
    named = set(re.findall(r"\b(?:ARBITER_[A-Z0-9_]+|BTL_BASE_URL|GATEWAY_API_KEY)\b", path.read_text()))
    assert named - {"ARBITER_IMAGE"} <= set(setting_names())


def test_what_the_image_copies_by_name_is_there() -> None:
    copied = [
        name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINER, re.MULTILINE) for name in line.split()
    ]
    assert copied and all((ROOT / name).exists() for name in copied)


def test_nothing_secret_and_no_store_gets_into_the_image() -> None:
    left_out = (ROOT / ".dockerignore").read_text().split()
    assert {".env", "data", ".git"} <= set(left_out)


def test_the_image_is_not_root_and_everything_that_is_written_has_a_place() -> None:
    user = re.search(r"^USER (\d+):(\d+)$", CONTAINER, re.MULTILINE)
    assert user and int(user[1]) > 0
    places = re.findall(r"=(/\S+/?)(?: |$)", CONTAINER.partition("\nENV PATH")[2].partition("\nUSER")[0], re.MULTILINE)
    assert all(place.startswith(("/data/", "/tmp/")) for place in places if not place.startswith("/app"))


def test_each_service_of_the_fleet_has_a_store_of_its_own_and_waits_for_what_it_needs() -> None:
    services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    hosts = {name: one for name, one in services.items() if name.startswith("arbiter")}
    assert len(hosts) == 4
    assert len({str(one["volumes"]) for one in hosts.values()}) == 4
    assert all(one["read_only"] and one["cap_drop"] == ["ALL"] for one in hosts.values())
    assert set(services["balancer"]["depends_on"]) == set(hosts) - {"arbiter"}
    named = set(re.findall(r"^ +server \S+ (\S+):8000", (ROOT / "deploy" / "haproxy.cfg").read_text(), re.MULTILINE))
    assert named == set(hosts) - {"arbiter"}


def test_the_values_fit_their_schema() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.validate(values, schema, cls=jsonschema.Draft202012Validator)
    assert set(values) == set(schema["properties"]) - {"global"}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_use_values_that_there_are(path: Path) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for named in re.findall(r"\.Values\.([A-Za-z.]+)", path.read_text()):
        found: Any = values
        for part in named.split("."):
            assert isinstance(found, dict) and part in found, named
            found = found[part]


def test_probes_ask_routes_and_the_scale_a_metric() -> None:
    whole = (CHART / "templates" / "statefulset.yaml").read_text()
    assert {("GET", path) for path in re.findall(r"httpGet: \{path: (\S+),", whole)} <= set(ROLES)
    scale = (CHART / "templates" / "autoscaler.yaml").read_text()
    assert re.findall(r"metric:\s+name: (\S+)", scale)[0] in METRICS
