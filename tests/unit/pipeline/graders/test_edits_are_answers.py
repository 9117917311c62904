"""An agent's edit of a file is an answer: what does not parse in it is no fault of the model's."""

from __future__ import annotations

from functools import partial

import pytest

from arbiter_app.pipeline.graders.edits import edit_format
from arbiter_app.pipeline.types import Task
from tests.clock import least_cpu_s
from tests.unit.pipeline.test_grade_what_the_answer_is import graded

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
    "a fence of a diff": "```diff\n- return 'hi\n+ return 'hello'\n```",
    "a fence of a patch": "app.py\n```patch\n def greet():\n-  return 'hi\n+  return 'hello'\n```",
    "dots and a comment": "```python\n... # unchanged\n    elif name:\n        return (\n```",
    "dots and a comment of JavaScript": "```javascript\n  ... // same as before\n  return (\n```",
    "keep": "```javascript\n// keep existing code\nfunction greet( {\n```",
    "leave as it is": "```python\n# Leave the rest as is\ndef greet(:\n```",
    "keep in brackets": "```javascript\n/* [keep all other handlers] */\nfunction greet( {\n```",
    "in brackets": "```python\n# [unchanged]\ndef greet(:\n```",
    "in angle brackets": "```typescript\n// <existing code>\ngreet( {\n```",
    "no changes": "```python\n# (no changes)\ndef greet(:\n```",
    "same as before": "```javascript\n// Same as before\ngreet( {\n```",
    "dots among arguments": "```python\nresult = greet(..., name\n```",
    "dots at the end of arguments": "```javascript\nconst result = greet(name, ...);\n```",
    "an edit tag": "<edit>\n<path>app.py</path>\n    return 'hello'\n</edit>",
    "Zed": "<edits>\n<old_text>\n    return 'hi\n</old_text>\n<new_text>\n    return 'hello'\n</new_text>\n</edits>",
    "Zed, one edit": "<old_text line=3>\n    return 'hi\n</old_text>\n<new_text>\n    return 'hello'\n</new_text>",
    "strings": "<old_string>return 'hi</old_string><new_string>return 'hello'</new_string>",
    "bolt": '<boltArtifact id="a" title="App"><boltAction type="file" filePath="app.py">\ndef greet(:\n</boltAction></boltArtifact>',
    "bolt, one action": '<boltAction type="file" filePath="app.py">\ndef greet():\n    return 1\n</boltAction>',
    "Dyad": '<dyad-write path="app.py">\ndef greet():\n    return 1\n</dyad-write>',
    "Lovable": '<lov-write file_path="app.py">\ndef greet():\n    return 1\n</lov-write>',
    "a file in XML": '<file path="app.py">\ndef greet():\n    return 1\n</file>',
    "search and replace in XML": "<search>\nreturn 'hi\n</search>\n<replace>\nreturn 'hello'\n</replace>",
}  # fmt: skip
PARTS = {
    "a method of TypeScript": "```typescript\nasync greet(name: string): Promise<string> {\n  return name;\n}\n```",
    "a private method": "```typescript\n  private greet(name: string) {\n    return name;\n  }\n\n  count = 0;\n```",
    "a method of JavaScript": "```javascript\ngreet(name) {\n  return name;\n}\n```",
    "a property": "```javascript\ngreet: (name) => name,\ncount: 0,\n```",
    "a method in a list": "```typescript\ngreet() {\n  return 'hello';\n},\n```",
    "a case": "```javascript\ncase 'greet':\n  return 'hello';\n```",
    "elements": "```jsx\n<p>hello</p>\n<p>you</p>\n```",
    "attributes": '```jsx\n  onClick={greet}\n  className="hello"\n```',
    "a branch": "```python\n    elif name:\n        return 'hello'\n```",
    "a branch at the margin": "```python\nelse:\n    return 'hello'\n```",
    "a handler": "```python\nexcept ValueError:\n    return 'hello'\n```",
    "a body and a branch": "```python\n        name = 'you'\n    elif name:\n        return 'hello'\n    return name\n```",
    "a case of Python": "```python\n    case 'greet':\n        return 'hello'\n```",
    "arguments": "```python\n    name='you',\n    greeting='hello',\n)\n```",
    "arms": "```rust\nSome(name) => greet(name),\nNone => {}\n```",
    "cases of Go": '```go\ncase "greet":\n\treturn name\n```',
}
CALLS = {
    "aider, whole files": "app.py\n```python\ndef greet():\n    return 'hello'\n```",
    "a whole file with a path": "**src/app.ts**\n\n```typescript\nexport const greet = () => 'hello'\n```",
    "a whole file in a heading": "Here it is:\n\n### `src/app.ts`\n```ts\nexport const greet = 1\n```",
    "a file in the fence": "```python:src/app.py\ndef greet():\n    return 'hello'\n```",
    "a tool in a fence": '```json\n{"tool": "edit", "path": "app.py", "content": "def greet():\n"}\n```',
    "a tool in a fence of its own": '```tool_code\n{"tool": "edit", "path": "app.py"}\n```',
    "a tool with its name": 'I edit.\n```\n{"tool_name": "edit", "input": {"path": "app.py"}}\n```\nDone.\n```\n{"a\n```',
    "a call with arguments": '```\n{"name": "edit", "arguments": {"path": "app.py", "text": "def\n"}}\n```',
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edit_is_never_graded_as_broken(edit: str) -> None:
    for task in (Task.CODE, Task.STRUCTURED):
        ask = ASK if task is Task.CODE else f"{ASK} as JSON"
        assert graded(task, ask, edit).quality in (None, 1.0)


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_a_part_of_a_file_need_not_parse_by_itself(part: str) -> None:
    assert graded(Task.CODE, ASK, part).quality in (None, 1.0)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("form", ["as JSON", "as a table", "as CSV"])
def test_files_and_calls_are_no_broken_documents(call: str, form: str) -> None:
    assert graded(Task.STRUCTURED, f"{ASK} {form}", call).quality in (None, 1.0)


BROKEN = [
    "```python\ndef greet(:\n```",
    "```javascript\nfunction ( {\n// greets the other person\n```",
    "app.py\n```python\ndef greet(:\n```",
    "```typescript\ngreet(name: string {\n  return name;\n}\n```",
    "```typescript\nclass A {\n  greet() {\n    return 'hello'\n}\n```",
    "```python\n# keep the same order\ndef greet(:\n```",
    "```python\n# existing users get a mail\nif greet(:\n    pass\n```",
    "```python\nelse if name:\n    return 'hello'\n```",
    "```javascript\nconst a = [...b, ...c;\n```",
    "```go\nfunc greet( {\n```",
]


@pytest.mark.parametrize("answer", BROKEN)
def test_broken_code_is_broken_all_the_same(answer: str) -> None:
    assert (graded(Task.CODE, ASK, answer).quality or 0.0) < 0.5
    assert graded(Task.CODE, ASK, answer).quality is not None


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        ("as JSON", '```json\n{"a": [1, 2\n```'),
        ("as JSON", 'data.json\n```json\n{"tools": [1, 2\n```'),
        ("as CSV", "a,b\n1\n"),
    ],
)
def test_broken_documents_are_broken_all_the_same(form: str, answer: str) -> None:
    assert (graded(Task.STRUCTURED, f"List them {form}", answer).quality or 0.0) < 0.5
    assert graded(Task.STRUCTURED, f"List them {form}", answer).quality is not None


def test_whole_code_counts_and_no_code_does_not() -> None:
    assert graded(Task.CODE, ASK, "```python\nprint(1)\n```").quality == 1.0
    assert graded(Task.CODE, ASK, "I cannot do that.").quality == 0.1


def test_formats_are_looked_for_in_linear_time() -> None:
    for text in (
        "# keep " * 9_000,
        "(..., " * 9_000,
        "\n<edit" * 9_000,
        "\n# [" * 20_000,
        "a.py\n\n" * 20_000,
        '{"name": "' * 9_000,
    ):
        assert least_cpu_s(partial(edit_format, text, document=True)) < 0.1
