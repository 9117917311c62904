"""`python -m tests.compat.servers.run URL KEY`: Arbiter in front of a server that others wrote, 300 requests plain and streamed.

Start one of them first, each in a virtual environment of its own:
    pip install 'litellm[proxy]==1.108.7'; litellm --config tests/compat/servers/litellm.yaml --port 4000     (key sk-compat)
    pip install llmock==0.2.2;            llmock serve --port 4001          (base URLs .../v1, .../together/v1, .../mistral/v1; any key)
    npm install @dwmkerr/mock-llm@0.1.29; PORT=4002 node_modules/.bin/mock-llm     (any key)

Says what `doctor` says, what `bench` says, and which models served; 1 if any request failed or a foreign model was asked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.served import OPERATOR, ROOT, served


def main(words: Sequence[str]) -> int:
    """Run it; the exit code."""
    url, key = words
    good = True
    with tempfile.TemporaryDirectory() as where:
        own = {"BTL_BASE_URL": url, "GATEWAY_API_KEY": key, "ARBITER_CACHE": "false"}
        environ = {**os.environ, **own, "ARBITER_DB": f"{where}/arbiter.db", "ARBITER_PORT": "0"}
        subprocess.run([sys.executable, "-m", "arbiter_app", "doctor"], cwd=ROOT, env=environ, check=False)
        with served(Path(where), **own) as one:
            for share in ("0", "1"):
                log = Path(where) / f"{share}.jsonl"
                words = ["--url", one.url, "--key", OPERATOR, "--n", "300", "--stream-share", share, "--log", str(log)]
                done = subprocess.run([sys.executable, "-m", "arbiter_app.bench.run", *words], cwd=ROOT, check=False)
                rows = [json.loads(line) for line in log.read_text().splitlines()]
                statuses = Counter(row["status"] for row in rows)
                models = Counter(row["arbiter"].get("model") for row in rows)
                failed = Counter(name for row in rows for name in row["arbiter"].get("failover_from") or ())
                print(
                    f"stream share {share}: {dict(statuses)}, served by {dict(models)}, failed over from {dict(failed)}"
                )
                good &= done.returncode == 0 and set(statuses) == {200} and not failed
            print(one.output.read_text()[-3000:])
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
