"""Is an answer an edit of a file, in the format of some agent? Then what does not parse in it may be right all the same.

An edit shows parts of files between marks, so that it is neither a program nor a document: aider (search and replace
blocks, diffs, whole files), Cline and Roo, Codex patches, git's conflict marks, lazy edits that leave out what stays, tool
calls written as XML or in brackets, cells of notebooks.
"""

from __future__ import annotations

import re

MAX_CHARS = 200_000

_LEFT_OUT = r"(?:existing|rest|remain\w*|unchanged|unmodified|other|same|previous|before|above|below|omitted|skipped|code|imports?)"
_FORMATS = tuple(
    (name, re.compile(pattern, re.MULTILINE | re.IGNORECASE))
    for name, pattern in (
        ("search and replace blocks", r"^[ \t]*(?:<{5,9}|-{5,9}|>{5,9}|\+{5,9}) ?(?:SEARCH|ORIGINAL|REPLACE|UPDATED|HEAD)\b"),
        ("conflict marks", r"^<{7}(?: \S.{0,200})?$"),
        ("a patch", r"^\*\*\* (?:Begin Patch|Update File|Add File|Delete File|End Patch)\b"),
        ("a diff", r"^@@(?: .{0,200})?$|^diff --git |^--- \S.{0,300}\n\+\+\+ \S"),
        ("a lazy edit", rf"^[ \t]*(?://|#|--|/\*|<!--|\{{/\*|;|%|\"\"\")[^\n]{{0,80}}?(?:\.\.\.|\u2026)[^\n]{{0,80}}?\b{_LEFT_OUT}\b"),
        ("a lazy edit", rf"^[ \t]*(?://|#|--|/\*|<!--|\{{/\*|;|%)[^\n]{{0,40}}\b{_LEFT_OUT}\b[^\n]{{0,60}}(?:\.\.\.|\u2026)"),
        ("a lazy edit", r"^[ \t]*(?://|#|--|/\*|<!--|;|%)\s?(?:the )?rest (?:of|remains|stays|is)\b"),
        ("a lazy edit", r"^[ \t]*(?://|#|--|/\*|<!--|\{/\*)?\s?(?:\.\.\.|\u2026)\s?(?:\*/\}?|-->)?[ \t]*$"),
        ("a tool call in the text", r"<(?:tool_call|tool_use|function_calls?|function=|invoke[ >]|parameter=)|\[TOOL_CALLS?\]|<\|tool_call"),
        (
            "a tool call in the text",
            r"</?(?:replace_in_file|write_to_file|apply_diff|apply_patch|search_and_replace|insert_content|edit_file|create_file"
            r"|str_replace\w*|read_file|execute_command|attempt_completion|ask_followup_question|new_task|update_todo_list)\b",
        ),
        ("cells of a notebook", r"\"cell_type\"\s*:"),
    )
)  # fmt: skip


def edit_format(answer: str) -> str:
    """The format of edits that an answer is written in; empty when it is written in none. Reads `MAX_CHARS` of it."""
    head = answer[:MAX_CHARS]
    return next((name for name, pattern in _FORMATS if pattern.search(head) is not None), "")
