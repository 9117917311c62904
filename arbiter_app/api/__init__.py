"""The HTTP surface under `/v1`, `/health`, `/readyz` and `/metrics`. Runs without the pages."""
