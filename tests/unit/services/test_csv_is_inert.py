"""A cell that somebody else wrote is shown by a spreadsheet, and never run."""

from __future__ import annotations

import csv
import io

import pytest

from arbiter_app.services.csv_text import as_csv


@pytest.mark.parametrize(
    "cell",
    [
        *("=1+1", "+cmd|' /c calc'!A0", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", "  =1", "\u00a0=1"),
        *("\uff1d1", "\uff0bA1", "\uff0dA1", "\uff20SUM(1)", "\u3000\uff1d1", '=HYPERLINK("http://x")', "=1;=2"),
    ],
)
def test_what_begins_a_formula_stands_behind_an_apostrophe(cell: str) -> None:
    assert next(csv.reader(io.StringIO(as_csv(None, [[cell]]), newline=""))) == ["'" + cell]


@pytest.mark.parametrize("cell", ["", "-1", "+1.5", "-1e-07", "a=1", "'=1", "1", " ", "\u5927"])
def test_numbers_and_words_stay_as_they_are(cell: str) -> None:
    assert next(csv.reader(io.StringIO(as_csv(None, [[cell, "x"]]), newline=""))) == [cell, "x"]
