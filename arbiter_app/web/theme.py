"""The design tokens, in one place: colour in light and dark, one hue per task, space, type, radius.

`python -m arbiter_app.web.theme` writes them to `assets/styles/tokens.css`; charts read them from here.
Contrast: every ink and task colour reaches 4.5:1 on `bg` and `panel` of its theme (a test computes it).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from arbiter_app.web.tasks import LOOKS

LIGHT = {
    "bg": "#fafaf8",
    "panel": "#ffffff",
    "sunk": "#f4f3f0",
    "line": "#e3e2dd",
    "line2": "#eeede9",
    "ink": "#1a1a17",
    "ink2": "#54534d",
    "ink3": "#6b6a63",
    "accent": "#0b6e5f",
    "accent-bg": "#e4f2ee",
    "on-accent": "#ffffff",
    "bad": "#b42318",
    "bad-bg": "#fdecea",
    "warn": "#8a5a00",
    "warn-bg": "#fdf4e1",
    "track": "#e6e4de",
    **{task: look.light for task, look in LOOKS.items()},
}
DARK = {
    "bg": "#101110",
    "panel": "#171816",
    "sunk": "#1d1f1c",
    "line": "#2b2d29",
    "line2": "#222421",
    "ink": "#eeede8",
    "ink2": "#b3b1a9",
    "ink3": "#93918a",
    "accent": "#4cc2ab",
    "accent-bg": "#15302a",
    "on-accent": "#0b1512",
    "bad": "#ff8577",
    "bad-bg": "#341613",
    "warn": "#e3b341",
    "warn-bg": "#2e2410",
    "track": "#2d2f2b",
    **{task: look.dark for task, look in LOOKS.items()},
}
SERIES = ("#0f8472", "#5a7fd0", "#b3762a", "#9a6fd0", "#c2577f", "#7f8a3c", "#3f94a8", "#8a8780")
"""Colours for models in a chart: readable on both themes, the accent first, grey last for the rest."""

SHARED = {
    "r": "7px",
    "r-s": "4px",
    "mono": '"JetBrains Mono", ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace',
    "sans": 'Inter, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif',
    "t-xs": "11.5px",
    "t-s": "12.5px",
    "t-m": "14px",
    "t-l": "16px",
    "t-xl": "21px",
    "t-xxl": "32px",
    "s1": "4px",
    "s2": "8px",
    "s3": "12px",
    "s4": "16px",
    "s5": "24px",
    "s6": "40px",
    "s7": "72px",
}
OUTPUT = Path(__file__).resolve().parents[2] / "assets" / "styles" / "tokens.css"


def css() -> str:
    """The tokens as CSS variables, and a class for the hue of each task."""
    return (
        "/* Written by `python -m arbiter_app.web.theme`; change theme.py, not this file. */\n"
        + _block(":root", {"color-scheme": "light"}, SHARED | LIGHT)
        + _block(":root.dark", {"color-scheme": "dark"}, DARK)
        + "".join(f".t-{task} {{ --c: var(--{task}); }}\n" for task in LOOKS)
    )


def template(colours: dict[str, str]) -> dict[str, Any]:
    """The Plotly template of a theme: hairline grid, our type, no background of its own."""
    axis = {
        "gridcolor": colours["line2"],
        "linecolor": colours["line"],
        "zerolinecolor": colours["line"],
        "tickfont": {"size": 11, "color": colours["ink3"]},
        "title": {"font": {"size": 11.5, "color": colours["ink3"]}, "standoff": 8},
        "automargin": True,
    }
    hover = {"bgcolor": colours["panel"], "bordercolor": colours["line"], "font": {"color": colours["ink"], "size": 12}}
    return {
        "layout": {
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": SHARED["sans"], "size": 12, "color": colours["ink2"]},
            "colorway": list(SERIES),
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": hover,
            "legend": {"font": {"size": 11.5, "color": colours["ink2"]}},
            "annotationdefaults": {"font": {"size": 11, "color": colours["ink2"]}, "bgcolor": colours["panel"] + "b3"},
        }
    }


def _block(selector: str, plain: dict[str, str], variables: dict[str, str]) -> str:
    rules = [f"{name}: {value};" for name, value in plain.items()]
    rules += [f"--{name}: {value};" for name, value in variables.items()]
    return selector + " {\n  " + "\n  ".join(rules) + "\n}\n"


if __name__ == "__main__":
    OUTPUT.write_text(css())
