"""The docs are held to the code: every route, setting, error code and metric is in them, and their code is sound."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import arbiter_app
from arbiter_app.api.roles import ROLES
from arbiter_app.metrics import METRICS
from arbiter_app.pipeline import errors
from arbiter_app.pipeline.types import Mode, Task
from arbiter_app.settings import setting_names
from arbiter_app.web.docs import docs
from arbiter_app.web.snippets import CLIENTS, snippets

NOT_AS_CODE = {"vercel", "aider", "open-webui"}
"""Clients that the docs describe in a table or a sentence."""
PACKAGE = Path(arbiter_app.__file__).parent
CONTENT = PACKAGE / "web" / "content"


def page(name: str) -> str:
    return (CONTENT / f"{name}.md").read_text("utf-8")


def every_error() -> Iterator[type[errors.ArbiterError]]:
    todo = [errors.ArbiterError]
    while todo:
        found = todo.pop()
        todo += found.__subclasses__()
        yield found


def test_code_of_clients_is_the_same_on_the_page_and_in_the_docs() -> None:
    blocks = set(re.findall(r"^```[a-z]+\n(.*?)^```$", page("integration"), re.MULTILINE | re.DOTALL))
    filled = snippets("http://localhost:8000")
    assert [name for name in CLIENTS if name not in NOT_AS_CODE and filled[name] not in blocks] == []


def test_links_of_the_docs_lead_somewhere_and_names_of_pages_are_links() -> None:
    pages = docs()
    places = {one.path for one in pages} | {f"{one.path}#{at}" for one in pages for _, at, _ in one.contents}
    led = {to for one in pages for to in re.findall(r'href="(/docs[^"]*)"', one.html)}
    assert led <= places and "/docs/operations#overload" in led
    titles = {one.title for one in pages}
    for one in pages:
        unlinked = re.findall(r"(?<!\">)<em>([^<]+)</em>", one.html)
        assert titles.intersection(unlinked) <= {one.title}


def test_every_route_is_described_and_no_other() -> None:
    described = set(re.findall(r"^\| `(GET|POST|PATCH|DELETE) (/[^`]*)`", page("api-reference"), re.MULTILINE))
    assert described == set(ROLES)


def test_every_setting_is_described_and_no_other() -> None:
    described = set(re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \|", page("configuration"), re.MULTILINE))
    assert described == set(setting_names())


def test_every_error_code_is_described() -> None:
    described = set(re.findall(r"`([a-z_]+)`", page("api-reference")))
    own = {error.code for error in every_error()}
    given = set()
    for source in PACKAGE.rglob("*.py"):
        if source.parent.name in ("api", "services", "pipeline"):
            given |= set(re.findall(r'\bcode="([a-z_]+)"', source.read_text("utf-8")))
    assert own | given <= described


def test_every_metric_is_described_and_no_other() -> None:
    assert set(re.findall(r"^\| `(arbiter_[a-z_]+)`", page("operations"), re.MULTILINE)) == set(METRICS)


def test_every_field_of_the_answer_is_described() -> None:
    source = (PACKAGE / "pipeline" / "decision.py").read_text("utf-8")
    public = source[source.index("def public") : source.index("def row")]
    fields = set(re.findall(r'^\s+"([a-z_]+)":', public, re.MULTILINE))
    assert fields <= set(re.findall(r"`([a-z_]+)`", page("api-reference")))


@pytest.mark.parametrize("path", sorted(CONTENT.glob("*.md")), ids=lambda path: path.stem)
def test_python_in_the_docs_parses(path: Path) -> None:
    for language, code in re.findall(r"```(\w*)\n(.*?)```", path.read_text("utf-8"), re.DOTALL):
        assert language, "every block names its language"
        if language == "python":
            ast.parse(code)


@pytest.mark.parametrize("path", sorted(CONTENT.glob("*.md")), ids=lambda path: path.stem)
def test_commands_in_the_docs_exist(path: Path) -> None:
    cli = (PACKAGE / "cli.py").read_text("utf-8")
    for command in re.findall(r"python -m arbiter_app (\w+)", path.read_text("utf-8")):
        assert f'"{command}"' in cli, command


def test_folders_named_in_the_architecture_exist() -> None:
    for folder in re.findall(r"^\| `(\w+)/`", page("architecture"), re.MULTILINE):
        assert (PACKAGE / folder).is_dir(), folder


def test_files_named_in_the_decisions_exist() -> None:
    for name in re.findall(r"`((?:tests/)?[a-z_]+/[a-z_/]*(?:\.py)?)`", page("decisions")):
        root = PACKAGE.parent if name.startswith("tests/") else PACKAGE
        assert (root / name).exists(), name


def test_every_decision_is_short() -> None:
    entries = page("decisions").split("\n## ")[1:]
    assert entries and [entry.splitlines()[0] for entry in entries if len(entry.splitlines()) > 40] == []


def test_every_mode_and_task_is_in_the_glossary() -> None:
    words = page("glossary")
    assert [str(word) for word in (*Mode, *Task) if str(word) not in words] == []


def test_files_that_contributors_are_sent_to_exist() -> None:
    """A path is one of the repository, or of the package."""
    root = PACKAGE.parent
    text = (root / "CONTRIBUTING.md").read_text("utf-8")
    named = re.findall(r"`([\w.]+/[\w/.]*|\w+\.(?:py|toml|md))`", text)
    beside = [PACKAGE / "runtime" / "sandbox", PACKAGE / "policy", root / "tests" / "unit" / "policy"]
    assert named and [name for name in named if not any((at / name).exists() for at in (root, PACKAGE, *beside))] == []


def test_names_that_contributors_are_sent_to_exist() -> None:
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text("utf-8")
    names = set(re.findall(r"`(_?[A-Z]\w+|_\w+|\w+_by_\w+)(?:\(\.\.\.\))?`", text)) - {"None"}
    folders = PACKAGE, PACKAGE.parent / "tests" / "unit"
    sources = "\n".join(path.read_text("utf-8") for folder in folders for path in folder.rglob("*.py"))
    assert sorted(name for name in names if not re.search(rf"\b{name}\b", sources)) == []
