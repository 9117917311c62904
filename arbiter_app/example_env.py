"""Renders every setting with its default and meaning: the text of `.env.example`, which a test holds against this."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import fields

from pydantic import AliasChoices

from arbiter_app.policy import PolicySettings
from arbiter_app.settings import PREFIX, Settings

HEAD = """\
# Every setting with its default: `python -m arbiter_app settings`. Copy to .env and uncomment what you change.
# The environment wins over the file. Empty means unset. An unknown ARBITER_ name is refused at start.
"""
GROUPS = {
    "The runtime": ("GATEWAY_", "BTL_", "BASELINE_", "REQUEST_"),
    "The semantic cache, off unless an embeddings endpoint is named": ("EMBEDDINGS_",),
    "Arbiter": (PREFIX,),
    "Tracing": ("OTEL_",),
}


def render() -> str:
    """The whole file."""
    own = list(_own())
    parts = [HEAD]
    for title, prefixes in GROUPS.items():
        parts.append(f"\n# {title}\n")
        parts += [_entry(*one) for one in own if one[0].startswith(prefixes)]
    parts.append("\n# Routing\n")
    parts += [_entry(*one) for one in _routing()]
    return "".join(parts)


def _own() -> Iterator[tuple[str, object, str]]:
    """(environment name, default, meaning) of every setting but the policy's."""
    for spec in Settings.model_fields.values():
        if isinstance(spec.validation_alias, AliasChoices):
            yield str(spec.validation_alias.choices[0]), spec.default, spec.description or ""


def _routing() -> Iterator[tuple[str, object, str]]:
    """The same for the policy's thresholds, whose meaning stands under each field."""
    meanings = attribute_docs(PolicySettings)
    for spec in fields(PolicySettings):
        yield f"{PREFIX}{spec.name.upper()}", spec.default, meanings.get(spec.name, "")


def attribute_docs(cls: type) -> dict[str, str]:
    """The strings that stand under the fields of a dataclass, by field."""
    module = ast.parse(inspect.getsource(sys.modules[cls.__module__]))
    body = next(node.body for node in module.body if isinstance(node, ast.ClassDef) and node.name == cls.__name__)
    docs = {}
    for field, after in zip(body, body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
            text = after.value.value if isinstance(after.value, ast.Constant) else ""
            docs[field.target.id] = " ".join(str(text).split())
    return docs


def _entry(name: str, default: object, meaning: str) -> str:
    said = f"# {meaning}\n" if meaning else ""
    return f"{said}#{name}={_text(default)}\n"


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
