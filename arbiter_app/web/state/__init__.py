"""State classes: what a tab shows and what it may ask for. Every public method is an endpoint; see `web/__init__`."""
