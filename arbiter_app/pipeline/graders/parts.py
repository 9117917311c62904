"""Parts of files: what parses only where it stands, such as a method without its class or a branch without its `if`.

Agents answer with such parts, for others to put in place. Whether they are right cannot be told by parsing.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

_CLASS = ("class A {\n", "\n}")
_OBJECT = ("({\n", "\n})")
_SWITCH = ("switch (a) {\n", "\n}")
_SURROUNDINGS = {
    "javascript": (_CLASS, _OBJECT, _SWITCH),
    "typescript": (_CLASS, _OBJECT, _SWITCH),
    "tsx": (_CLASS, _OBJECT, _SWITCH),
    "java": (_CLASS, _SWITCH),
    "go": (("func a() {\nswitch a {\n", "\n}\n}"), ("var a = A{\n", "\n}")),
    "rust": (("fn a() {\nmatch a {\n", "\n}\n}"), ("impl A {\n", "\n}")),
    "python": (
        ("if a:\n pass\n", ""),
        ("if a:\n", ""),
        ("try:\n pass\n", ""),
        ("try:\n", ""),
        ("match a:\n", ""),
        ("a(\n", "\n)"),
        ("{\n", "\n}"),
    ),
}
# What is cut at its end, too, is told from a mistake by its indentation.
_OPENED = {"python": ("a(\n", ""), "javascript": ("{\n", ""), "typescript": ("{\n", ""), "tsx": ("{\n", "")}
_ELEMENTS = ("(<>\n", "\n</>)")


def in_place(language: str, code: str) -> Iterator[str]:
    """The code in surroundings of each kind that its language has; it may be a part of a file if one of them parses."""
    dedented = textwrap.dedent(code).strip("\n")
    for before, after in _SURROUNDINGS.get(language, ()):
        yield before + (textwrap.indent(dedented, " ") if before.startswith("match") else dedented) + after
    if language in ("javascript", "tsx") and code.lstrip().startswith("<"):
        yield _ELEMENTS[0] + dedented + _ELEMENTS[1]
    if language in _OPENED and code.lstrip("\n")[:1] in (" ", "\t"):
        yield _OPENED[language][0] + dedented + _OPENED[language][1]
