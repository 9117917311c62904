"""Is an answer an edit of a file, in the format of some agent? Then what does not parse in it may be right all the same.

An edit shows parts of files between marks, so that it is neither a program nor a document: aider (search and replace
blocks, diffs, whole files), Cline and Roo, Codex patches, Zed, bolt and its kin, git's conflict marks, lazy edits that
leave out what stays, tool calls written as XML, as JSON or in brackets, cells of notebooks.
"""

from __future__ import annotations

import re
from itertools import chain

MAX_CHARS = 200_000

_COMMENT = r"^[ \t]*(?://|#|--|/\*|<!--|\{/\*|;|%)"
_LEFT_OUT = r"(?:existing|rest|remain\w*|unchanged|unmodified|other|same|previous|before|above|below|omitted|skipped|code|imports?)"
_DOTS = r"(?:\.\.\.|\u2026)"
_FILE = r"(?:[\w.@~-]{1,99}/){0,20}[\w.@-]{1,99}\.(?!(?:json|jsonl|ya?ml|csv|tsv|xml|toml|md|txt)\b)[a-z]\w{0,9}"


def _compiled(*formats: tuple[str, str]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((name, re.compile(pattern, re.MULTILINE | re.IGNORECASE)) for name, pattern in formats)


_FORMATS = _compiled(
    ("search and replace blocks", r"^[ \t]*(?:<{5,9}|-{5,9}|>{5,9}|\+{5,9}) ?(?:SEARCH|ORIGINAL|REPLACE|UPDATED|HEAD)\b"),
    ("conflict marks", r"^<{7}(?: \S.{0,200})?$"),
    ("a patch", r"^\*\*\* (?:Begin Patch|Update File|Add File|Delete File|End Patch)\b"),
    ("a diff", r"^@@(?: .{0,200})?$|^diff --git |^--- \S.{0,300}\n\+\+\+ \S|^[ \t]*```(?:diff|patch)\b"),
    ("a lazy edit", rf"(?:{_COMMENT}|^[ \t]*\"\"\")[^\n]{{0,80}}?{_DOTS}[^\n]{{0,80}}?\b{_LEFT_OUT}\b"),
    ("a lazy edit", rf"{_COMMENT}[^\n]{{0,40}}\b{_LEFT_OUT}\b[^\n]{{0,60}}{_DOTS}"),
    ("a lazy edit", rf"{_COMMENT}\s?(?:the )?rest (?:of|remains|stays|is)\b"),
    (
        "a lazy edit",
        rf"{_COMMENT}\s?[\[(<{{]?(?:keep|leave|preserve|retain) (?:\w{{1,20}} ){{0,3}}"
        r"(?:existing|rest|remaining|unchanged|previous|original|other|as is|as it is)\b",
    ),
    (
        "a lazy edit",
        rf"{_COMMENT}\s?[\[(<{{]?(?:unchanged|unmodified|no changes?|(?:same )?as (?:before|above)|snip(?:ped)?|omitted"
        r"|(?:existing|other|previous|remaining) (?:code|imports?|methods?|functions?|logic|content|implementation|props))"
        r"\b[^\n\w]{0,9}(?:here|for brevity)?[^\n\w]{0,9}$",
    ),
    ("a lazy edit", rf"^[ \t]*(?://|#|--|/\*|<!--|\{{/\*)?\s?{_DOTS}\s?(?:\*/\}}?|-->)?[ \t]*$"),
    ("a lazy edit", rf"^[ \t]*{_DOTS}[ \t]*(?:#|//|/\*|--)"),
    ("a lazy edit", rf"[(,][ \t]*{_DOTS}[ \t]*[,)]"),
    ("a tool call in the text", r"<(?:tool_call|tool_use|function_calls?|function=|invoke[ >]|parameter=)|\[TOOL_CALLS?\]|<\|tool_call"),
    (
        "a tool call in the text",
        r"</?(?:replace_in_file|write_to_file|apply_diff|apply_patch|search_and_replace|insert_content|edit_file|create_file"
        r"|str_replace\w*|read_file|execute_command|attempt_completion|ask_followup_question|new_task|update_todo_list)\b",
    ),
    (
        "an edit in tags",
        r"</?(?:edits?|(?:old|new)_(?:text|str|string|code)|replace|boltaction|boltartifact|antartifact|codeproject|dyad-\w{2,20}"
        r"|lov-\w{2,20})[ >]|<file (?:path|name)=",
    ),
    ("cells of a notebook", r"\"cell_type\"\s*:"),
)  # fmt: skip
_INSTEAD_OF_A_DOCUMENT = _compiled(
    ("whole files", rf"^[ \t]*(?:[#>*-]{{1,6}} )?[`*]{{0,3}}{_FILE}[`*:]{{0,4}}[ \t]*\n{{1,2}}[ \t]*```"),
    ("whole files", rf"^[ \t]*```\w{{0,20}}[: ]{_FILE}[ \t]*$"),
    ("a tool call in the text", r"\{\s{0,20}\"(?:tool|tool_?name|tool_calls?|recipient_name)\"\s{0,9}:"),
    (
        "a tool call in the text",
        r"\"name\"\s{0,9}:\s{0,9}\"[\w.:-]{1,80}\"\s{0,9},\s{0,9}\"(?:arguments|parameters|input|args)\"\s{0,9}:",
    ),
)


def edit_format(answer: str, *, document: bool = False) -> str:
    """The format of edits that an answer is written in; empty when it is written in none. Reads `MAX_CHARS` of it.

    `document`: a document was asked for, so that whole files of code and calls of tools are no faulty answers either.
    """
    head = answer[:MAX_CHARS]
    formats = chain(_FORMATS, _INSTEAD_OF_A_DOCUMENT if document else ())
    return next((name for name, pattern in formats if pattern.search(head) is not None), "")
