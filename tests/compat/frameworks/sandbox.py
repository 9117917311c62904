"""Frameworks over the sandbox, with their real packages, in an environment of their own: plain, streamed, tools, typed answers.

    python -m venv DIRECTORY && DIRECTORY/bin/pip install "pydantic-ai-slim[openai,anthropic]"
    python -m tests.compat.frameworks.sandbox DIRECTORY

Exits with 1 and says what was not as it should be. Last tried: pydantic-ai-slim 2.68.0 (with openai 3.57.0 and anthropic 2.14.0).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.served import OPERATOR, served

HERE = Path(__file__).parent
SCRIPTS = ("pydantic_models.py",)
TIMEOUT_S = 120


def main() -> int:
    """Run each script in the environment that is named; 1 where one fails."""
    environment, failed = Path(sys.argv[1]), 0
    with tempfile.TemporaryDirectory() as directory, served(Path(directory)) as arbiter:
        for name in SCRIPTS:
            script = HERE / name
            words = [str(environment / "bin" / "python"), str(script), arbiter.url, OPERATOR]
            done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
            print(f"{name}: {'good' if done.returncode == 0 else done.stdout + done.stderr}")
            failed |= done.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
