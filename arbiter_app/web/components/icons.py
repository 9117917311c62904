"""Line icons on a 16 px grid, drawn for this app."""

from __future__ import annotations

import reflex as rx

PATHS = {
    "overview": "M2 13.5V9m4 4.5v-9m4 9V7m4 6.5V3",
    "playground": "M3 3.5h10v7H8l-3 2.5v-2.5H3z",
    "activity": "M1.5 8.5h3l2-5 3 9 2-4h3",
    "models": "M8 1.8 14 5 8 8.2 2 5zM2.4 8 8 11l5.6-3M2.4 11 8 14l5.6-3",
    "spend": "M8 1.8v12.4M11 5C10.5 3.6 9.3 3 8 3 6.3 3 5 4 5 5.4 5 8.5 11 7 11 10.3 11 11.9 9.7 13 8 13c-1.4 0-2.6-.7-3-2",
    "hosts": "M2.5 2.5h11v4h-11zM2.5 9.5h11v4h-11zM5 4.5h.1M5 11.5h.1M8 4.5h3M8 11.5h3",
    "team": "M6 7.5a2.3 2.3 0 1 0 0-4.6 2.3 2.3 0 0 0 0 4.6zM2 13.5C2 11 3.8 9.5 6 9.5s4 1.5 4 4M10.5 3.3a2.2 2.2 0 0 1 0 4.1M12 9.7c1.4.6 2.2 1.9 2.2 3.8",
    "notifications": "M4 11V7.2a4 4 0 0 1 8 0V11l1.3 1.5H2.7zM6.8 14.3h2.4M8 3.2V1.8",
    "key": "M10.5 2a3.5 3.5 0 1 1-3.2 4.9L2 12.2V14h3v-1.7h1.7v-1.7h1.5l.9-.9",
    "integration": "M6 4 2 8l4 4m4-8 4 4-4 4",
    "demo": "M2 12.5 6 8l3 2.5L14 3.5m0 0h-3.4m3.4 0V7",
    "docs": "M3 2.5h7l3 3v8H3zM10 2.5v3h3M5.5 8h5m-5 2.7h5",
    "sun": "M8 5a3 3 0 1 1 0 6 3 3 0 0 1 0-6zm0-3.8v1.3m0 11v1.3M1.2 8h1.3m11 0h1.3M3.2 3.2l.9.9m7.8 7.8.9.9m0-9.6-.9.9m-7.8 7.8-.9.9",
    "moon": "M13.5 9.6A5.8 5.8 0 0 1 6.4 2.5a5.8 5.8 0 1 0 7.1 7.1z",
    "up": "M5 7.5 7.8 2c1 0 1.6.8 1.4 1.9L8.8 6H13l-1 7H5zM5 7.5H2.5V13H5",
    "down": "M5 8.5 7.8 14c1 0 1.6-.8 1.4-1.9L8.8 10H13l-1-7H5zM5 8.5H2.5V3H5",
    "close": "M4 4l8 8m0-8-8 8",
}


def icon(name: str) -> rx.Component:
    """The icon `name`, in the colour of its text; hidden from screen readers."""
    return rx.el.svg(
        rx.el.path(d=PATHS[name]),
        view_box="0 0 16 16",
        fill="none",
        stroke="currentColor",
        stroke_width="1.4",
        stroke_linecap="round",
        stroke_linejoin="round",
        aria_hidden="true",
    )
