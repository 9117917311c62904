"""Which models there are to route to: the catalog, held against what the runtime lists, completed from a price list."""
