"""Does the code in an answer parse, in the language of its fence? Nothing is ever run.

Python goes through `ast`; other languages through tree-sitter grammars. A language without a grammar is unknown, not
wrong. Size and nesting are bounded before a parser sees the text, and a grammar is stopped when its time is up.
"""

from __future__ import annotations

import ast
import importlib
import re
import time
import warnings
from functools import cache

import tree_sitter

from arbiter_app.pipeline.graders.fences import Block, fenced_blocks
from arbiter_app.pipeline.graders.parts import in_place
from arbiter_app.pipeline.graders.unclosed import unclosed
from arbiter_app.pipeline.types import Grade

MAX_PYTHON_CHARS = 12_000
MAX_GRAMMAR_CHARS = 9_000
MAX_CODE_CHARS = 24_000
MAX_NESTING = 80
MAX_BLOCKS = 12
BUDGET_S = 0.02
PROBE_BYTES = 250
PROBE_S = 0.004

# A scanner of a grammar may loop over these without asking whether it should stop.
_MARKS = re.compile(r"[][(){}<>;]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f]")
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
_DIALECTS = ("bash", "sql")
"""Languages of which the grammars know too little to find faults."""
_IN_WORDS = re.compile(
    r"\b(python|javascript|typescript|golang|go|rust|java|bash|shell|sql)\b(?!\s*-?script)", re.IGNORECASE
)
_NOT_CODE = frozenset({"text", "txt", "plaintext", "output", "console", "markdown", "md", "diff", "log"})
_INLINE = re.compile(r"`[^`\n]{2,200}`")
# Asks for code to be written, against asks about code.
_WANTS_CODE = re.compile(
    r"\b(?:write|implement|code up|build|develop|generate|provide|fix|refactor|convert|translate|port|optimi[sz]e|give me|show me)\b"
    r"|\b(?:create|make|add|design|complete|finish)\s(?:[\w'-]+\s){0,5}(?:function|method|script|program|class|query|regex|code|"
    r"app|component|algorithm|test|api|endpoint|parser|game|page|module)",
    re.IGNORECASE,
)
_ASKS_ABOUT = re.compile(
    r"^\s*(?:explain|what|why|how does|describe|is|are|does|do|which|when|who|compare|review|summari[sz]e|can i|should)\b",
    re.IGNORECASE,
)


def grade_code(ask: str, answer: str, *, cut_off: bool = False) -> Grade:
    """1 when all code parses, less by the share that does not, low without code where code was asked for.

    `cut_off`: the answer ended at its length limit, so what fails to parse in it says nothing of the model.
    """
    blocks = code_blocks(answer, ask)
    if not blocks:
        return _without_code(ask, answer, cut_off)
    if sum(len(block.code) for block in blocks) > MAX_CODE_CHARS:
        return Grade(None, "the code is too long to check", "none")
    ends_s = time.thread_time() + BUDGET_S
    checks = [(block, fault_of(block, ends_s)) for block in blocks[:MAX_BLOCKS]]
    known = [(block, fault) for block, fault in checks if fault is not None]
    if len(blocks) > 1 and not any(
        block.language for block in fenced_blocks(answer)
    ):  # some may be what the code prints
        known = [(block, fault) for block, fault in known if not fault] or known
    if not known:
        return Grade(None, f"{blocks[0].language or 'unnamed language'}: cannot be checked", "none")
    faults = [f"{block.language}: {fault}" for block, fault in known if fault]
    if not faults:
        return Grade(1.0, f"{known[0][0].language} parses")
    if cut_off:
        return Grade(None, "the code is cut off", "none")
    total = sum(len(block.code) for block, _ in known)
    good = sum(len(block.code) for block, fault in known if not fault)
    return Grade(round(0.6 * good / max(1, total), 3), f"does not parse, {faults[0]}")


def _without_code(ask: str, answer: str, cut_off: bool) -> Grade:
    if cut_off:
        return Grade(None, "the code is cut off", "none")
    if _ASKS_ABOUT.match(ask) or not _WANTS_CODE.search(ask[:4_000]):
        return Grade(None, "no code was asked for", "none")
    if _INLINE.search(answer[:20_000]) or answer.lstrip()[:1] in ("{", "["):
        return Grade(None, "no block of code to check", "none")
    return Grade(0.1, "no code in the answer")


def code_blocks(answer: str, ask: str) -> list[Block]:
    """The fenced blocks of an answer with their languages, or the whole answer when it is bare code.

    Where some name a language, those that name none are what the code prints, or how it is run.
    """
    named = _language_in(ask)
    found = fenced_blocks(answer)
    guess = "" if any(block.language for block in found) else named
    blocks = [
        Block(_canonical(block.language) or guess, block.code) for block in found if block.language not in _NOT_CODE
    ]
    if blocks:
        return blocks
    if not found and "```" not in answer and _LOOKS_LIKE_CODE.match(answer):
        return [Block(named or "python", answer)]
    return []


def fault_of(block: Block, ends_s: float) -> str | None:
    """What keeps a block from parsing; empty when it parses; None when that cannot be told by `ends_s`, in thread time.

    It cannot be told of a part of a file either, which parses in its place alone.
    """
    limit = MAX_PYTHON_CHARS if block.language == "python" else MAX_GRAMMAR_CHARS
    if len(block.code) > limit or _nesting(block.code) > MAX_NESTING or _CONTROL.search(block.code):
        return None
    if time.thread_time() > ends_s:
        return None
    if block.language != "python" and block.language not in _GRAMMARS:
        return None
    fault = _parsing_fault(block, ends_s)
    if fault and block.language in _DIALECTS:
        return unclosed(block.language, block.code) or None
    return None if fault and _parses_in_place(block, ends_s) else fault


def _parses_in_place(block: Block, ends_s: float) -> bool:
    return any(
        time.thread_time() < ends_s and _parsing_fault(Block(block.language, code), ends_s) == ""
        for code in in_place(block.language, block.code)
    )


def _parsing_fault(block: Block, ends_s: float) -> str | None:
    return _python_fault(block.code) if block.language == "python" else _grammar_fault(block, ends_s)


def _python_fault(code: str) -> str | None:
    """Through `ast`; prompts of a session and commands of a notebook are stripped, since answers often show them."""
    source = re.sub(r"^(?:>>>|\.\.\.) ?", "", code, flags=re.MULTILINE) if ">>>" in code else code
    source = re.sub(r"^[ \t]*[!%][ \t]*[a-z][^\n]*", "", source, flags=re.MULTILINE)
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


def _grammar_fault(block: Block, ends_s: float) -> str | None:
    source = block.code.encode("utf-8", "replace")
    if not _is_tame(block.language, source, ends_s):
        return None
    tree = _parsed(block.language, source, ends_s)
    if tree is None:
        return None
    return f"line {_first_error_row(tree.root_node) + 1}" if tree.root_node.has_error else ""


def _is_tame(language: str, source: bytes, ends_s: float) -> bool:
    """Whether ever longer beginnings parse in little time: some steps of a grammar cannot be stopped midway."""
    for share in (16, 8, 4, 2):
        started = time.thread_time()
        if len(source) // share > PROBE_BYTES:
            _parsed(language, source[: len(source) // share], ends_s)
        if time.thread_time() - started > PROBE_S:
            return False
    return True


def _parsed(language: str, source: bytes, ends_s: float) -> tree_sitter.Tree | None:
    view = memoryview(source)
    parser = _parser(language)
    try:
        return parser.parse(lambda at, _: view[at:], progress_callback=lambda _at, _failed: time.thread_time() > ends_s)
    except ValueError:
        parser.reset()
        return None


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
    """The deepest nesting of brackets, or of angle brackets within a statement (generics are parsed in every reading)."""
    depth = angles = deepest = 0
    for mark in _MARKS.findall(code):
        if mark in "([{":
            depth += 1
        elif mark in ")]}":
            depth = max(0, depth - 1)
        angles = angles + 1 if mark == "<" else max(0, angles - 1) if mark == ">" else 0 if mark in ";{}" else angles
        deepest = max(deepest, depth, 2 * angles)
    return deepest
