"""Simulated code: a small function in the language that was asked for, which parses, or is broken by a bracket."""

from __future__ import annotations

import re

from arbiter_app.runtime.sandbox.tasks import language_of

_STOP = frozenset(
    [
        "a",
        "an",
        "the",
        "write",
        "implement",
        "create",
        "function",
        "method",
        "program",
        "code",
        "that",
        "in",
        "to",
        "of",
        "for",
        "with",
        "me",
        "please",
        "python",
    ]
)
_WORD = re.compile(r"[a-z]{3,12}")

_TEMPLATES = {
    "python": "def {name}(items):\n    result = []\n    for item in items:\n        if item is not None:\n            result.append(item)\n    return result\n",
    "javascript": "function {name}(items) {{\n  const kept = items.filter((item) => item !== null);\n  return kept.map((item) => item);\n}}\n",
    "typescript": "function {name}(items: number[]): number[] {{\n  const kept = items.filter((item) => item > 0);\n  return kept;\n}}\n",
    "go": "package main\n\nfunc {name}(items []int) []int {{\n\tkept := []int{{}}\n\tkept = append(kept, items...)\n\treturn kept\n}}\n",
    "rust": "fn {name}(items: Vec<i32>) -> Vec<i32> {{\n    items.into_iter().filter(|item| *item > 0).collect()\n}}\n",
    "java": "class Solution {{\n    int[] {name}(int[] items) {{\n        return java.util.Arrays.copyOf(items, items.length);\n    }}\n}}\n",
    "bash": '{name}() {{\n  for item in "$@"; do\n    echo "$item"\n  done\n}}\n\n{name} a b\n',
    "sql": "SELECT name, COUNT(*) AS n FROM items WHERE active = 1 GROUP BY name ORDER BY n DESC;\n",
}
_AFTER = (
    "It keeps the order and runs in linear time.",
    "Empty input gives an empty result.",
    "The input is left unchanged, so that it is safe to call it twice.",
    "For very large inputs the same idea works on a stream.",
)


def code_answer(ask: str, good: bool, hard: bool) -> str:
    """A fenced solution with a sentence or four around it; not `good`: it does not parse."""
    language = language_of(ask) or "python"
    code = _TEMPLATES[language].format(name=_name(ask))
    if not good:
        code = _broken(code)
    notes = " ".join(_AFTER if hard else _AFTER[:1])
    return f"Here is a solution in {language}:\n\n```{language}\n{code}```\n\n{notes}"


def _name(ask: str) -> str:
    words = [word for word in _WORD.findall(ask.lower()[:400]) if word not in _STOP][:2]
    return "_".join(words) + "_x" if words else "solve"


def _broken(code: str) -> str:
    """The code with a bracket opened that never closes, and another one closed too early."""
    at = code.rfind(")")
    return code[:at] + "((" + code[at + 1 :] if at >= 0 else code + "(("
