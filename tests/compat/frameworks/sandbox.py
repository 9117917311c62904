"""Frameworks over the sandbox, with their real packages, in an environment of their own: plain, streamed, tools, typed answers.

    python -m venv DIRECTORY && DIRECTORY/bin/pip install "pydantic-ai-slim[openai,anthropic]"
    python -m tests.compat.frameworks.sandbox DIRECTORY pydantic_models.py

The others are installed by `llama-index-llms-openai-like llama-index-llms-anthropic "anthropic<1"` (llama_index_models.py), and by
`aider-chat` (aider_chat.py), each in an environment of its own. Exits with 1 and says what was not as it should be. Last tried:
pydantic-ai-slim 2.68.0 (with openai 3.57.0 and anthropic 2.14.0), llama-index-llms-openai 0.8.3, -openai-like 0.8.1 and -anthropic 0.12.3
(which needs anthropic 0.125.0, not the newest), aider-chat 0.86.2.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.served import OPERATOR, served

HERE = Path(__file__).parent
TIMEOUT_S = 120


def main() -> int:
    """Run scripts in the environment that is named; 1 where one fails."""
    environment, *scripts = sys.argv[1:]
    failed = 0
    with tempfile.TemporaryDirectory() as directory, served(Path(directory)) as arbiter:
        for name in scripts:
            script = HERE / name
            words = [str(Path(environment) / "bin" / "python"), str(script), arbiter.url, OPERATOR]
            done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
            print(f"{name}: {'good' if done.returncode == 0 else done.stdout + done.stderr}")
            failed |= done.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
