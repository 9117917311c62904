"""Shell and SQL in any dialect, as answers write them: right or unknown, and wrong only where something is never closed."""

from __future__ import annotations

import time

import pytest

from arbiter_app.pipeline.graders.code import grade_code
from arbiter_app.pipeline.graders.unclosed import unclosed

SHELL = [
    "$ cd /tmp\n$ echo it's\nit's (1\n",
    "user@host:~$ ls\nfile.txt\n",
    "[root@web1 ~]# cat a\nI don't\n",
    "(venv) $ pip install x\n",
    "\u276f ls\na (b\n",
    "PS C:\\Users\\me> dir\n",
    "git clone <repo-url>\nkubectl logs <pod> -n <namespace>\n",
    "npm install\n...\nnpm test\n",
    "cd project && ...\n",
    "cat <<A; cat <<B\na's\nA\n(b\nB\n",
    "cat <<'EOF' > a\nit's ( `\nEOF\n",
    "cat <<EOF\nit's cut\n",
    "exec 3<>/dev/tcp/h/80\necho >&3\n",
    "shopt -s extglob\nrm !(*.txt)\n",
    "for f in **/*.txt(.); do echo $f; done\n",
    "for f in *.txt\n  if test -f $f\n    echo it\n  end\nend\n",
    "for i do echo \"$i\"; done\nls <>x\n",
    ": <<=cut\nit's (\n=cut\nls <>x\n",
    "x=\"$(echo \"a\" | sed 's/\\\"//g')\"\nls <>x\n",
    "case $x in a) echo;& b) ;; esac\nls <>x # it's\n",
]  # fmt: skip
SQL = [
    "SELECT `id` FROM `db`.`users` LIMIT 5, 10;",
    "SELECT TOP 10 * FROM [dbo].[Users] WITH (NOLOCK) ORDER BY 1;",
    "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = EXCLUDED.b RETURNING *;",
    "CREATE TABLE u (id INT IDENTITY(1,1) PRIMARY KEY, n NVARCHAR(MAX));",
    "DELIMITER //\nCREATE TRIGGER t BEFORE INSERT ON u FOR EACH ROW BEGIN SET NEW.a = 1; END //\nDELIMITER ;",
    "\\c mydb\n\\d users\nSELECT 1;",
    ".mode column\n.headers on\nSELECT * FROM t;",
    "postgres=# SELECT 'it';\n ?column? \n it's\n(1 row)",
    "mysql> SELECT 1;\n| it's |",
    "sqlite> .tables\nit's",
    "SELECT ... FROM t WHERE ...;",
    "SELECT a FROM {{ ref('x') }} {% if a %} WHERE b {% endif %}",
    "SELECT * FROM t WHERE a = :id AND b = ? AND c = $1 AND e = %s AND f = @x;",
    "SELECT 'it\\'s (' FROM t USE INDEX (i);",
    "SELECT 'C:\\' FROM t FOR UPDATE SKIP LOCKED;",
    "DO $$ BEGIN RAISE NOTICE 'it(s'; END $$;",
    "EXPLAIN (ANALYZE, BUFFERS) SELECT 1; -- it's (",
    "SELECT * FROM t # it's mysql (\nWHERE a = 1 STRAIGHT_JOIN;",
    "/* it's ( */ PRAGMA foreign_keys = ON;",
    "SET IDENTITY_INSERT t ON\nGO",
    "LEFT JOIN s ON s.id = t.id",
    "id INT PRIMARY KEY,\nname TEXT,",
    "SELECT * EXCEPT(a), STRUCT(1 AS x), FROM `p.d.t`;",
]  # fmt: skip


@pytest.mark.parametrize("code", SHELL)
def test_sound_shell_is_never_graded_down(code: str) -> None:
    for language in ("bash", "sh", "shell", "zsh"):
        assert grade_code("Write a command", f"Do:\n\n```{language}\n{code}```").quality in (None, 1.0)


@pytest.mark.parametrize("code", SQL)
def test_sound_sql_is_never_graded_down(code: str) -> None:
    for language in ("sql", "postgresql", "mysql"):
        assert grade_code("Write a query", f"Do:\n\n```{language}\n{code}\n```").quality in (None, 1.0)


@pytest.mark.parametrize(
    ("language", "code", "why"),
    [
        ("bash", "if [ 1 ]; then echo", "if without fi"),
        ("bash", 'echo "unclosed', "a quote is not closed"),
        ("bash", "echo 'unclosed", "a quote is not closed"),
        ("bash", "for i in 1 2; do echo $i", "do without done"),
        ("bash", "case x in a) b;;", "case without esac"),
        ("bash", "foo() {\n  echo", "{ without }"),
        ("bash", "echo $(ls", "( without )"),
        ("sql", "SELECT COUNT((* FROM t;", "( without )"),
        ("sql", "SELECT a) FROM t;", ") without ("),
        ("sql", "SELECT a,, b FROM t", "nothing between two commas"),
        ("sql", "SELECT 'abc FROM t", "a quote is not closed"),
        ("sql", "SELECT a FROM t WHERE", "it breaks off"),
    ],
)
def test_what_no_dialect_allows_is_named(language: str, code: str, why: str) -> None:
    grade = grade_code("Write it", f"```{language}\n{code}\n```")
    assert grade.quality == 0.0 and why in grade.reason


@pytest.mark.parametrize(
    "text", ["'", '"', "<<A\n", "/*", "$a$", "$$", "(", "\\", "# ", ",", "if ", "user@", "$'", "<<'", "a`"]
)
@pytest.mark.parametrize("language", ["bash", "sql"])
def test_hostile_code_is_looked_at_in_little_time(language: str, text: str) -> None:
    started = time.thread_time()
    unclosed(language, (text * 9_000)[:9_000])
    unclosed(language, text + "x" * 9_000)
    assert time.thread_time() - started < 0.2


PYTHON = "```python\ndef f(a):\n    return a\n```\n"


@pytest.mark.parametrize(
    "beside",
    [
        "Output:\n\n```\nHello, world!\n```",
        "Run it:\n\n```\npip install foo\npython a.py\n```",
        "```\nTraceback (most recent call last):\nValueError: it's\n```",
    ],
)
def test_what_stands_beside_named_code_without_a_name_is_not_graded_as_code(beside: str) -> None:
    for answer in (PYTHON + beside, beside + "\n\n" + PYTHON, (PYTHON + beside).replace("python\ndef", "\ndef")):
        assert grade_code("Write a Python function", answer).quality == 1.0, answer


def test_code_without_a_name_is_graded_where_it_stands_alone() -> None:
    assert grade_code("Write a Python function", "```\ndef f(:\n```").quality == 0.0
    assert grade_code("Write a Python function", "```\ndef f(:\n```\n```\nx = (\n```").quality == 0.0
