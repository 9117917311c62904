"""Coding agents against a running Arbiter: scripts to be run by hand, because the programs are too big for the suite."""
