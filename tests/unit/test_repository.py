"""The repository keeps its own promises: pins, layout, rooms, banned words, the settings example, clean linters."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from arbiter_app import __version__, example_env
from arbiter_app.settings import setting_names

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "arbiter_app"
# Which room may import what stands behind it; everybody else goes through the room.
ROOMS = {
    "httpx": ("runtime", "channels"),
    "httpx2": ("outgoing.py",),
    "apprise": ("channels",),
    "standardwebhooks": ("channels",),
    "authlib": ("web",),
    "httptools": ("runtime", "protocol.py"),
    "sqlalchemy": ("store",),
    "sqlmodel": ("store",),
    "sqlite3": ("store",),
    "alembic": ("store",),
    "reflex": ("web", "arbiter_app.py"),
    "plotly": ("web", "replay"),
    "fastapi": ("api", "web"),
}
CORE = ("pipeline", "policy")
CORE_MAY_IMPORT = {"arbiter_app", "numpy", "orjson"}
GRADERS_MAY_IMPORT = {"jsonschema", "referencing", "regex", "tree_sitter", "yaml"}
# Words that have no business in a repository that others read.
BANNED = (
    r"\bTODO\b|\bFIXME\b|\bXXX\b|" + "HACK",
    r"type: ignore$|# noqa$",
    r"pytest\.mark\.(skip|xfail)|pytest\.skip\(",
    r"/root/|/home/\w|/work/",
    "registry\\.npm" + "js|pypi\\." + "org|files\\.python" + "hosted|deb\\.deb" + "ian",
)


def tracked() -> list[str]:
    """Every file that is in the repository or about to be."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(name for name in set(names) if (ROOT / name).is_file())


@cache
def modules() -> tuple[tuple[Path, ast.Module], ...]:
    """Every module of the product, by its path within the package."""
    return tuple((path.relative_to(PACKAGE), ast.parse(path.read_text())) for path in sorted(PACKAGE.rglob("*.py")))


def imported(tree: ast.Module) -> set[str]:
    """Top-level names of what a module imports, at its top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-postgresql.txt"])
def test_every_requirement_is_pinned_exactly(name):
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    pins = [line for line in lines if not line.startswith("-r requirements")]
    assert [line for line in pins if not re.fullmatch(r"[a-z0-9-]+(\[[a-z]+\])?==[0-9][\w.]*", line)] == []
    names = [re.split(r"[=\[]", line)[0] for line in pins]
    assert len(names) == len(set(names))


def test_every_package_the_product_imports_is_required():
    required = (ROOT / "requirements.txt").read_text().lower()
    other_names = {
        "markdown_it": "markdown-it-py",
        "yaml": "pyyaml",
        "dotenv": "python-dotenv",
        "engineio": "python-engineio",
        "socketio": "python-socketio",
        "prometheus_client": "prometheus-client",
    }
    optional = {"opentelemetry", "psycopg", "pyarrow"}
    foreign = (
        {name for _, tree in modules() for name in imported(tree)} - set(sys.stdlib_module_names) - {"arbiter_app"}
    )
    missing = [
        name
        for name in sorted(foreign - optional)
        if not re.search(rf"^{other_names.get(name, name).replace('_', '-')}(\[|==)", required, re.MULTILINE)
    ]
    assert missing == []


ALONE = """
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

lines = Path("requirements.txt").read_text().splitlines()
runtime = {line.split("[")[0].split("==")[0] for line in lines if "==" in line}
known = {name.lower().replace("_", "-").replace(".", "-") for name in runtime}
for top, of in packages_distributions().items():
    if not known & {name.lower().replace("_", "-").replace(".", "-") for name in of}:
        sys.modules.setdefault(top, None)
import arbiter_app.cli, arbiter_app.serve, arbiter_app.web.container, arbiter_app.web.openid, arbiter_app.channels.apprise_child
"""


def test_the_product_starts_without_a_warning_where_only_its_own_requirements_are_installed():
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", ALONE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_npm_packages_are_pinned_and_name_no_registry():
    wanted = json.loads((ROOT / "tests/package.json").read_text())["dependencies"]
    locked = json.loads((ROOT / "tests/package-lock.json").read_text())["packages"]
    for name, version in wanted.items():
        assert locked[f"node_modules/{name}"]["version"] == version
    for name in tracked():
        if name.endswith("package-lock.json"):
            assert '"resolved"' not in (ROOT / name).read_text(), name


def test_the_layout_in_the_readme_is_what_is_there():
    drawn = set(_drawn((ROOT / "README.md").read_text().rpartition("\n## ")[2]))
    names = [name for name in tracked() if not name.endswith("__init__.py")]
    there = {_first(name) for name in names} - {".gitignore"}
    for folder in ("arbiter_app", "tests"):
        there |= {f"{folder}/{_first(name.partition('/')[2])}" for name in names if name.startswith(f"{folder}/")}
    assert drawn == there


def _first(name: str) -> str:
    head, slash, _ = name.partition("/")
    return head + slash


def _drawn(section: str) -> Iterator[str]:
    """Paths of the tree in the section's code block, two spaces an indent."""
    folder = ""
    for line in section.split("```")[1].strip("\n").splitlines():
        name = line.split()[0]
        if line.startswith("  "):
            yield folder + name
        else:
            folder = name
            yield name


def test_unit_tests_are_laid_out_like_the_product():
    folders = {str(Path(name).parent) for name in tracked() if re.fullmatch(r"tests/unit/.+/test_\w+\.py", name)}
    assert sorted(one for one in folders if not (PACKAGE / one.removeprefix("tests/unit/")).is_dir()) == []


def test_files_that_the_readme_links_exist():
    links = re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", (ROOT / "README.md").read_text())
    targets = [one or other for one, other in links]
    assert targets and [target for target in targets if not (ROOT / target).exists()] == []


def test_no_banned_words():
    found = []
    for name in tracked():
        if name.endswith((".woff2", ".png", ".jpg", "package-lock.json")) or name == "tests/unit/test_repository.py":
            continue
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
            found += [f"{name}:{number} {line.strip()[:80]}" for word in BANNED if re.search(word, line)]
            # Recorded traffic lies beside the repository: the docs name it where they say how a figure was measured.
            if "../shared" in line and not name.startswith("arbiter_app/web/content/"):
                found.append(f"{name}:{number} {line.strip()[:80]}")
    assert found == []


def test_nothing_is_held_while_a_generator_waits_for_its_reader():
    """Who iterates may be a stranger who stops reading: a connection, transaction or lock must not be open at a `yield`."""
    held = re.compile(r"connect\(|begin\(|transaction\(|lock\b|acquire\(", re.IGNORECASE)
    strays = [
        f"{path}:{node.lineno}"
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.With | ast.AsyncWith)
        and any(held.search(ast.unparse(item.context_expr)) for item in node.items)
        and any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in ast.walk(node))
    ]
    assert strays == []


def test_digits_of_strangers_are_looked_for_in_one_place():
    """`str.isdigit` and its kin take digits that are none to `int`, such as \u00b2, and numbers that no database holds."""
    own = {"pipeline/plain.py", "runtime/sandbox/sums.py", "pipeline/graders/arithmetic.py"}  # sums are in any script
    kept = {
        "runtime/claims/secrets.py",
        "web/views.py",
        "pipeline/completions.py",
    }  # nothing becomes a number; what was written as one
    strays = [
        f"{path}:{node.lineno}"
        for path, tree in modules()
        if path.as_posix() not in own | kept
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in ("isdigit", "isdecimal", "isnumeric")
        and path.as_posix() not in ("api/body.py", "store/backends/postgresql.py")  # bytes, whose digits are ASCII
    ]
    assert strays == []


def test_each_library_has_one_room():
    strays = [
        f"{path}: {library}"
        for path, tree in modules()
        for library in sorted(imported(tree) & ROOMS.keys())
        if path.parts[0] not in ROOMS[library]
    ]
    assert strays == []


def test_the_core_imports_the_standard_library_and_little_else():
    strays = [
        f"{path}: {name}"
        for path, tree in modules()
        if path.parts[0] in CORE
        for name in sorted(imported(tree) - set(sys.stdlib_module_names) - CORE_MAY_IMPORT)
        if not (path.parts[:2] == ("pipeline", "graders") and name.startswith(tuple(GRADERS_MAY_IMPORT)))
    ]
    assert strays == []


def test_dependencies_point_one_way():
    """The core knows neither rooms nor doors (the catalog is values), the rooms know no door."""
    inner = {"pipeline": {"pipeline", "policy", "catalog"}, "policy": {"policy"}, "dialects": {"dialects", "pipeline"}}
    doors = {"api", "web", "cli", "serve", "bench", "services"}
    strays = []
    for path, tree in modules():
        room = path.parts[0]
        for node in ast.walk(tree):
            if not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("arbiter_app.")):
                continue
            other = str(node.module).split(".")[1]
            allowed = other in inner[room] if room in inner else not (room in ("store", "runtime") and other in doors)
            if not allowed:
                strays.append(f"{path}: {node.module}")
    assert strays == []


def defined_classes() -> dict[str, list[str]]:
    """Every class of the product by its name: where it is defined."""
    found: dict[str, list[str]] = {}
    for path, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(str(path))
    return found


def test_no_class_name_stands_twice():
    """A name that means two things has to be read twice; what is private is its module's own."""
    twice = {name: places for name, places in defined_classes().items() if len(places) > 1 and name[0] != "_"}
    assert twice == {}


def test_there_is_no_circle_of_imports():
    """Imports for types count, too: who has to be read together is in one circle."""
    assert [sorted(one) for one in circles(import_graph())] == []


def import_graph() -> dict[str, set[str]]:
    """Every module of the product, and which others it imports, wherever in it."""
    trees = {_module(path): tree for path, tree in modules()}
    graph: dict[str, set[str]] = {name: set() for name in trees}
    for name, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                whole = {f"{node.module}.{alias.name}" for alias in node.names}
                graph[name] |= {one if one in trees else node.module for one in whole} & trees.keys()
            elif isinstance(node, ast.Import):
                graph[name] |= {alias.name for alias in node.names} & trees.keys()
        graph[name].discard(name)
    return graph


def _module(path: Path) -> str:
    parts = ("arbiter_app", *path.with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """Groups of modules in which each can be reached from each other."""
    reached = {name: _reached(graph, name) for name in graph}
    groups = {frozenset(other for other in reached[name] if name in reached[other]) for name in graph}
    return {group for group in groups if len(group) > 1}


def _reached(graph: dict[str, set[str]], start: str) -> set[str]:
    seen, todo = set(), [start]
    while todo:
        for other in graph[todo.pop()] - seen:
            seen.add(other)
            todo.append(other)
    return seen


def test_the_settings_example_is_rendered_from_the_settings():
    text = (ROOT / ".env.example").read_text()
    assert text == example_env.render(), "run: python -m arbiter_app settings > .env.example"
    listed = re.findall(r"^#([A-Z0-9_]+)=", text, re.MULTILINE)
    assert sorted(listed) == sorted(setting_names())
    undescribed = re.findall(r"(?:^#[A-Z0-9_]+=.*\n)(#[A-Z0-9_]+)=", text, re.MULTILINE)
    assert undescribed == [], "every setting says what it is for"


def test_scripts_are_executable_and_parse():
    for name in ("run", "venv", "browser"):
        path = ROOT / ".ci" / name
        assert path.stat().st_mode & 0o111
        shell = path.read_text().splitlines()[0].rpartition("/")[2].split()[-1]
        subprocess.run([shell, "-n", path], check=True)


def test_the_type_checker_is_strict_over_the_whole_product():
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    assert rules["strict"] is True and rules["files"] == ["arbiter_app"] and "exclude" not in rules
    assert [name for one in rules["overrides"] for name in one["module"] if name.startswith("arbiter_app")] == []


def test_one_version_is_said_everywhere():
    chart = (ROOT / "deploy" / "helm" / "arbiter" / "Chart.yaml").read_text()
    assert re.findall(r'^(?:version|appVersion): "?([^"\n]*)', chart, re.MULTILINE) == [__version__, __version__]
    assert re.search(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == __version__


def test_each_migration_follows_the_one_before():
    names = sorted((ROOT / "alembic" / "versions").glob("*.py"))
    texts = [path.read_text() for path in names]
    chain = [re.findall(r'^(?:down_)?revision = (?:"(\d+)"|None)$', text, re.MULTILINE) for text in texts]
    numbers = [path.name.partition("_")[0] for path in names]
    assert chain == [[number, before] for number, before in zip(numbers, ["", *numbers], strict=False)]


@pytest.mark.parametrize(
    "tool", [["ruff", "check", "--no-cache"], ["ruff", "format", "--check", "--no-cache"], ["mypy"]]
)
def test_the_linters_find_nothing(tool):
    done = subprocess.run([sys.executable, "-m", *tool], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_migrations_are_one_line_each_after_the_one_before() -> None:
    files = sorted((ROOT / "alembic" / "versions").glob("0*.py"))
    numbers = [re.findall(r'^(?:down_)?revision = (?:"(\d+)"|None)$', file.read_text(), re.MULTILINE) for file in files]
    assert [file.name[:4] for file in files] == [f"{at:04}" for at in range(1, len(files) + 1)]
    assert numbers == [[f"{at:04}", f"{at - 1:04}" if at > 1 else ""] for at in range(1, len(files) + 1)]
