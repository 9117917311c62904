"""Servers that others wrote, with models of their own names, behind Arbiter."""
