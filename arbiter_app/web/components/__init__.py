"""Reusable parts of pages, built from the design system."""
