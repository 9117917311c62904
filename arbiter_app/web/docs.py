"""The documentation: Markdown files of the package, rendered once, with a table of contents and a search index."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

CONTENT = Path(__file__).parent / "content"
ORDER = [
    "overview",
    "quick-start",
    "integration",
    "architecture",
    "strategies",
    "api-reference",
    "configuration",
    "operations",
    "deployment",
    "security",
    "decisions",
    "glossary",
]
MAX_HITS = 12
WIDE = 5
"""Tables with so many columns scroll by themselves."""


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a page under one heading, as searchable text."""

    anchor: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Doc:
    """One page. `contents` are (level, anchor, title) of its second and third level headings."""

    slug: str
    title: str
    html: str
    contents: tuple[tuple[int, str, str], ...]
    sections: tuple[Section, ...]

    @property
    def path(self) -> str:
        """Where the page lives."""
        return "/docs" if self.slug == ORDER[0] else f"/docs/{self.slug}"


@cache
def docs(folder: Path = CONTENT) -> tuple[Doc, ...]:
    """Every page of the folder: the known ones in reading order, others after them by name."""
    files = {path.stem: path for path in sorted(folder.glob("*.md"))}
    slugs = [slug for slug in ORDER if slug in files] + [slug for slug in files if slug not in ORDER]
    pages = tuple(render(slug, files[slug].read_text()) for slug in slugs)
    places = _places(pages)
    return tuple(replace(one, html=_linked(one, places)) for one in pages)


def _places(pages: Sequence[Doc]) -> dict[str, str]:
    """Where a title leads to: those of pages, and headings that only one page has."""
    headings = Counter(title for one in pages for _, _, title in one.contents)
    found = {title: f"{one.path}#{at}" for one in pages for _, at, title in one.contents if headings[title] == 1}
    return found | {one.title: one.path for one in pages}


def _linked(page: Doc, places: Mapping[str, str]) -> str:
    """The page with links where it names a page or a heading in italics; itself it does not link."""

    def link(named: re.Match[str]) -> str:
        to = places.get(html.unescape(named[1]), page.path)
        return named[0] if to == page.path else f'<a href="{to}">{named[0]}</a>'

    return re.sub(r"<em>([^<]+)</em>", link, page.html)


def render(slug: str, source: str) -> Doc:
    """Render one Markdown text. HTML in it is shown, not obeyed."""
    parser = MarkdownIt("commonmark", {"html": False, "highlight": _highlight}).enable(["table", "strikethrough"])
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("code_inline", _code)
    parser.add_render_rule("table_open", _table)
    parser.add_render_rule("table_close", _table_end)
    tokens = parser.parse(source)
    contents: list[tuple[int, str, str]] = []
    sections: list[Section] = []
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            words = tokens[place + 1].content.replace("`", "")
            anchor, level = anchor_of(words), int(token.tag[1])
            token.attrSet("id", anchor)
            sections.append(Section(anchor if level > 1 else "", words, ""))
            if level in (2, 3):
                contents.append((level, anchor, words))
        elif token.content and sections and (place == 0 or tokens[place - 1].type != "heading_open"):
            last = sections[-1]
            sections[-1] = Section(last.anchor, last.title, f"{last.text} {token.content}")
    title = sections[0].title if sections else slug
    return Doc(slug, title, parser.renderer.render(tokens, parser.options, {}), tuple(contents), tuple(sections))


def anchor_of(words: str) -> str:
    """The id of a heading."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def search(query: str, folder: Path = CONTENT) -> list[dict[str, str]]:
    """Sections that hold every word of the query, best first: words in titles count for more."""
    words = [word for word in query.lower().split() if word][:8]
    if not words:
        return []
    found = [(score, doc, one) for doc in docs(folder) for one in doc.sections if (score := _score(one, words))]
    found.sort(key=lambda hit: -hit[0])
    return [
        {
            "title": one.title if one.title == doc.title else f"{doc.title} · {one.title}",
            "href": doc.path + (f"#{one.anchor}" if one.anchor else ""),
            "excerpt": excerpt(one.text, words[0]),
        }
        for _, doc, one in found[:MAX_HITS]
    ]


def _score(section: Section, words: list[str]) -> int:
    title, text = section.title.lower(), section.text.lower()
    if not all(word in title or word in text for word in words):
        return 0
    return sum(20 * (word in title) + min(5, text.count(word)) for word in words)


def excerpt(text: str, word: str, width: int = 120) -> str:
    """A stretch of plain text around a word."""
    plain = re.sub(r"\s+", " ", re.sub(r"[`*_|\[\]]", "", text)).strip()
    at = max(0, plain.lower().find(word) - width // 3)
    return ("…" if at else "") + plain[at : at + width] + ("…" if at + width < len(plain) else "")


def _highlight(code: str, language: str, _: str) -> str:
    try:
        lexer = get_lexer_by_name(language) if language else None
    except ClassNotFound:
        lexer = None
    return highlight(code, lexer, HtmlFormatter(nowrap=True)) if lexer else html.escape(code)


def _code(self: Any, tokens: Any, place: int, options: Any, env: Any) -> str:
    """Code within a line. Names of settings may break behind their joints, which narrow columns need."""
    broken = re.sub(r"_(?=[A-Z])", "_<wbr>", html.escape(tokens[place].content))
    return f"<code>{broken}</code>"


def _is_wide(tokens: Any, place: int) -> bool:
    """Whether the table that begins or ends here has more columns than a phone has room for."""
    step = 1 if tokens[place].type == "table_open" else -1
    columns = 0
    while tokens[place].type != ("tr_close" if step > 0 else "tr_open"):
        columns += tokens[place].type in ("th_open", "td_open")
        place += step
    return columns >= WIDE


def _table(self: Any, tokens: Any, place: int, options: Any, env: Any) -> str:
    return '<div class="scroll" tabindex="0"><table>\n' if _is_wide(tokens, place) else "<table>\n"


def _table_end(self: Any, tokens: Any, place: int, options: Any, env: Any) -> str:
    return "</table></div>\n" if _is_wide(tokens, place) else "</table>\n"


def _fence(self: Any, tokens: Any, place: int, options: Any, env: Any) -> str:
    token = tokens[place]
    body = _highlight(token.content, token.info.strip().split(" ")[0], "")
    button = '<button type="button" class="copy" data-copy="" aria-label="Copy this code"></button>'
    return f'<div class="code"><pre tabindex="0"><code>{body}</code></pre>{button}</div>\n'
