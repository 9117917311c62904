"""A realistic workload against a running Arbiter, over real HTTP, and what came of it."""
