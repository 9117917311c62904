"""Faults of shell and SQL code that no dialect allows: something that is opened and never closed, and the like.

The grammars know one dialect, and not all of that: a twentieth of sound shell scripts and half of the statements of everyday
MySQL, SQL Server or DuckDB do not parse. So what does not parse is a fault only where one can be named.
"""

from __future__ import annotations

import re
from collections import Counter

_SESSION = re.compile(
    r"^[ \t]*(?:\(\S{1,40}\)[ \t]*)?"
    r"(?:\[?[\w.-]{1,40}@[\w.-]{1,60}[^\n$#%]{0,60}[$#%]|[$%>\u276f\u279c]|PS [^>\n]{0,80}>|[A-Z]:\\[^>\n]{0,80}>)[ \t]"
    r"|^[\w.]{1,40}(?:\([\w-]{1,40}\))?[=-][#>*]|^(?:mysql|sqlite|SQL|MariaDB|psql|duckdb|D)\b[^\n>]{0,40}>[ \t]",
    re.MULTILINE,
)
"""Prompts of shells and of database clients: what stands between them is what was said, in no language."""
_OTHER_SHELL = re.compile(
    r"^[ \t]*(?:end;?|endif|\}[ \t]*(?:catch|else)\b.*)$|^[ \t]*(?:set -l|function \S+ -)", re.MULTILINE
)
"""fish, csh and PowerShell, which answers call shell, too."""

_SHELL = re.compile(
    r"""\\. | (?<![^\s;&|(`])\#[^\n]* | \$'(?:[^'\\]|\\.)*(?P<ansi>'?) | '[^']*(?P<single>'?) | "(?:[^"\\]|\\.)*(?P<double>"?)
    | <<-?[ \t]*\\?(?P<mark>['"]?)(?P<until>[^\s;|&<>()'"$`]+)(?P=mark) | (?P<lines>\n)
    | (?P<bracket>[({})]) | (?<![\w$./=-])(?P<word>if|fi|do|done|case|esac)(?![\w./=-])""",
    re.VERBOSE | re.DOTALL,
)
_PAIRS = (("if", "fi"), ("do", "done"), ("case", "esac"), ("(", ")"), ("{", "}"))

_SQL = re.compile(
    r"""--[^\n]* | \#[ ][^\n]* | /\*(?:[^*]|\*(?!/))*(?:\*/)? | (?P<dollar>\$\w*\$) | (?P<quote>['"`]) | (?P<bracket>[()])
    | (?P<commas>,\s*,)""",
    re.VERBOSE,
)
_QUOTED = {
    mark: (
        re.compile(rf"(?:[^{mark}]|{mark}{mark})*{mark}"),
        re.compile(rf"(?:[^{mark}\\]|\\.|{mark}{mark})*{mark}", re.DOTALL),
    )
    for mark in "'\"`"
}
_HANGING = re.compile(r"\b(?:select|from|where|and|or|having|(?:order|group)\s+by|join)\s*;?\s*$", re.IGNORECASE)


def unclosed(language: str, code: str) -> str:
    """What is certainly wrong with code in `bash` or `sql`, in words; empty where nothing is."""
    if _SESSION.search(code) is not None:
        return ""
    if language == "bash":
        return "" if _OTHER_SHELL.search(code) is not None else _unclosed_in_shell(code)
    faults = [_unclosed_in_sql(code, escapes) for escapes in (False, True)]
    return faults[0] if all(faults) else ""


def _unclosed_in_shell(code: str) -> str:
    """Opened and not closed; the other way round is no fault that can be told: patterns of `case` end in brackets."""
    counted: Counter[str] = Counter()
    heredocs: list[str] = []
    at = 0
    while (found := _SHELL.search(code, at)) is not None:
        at = found.end()
        if any(found[kind] == "" for kind in ("ansi", "single", "double")):
            return "a quote is not closed"
        if found["until"]:
            heredocs.append(found["until"])
        elif found["lines"] and heredocs:
            for until in heredocs:
                end = re.compile(rf"^\t*{re.escape(until)}$", re.MULTILINE).search(code, at)
                if end is None:
                    return ""
                at = end.end()
            heredocs = []
        counted[found["bracket"] or found["word"] or ""] += 1
    return next((f"{opened} without {closed}" for opened, closed in _PAIRS if counted[opened] > counted[closed]), "")


def _unclosed_in_sql(code: str, escapes: bool) -> str:
    """`escapes`: whether a backslash in a string is one, as in MySQL."""
    depth = at = 0
    while (found := _SQL.search(code, at)) is not None:
        at = found.end()
        if found["dollar"]:
            end = code.find(found["dollar"], at)
            at = at if end < 0 else end + len(found["dollar"])
        elif found["quote"]:
            closed = _QUOTED[found["quote"]][escapes].match(code, at)
            if closed is None:
                return "a quote is not closed"
            at = closed.end()
        elif found["commas"]:
            return "nothing between two commas"
        elif found["bracket"]:
            depth += 1 if found["bracket"] == "(" else -1
            if depth < 0:
                return ") without ("
    if depth:
        return "( without )"
    return "it breaks off" if _HANGING.search(code) is not None else ""
