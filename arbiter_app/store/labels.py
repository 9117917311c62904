"""Labels of decisions, by which feeds are narrowed: project, runtime, end user and tags, each decision listed once for each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, Dialect, Insert, and_, bindparam, delete, func, insert, select, tuple_
from sqlalchemy.sql import literal_column

from arbiter_app.store.keys import DEFAULT_PROJECT
from arbiter_app.store.statements import Query, Statement
from arbiter_app.store.tables import ListedLabel, StoredDecision, table

USER_TAG = "user:"
"""What a tag begins with that names the end user."""
BETWEEN = "\n"
COLUMNS = {"end_user": "user", "runtime": "runtime", "project_id": "project"}
"""Columns of a decision that are labels -> what the label begins with. The narrowest first."""
UNLISTED = {"project_id": DEFAULT_PROJECT, "runtime": "", "end_user": ""}
"""What most decisions have is no label: among them it is found at once."""

_LABELS, _D = table(ListedLabel), table(StoredDecision).c
_IN_SLICE = and_(_D.seq > bindparam("after"), _D.seq <= bindparam("upto"))


def text_of(tags: Iterable[str]) -> str | None:
    """Tags as a decision has them in one column; None where there are none."""
    found = BETWEEN.join(tags)
    return BETWEEN + found + BETWEEN if found else None


def tags_in(text: str | None) -> list[str]:
    """The tags of such a column."""
    return text.strip(BETWEEN).split(BETWEEN) if text else []


def has_tag(column: Any, tag: str) -> ColumnElement[bool]:
    """Whether a column has a tag: as it is written, letter by letter."""
    found: ColumnElement[bool] = func.replace(column, BETWEEN + tag + BETWEEN, "") != column
    return found


def label(of: str, value: str) -> str:
    """The text of a label; `of` as in COLUMNS, or `tag`."""
    return f"{of}:{value}"


class LabelLister:
    """Lists a slice of decisions, inside the caller's transaction, which must be the only one that writes."""

    def __init__(self, dialect: Dialect) -> None:
        self._plain = [Query(dialect, _list(name)) for name in COLUMNS]
        self._tagged = Query(dialect, select(_D.seq, _D.tags).where(_IN_SLICE, _D.tags.is_not(None)))
        self._label = Statement(dialect, ListedLabel)

    def add(self, connection: Connection, after: int, upto: int) -> None:
        """The decisions behind `after` up to `upto`."""
        for one in self._plain:
            one.run(connection, after=after, upto=upto)
        tagged = self._tagged.run(connection, after=after, upto=upto)
        self._label.run(connection, sorted((label("tag", tag), seq) for seq, text in tagged for tag in tags_in(text)))


def unlist(connection: Connection, upto: int) -> None:
    """Take the decisions up to `upto` out; they go out of their table next."""
    for name, of in COLUMNS.items():
        gone = select(_begun(of) + _D[name], _D.seq).where(_D.seq <= upto)
        connection.execute(delete(_LABELS).where(tuple_(_LABELS.c.label, _LABELS.c.seq).in_(gone)))
    tagged = connection.execute(select(_D.seq, _D.tags).where(_D.seq <= upto, _D.tags.is_not(None))).all()
    for of_it in sorted({label("tag", tag) for _, text in tagged for tag in tags_in(text)}):
        connection.execute(delete(_LABELS).where(_LABELS.c.label == of_it, _LABELS.c.seq <= upto))


def _list(name: str) -> Insert:
    chosen = select(_begun(COLUMNS[name]) + _D[name], _D.seq).where(_IN_SLICE, _D[name] != UNLISTED[name])
    return insert(_LABELS).from_select(["label", "seq"], chosen.order_by(_D[name], _D.seq))


def _begun(of: str) -> ColumnElement[str]:
    return literal_column(f"'{of}:'", _D.project_id.type)
