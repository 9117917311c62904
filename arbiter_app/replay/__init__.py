"""Replay: the production policies over recorded traffic, offline. `python -m arbiter_app replay FILE`."""
