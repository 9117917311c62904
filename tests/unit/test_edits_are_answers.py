"""An agent's edit of a file is an answer: what does not parse in it is no fault of the model's."""

from __future__ import annotations

import pytest

from arbiter_app.pipeline.types import Task
from tests.unit.test_grade_what_the_answer_is import graded

ASK = "Fix the bug in greet() of app.py and give me the code"
EDITS = {
    "aider": "app.py\n```python\n<<<<<<< SEARCH\n    return 'hi\n=======\n    return 'hello'\n>>>>>>> REPLACE\n```",
    "aider, a bare half": "app.py\n<<<<<<< SEARCH\n)\n=======\n    x)\n>>>>>>> REPLACE",
    "older aider": "```python\n<<<<<<< ORIGINAL\n  a(\n=======\n  b(\n>>>>>>> UPDATED\n```",
    "Cline": "<replace_in_file>\n<path>app.py</path>\n<diff>\n------- SEARCH\n a(\n=======\n b(\n+++++++ REPLACE\n</diff>\n</replace_in_file>",
    "Roo": "<apply_diff><path>app.py</path><diff>\n<<<<<<< SEARCH\n:start_line:1\n-------\n a(\n=======\n b(\n>>>>>>> REPLACE\n</diff></apply_diff>",
    "a whole file in XML": "<write_to_file>\n<path>app.py</path>\n<content>\ndef greet():\n</content>\n</write_to_file>",
    "Codex": "```\n*** Begin Patch\n*** Update File: app.py\n@@ def greet():\n-    return 'hi\n+    return 'hello'\n*** End Patch\n```",
    "udiff": "```python\n--- app.py\n+++ app.py\n@@ -1,2 +1,2 @@\n def greet():\n-    return 'hi\n+    return 'hello'\n```",
    "git": "```js\ndiff --git a/a.js b/a.js\n@@ -1 +1 @@\n-a(\n+b(\n```",
    "conflict": "```js\n<<<<<<< ours\na(\n=======\nb(\n>>>>>>> theirs\n```",
    "Cursor": "```typescript\n// ... existing code ...\n  greet() {\n    return 'hello'\n  },\n// ... existing code ...\n```",
    "Continue": "```python\n# ... rest of code remains the same ...\n    elif name:\n        return 'hello'\n```",
    "rest": "```javascript\nfunction greet() {\n  return 'hello'\n// rest of the file\n```",
    "dots": "```javascript\nfunction greet() {\n  ...\n}\nclass A { constructor( }\n```",
    "HTML": "```javascript\n<!-- ... existing markup, unchanged ... -->\nreturn (\n```",
    "XML tool call": '<function=edit>\n<parameter=path>app.py</parameter>\n</function>',
    "tool call": '<tool_call>\n{"name": "edit", "arguments": {"path": "app.py"}}\n</tool_call>',
    "brackets": 'Sure. [TOOL_CALLS][{"name": "edit", "arguments": {}}]',
    "notebook": '```python\n{"cells": [{"cell_type": "code", "source": ["def greet(:"]}]}\n```',
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edit_is_never_graded_as_broken(edit: str) -> None:
    for task in (Task.CODE, Task.STRUCTURED):
        ask = ASK if task is Task.CODE else f"{ASK} as JSON"
        assert graded(task, ask, edit).quality in (None, 1.0)


def test_broken_code_is_broken_all_the_same() -> None:
    for answer in ("```python\ndef greet(:\n```", "```javascript\nfunction ( {\n// greets the other person\n```"):
        assert (graded(Task.CODE, ASK, answer).quality or 0.0) < 0.5
    assert graded(Task.CODE, ASK, "```python\nprint(1)\n```").quality == 1.0
    assert graded(Task.CODE, ASK, "I cannot do that.").quality == 0.1
