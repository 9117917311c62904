"""Frameworks that are too big for the suite, each over the sandbox with its real package."""
