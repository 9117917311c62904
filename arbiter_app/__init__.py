"""Arbiter: a self-hosted, OpenAI-compatible router that picks the cheapest model that is still good enough."""

__version__ = "0.2.0"
