"""No rule of the stylesheet is for a class that nothing on the pages has."""

from __future__ import annotations

import re

from tests.browser import ROOT

MADE = re.compile(r"m-[a-z]+|t-[a-z]+|lvl-\d|nsewdrag|[a-z]{1,2}\d?")
"""Classes whose names are put together, or written by others: modes, tasks, levels of headings, Plotly's, and highlighted code's."""


def test_every_class_of_the_stylesheet_stands_in_a_page() -> None:
    sheet = re.sub(r"/\*.*?\*/", "", (ROOT / "assets" / "styles" / "arbiter.css").read_text(), flags=re.DOTALL)
    classes = {name for head in re.findall(r"([^{}]+)\{", sheet) for name in re.findall(r"\.([a-zA-Z][\w-]*)", head)}
    pages = [*(ROOT / "arbiter_app" / "web").rglob("*.py"), *(ROOT / "arbiter_app" / "web").rglob("*.html")]
    words = set(re.findall(r"[\w-]+", "".join(one.read_text() for one in (*pages, ROOT / "assets" / "arbiter.js"))))
    assert [name for name in sorted(classes - words) if not MADE.fullmatch(name)] == []
