"""Does the code in an answer parse, in the language of its fence? Nothing is ever run.

Python goes through `ast`; other languages through tree-sitter grammars. A language without a grammar is unknown, not
wrong. Size and nesting are bounded before a parser sees the text.
"""

from __future__ import annotations

import ast
import importlib
import re
import warnings
from dataclasses import dataclass
from functools import cache

import tree_sitter

from arbiter_app.pipeline.types import Grade

MAX_PYTHON_CHARS = 16_000
MAX_GRAMMAR_CHARS = 9_000
MAX_NESTING = 80
MAX_BLOCKS = 12

_FENCE_LINE = re.compile(r"[ \t]{0,8}```[ \t]*([\w+#.-]*)")
_LOOKS_LIKE_CODE = re.compile(
    r"^\s*(?:def|class|import|from|function|const|let|var|public|fn|func|package|#include|SELECT|CREATE|#!)\b",
    re.MULTILINE,
)
_ALIASES = {
    "py": "python",
    "python3": "python",
    "js": "javascript",
    "jsx": "javascript",
    "node": "javascript",
    "ts": "typescript",
    "golang": "go",
    "rs": "rust",
    "sh": "bash",
    "shell": "bash",
    "zsh": "bash",
    "postgresql": "sql",
    "mysql": "sql",
    "sqlite": "sql",
}
_GRAMMARS = {
    "javascript": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "go": ("tree_sitter_go", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "java": ("tree_sitter_java", "language"),
    "bash": ("tree_sitter_bash", "language"),
    "sql": ("tree_sitter_sql", "language"),
}
_IN_WORDS = re.compile(
    r"\b(python|javascript|typescript|golang|go|rust|java|bash|shell|sql)\b(?!\s*-?script)", re.IGNORECASE
)
_NOT_CODE = frozenset({"text", "txt", "plaintext", "output", "console", "markdown", "md", "diff", "log"})
_WANTS_CODE = re.compile(
    r"\b(?:write|implement|code|create|build|develop|complete|generate|give|provide|fix|refactor|convert|port|add|make|optimi[sz]e)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """One piece of code in an answer, with its language (empty when unnamed)."""

    language: str
    code: str


def grade_code(ask: str, answer: str, *, cut_off: bool = False) -> Grade:
    """1 when all code parses, less by the share that does not, low without code where code was asked for."""
    blocks = code_blocks(answer, ask)
    if not blocks:
        if cut_off and "```" in answer:
            return Grade(0.3, "the code is cut off")
        if _WANTS_CODE.search(ask):
            return Grade(0.1, "no code in the answer")
        return Grade(None, "no code was asked for", "none")
    if sum(len(block.code) for block in blocks) > MAX_PYTHON_CHARS:
        return Grade(None, "the code is too long to check", "none")
    checks = [(block, fault_of(block)) for block in blocks[:MAX_BLOCKS]]
    known = [(block, fault) for block, fault in checks if fault is not None]
    if not known:
        return Grade(None, f"no grammar for {blocks[0].language or 'this language'}", "none")
    total = sum(len(block.code) for block, _ in known)
    good = sum(len(block.code) for block, fault in known if not fault)
    faults = [f"{block.language}: {fault}" for block, fault in known if fault]
    if not faults:
        return Grade(1.0, f"{known[0][0].language} parses")
    return Grade(round(0.6 * good / max(1, total), 3), f"does not parse, {faults[0]}")


def code_blocks(answer: str, ask: str) -> list[Block]:
    """The fenced blocks of an answer, or the whole answer when it is bare code."""
    named = _language_in(ask)
    found = _fenced(answer)
    blocks = [Block(block.language or named, block.code) for block in found if block.language not in _NOT_CODE]
    if blocks:
        return blocks
    if not found and _LOOKS_LIKE_CODE.match(answer):
        return [Block(named or "python", answer)]
    return []


def _fenced(answer: str) -> list[Block]:
    """The fenced blocks, in one pass over the lines; a fence that is never closed is no block."""
    if "```" not in answer:
        return []
    blocks: list[Block] = []
    language = ""
    lines: list[str] | None = None
    for line in answer.splitlines(keepends=True):
        fence = _FENCE_LINE.match(line)
        if fence is None:
            if lines is not None:
                lines.append(line)
        elif lines is None:
            language, lines = _canonical(fence.group(1)), []
        else:
            code = "".join(lines)
            blocks += [Block(language, code)] if code.strip() else []
            lines = None
    return blocks


def fault_of(block: Block) -> str | None:
    """What keeps a block from parsing; empty when it parses; None when that cannot be told."""
    limit = MAX_PYTHON_CHARS if block.language == "python" else MAX_GRAMMAR_CHARS
    if len(block.code) > limit or _nesting(block.code) > MAX_NESTING:
        return None
    if block.language == "python":
        return _python_fault(block.code)
    return _grammar_fault(block) if block.language in _GRAMMARS else None


def _python_fault(code: str) -> str | None:
    """Through `ast`; doctest prompts are stripped, since answers often show a session."""
    source = re.sub(r"^(?:>>>|\.\.\.) ?", "", code, flags=re.MULTILINE) if ">>>" in code else code
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(_dedented(source))
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, MemoryError, RecursionError):
        return None
    return ""


def _dedented(source: str) -> str:
    first = source.lstrip("\n")
    indent = len(first) - len(first.lstrip(" "))
    return re.sub(rf"^ {{{indent}}}", "", first, flags=re.MULTILINE) if indent else source


def _grammar_fault(block: Block) -> str | None:
    tree = _parser(block.language).parse(block.code.encode("utf-8", "replace"))
    if not tree.root_node.has_error:
        return ""
    return f"line {_first_error_row(tree.root_node) + 1}"


def _first_error_row(node: tree_sitter.Node) -> int:
    """The row of the first error, walking down the branch that holds it."""
    while True:
        inner = next((child for child in node.children if child.has_error or child.is_missing), None)
        if inner is None or node.is_error:
            return node.start_point[0]
        node = inner


@cache
def _parser(language: str) -> tree_sitter.Parser:
    module, function = _GRAMMARS[language]
    grammar = getattr(importlib.import_module(module), function)()
    return tree_sitter.Parser(tree_sitter.Language(grammar))


def _canonical(language: str) -> str:
    lowered = language.lower()
    return _ALIASES.get(lowered, lowered)


def _language_in(ask: str) -> str:
    match = _IN_WORDS.search(ask[:4_000])
    return _canonical(match.group(1)) if match is not None else ""


def _nesting(code: str) -> int:
    depth = deepest = 0
    for char in code:
        if char in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in ")]}":
            depth = max(0, depth - 1)
    return deepest
