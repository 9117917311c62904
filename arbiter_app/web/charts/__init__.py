"""Charts as pure functions, one file each: typed rows in, a Plotly figure (its JSON form) out. Axes carry their unit.

Colours of series come from `theme.SERIES` and are readable on both themes; axes, grid and text are coloured by the
template of the theme that the visitor sees, so a figure is sent once for both.
"""
