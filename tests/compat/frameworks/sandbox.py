"""Frameworks over the sandbox, with their real packages, in an environment of their own: plain, streamed, tools, typed answers.

    python -m venv DIRECTORY && DIRECTORY/bin/pip install langchain-anthropic "pydantic-ai-slim[openai,anthropic]"
    npm install --prefix DIRECTORY ai @ai-sdk/openai @ai-sdk/anthropic @anthropic-ai/sdk zod
    python -m tests.compat.frameworks.sandbox DIRECTORY

Exits with 1 and says what was not as it should be. Last tried: langchain-anthropic 1.7.10, pydantic-ai-slim 2.68.0 (with openai 3.57.0
and anthropic 2.14.0), ai 6.0.326 with @ai-sdk/openai 3.0.141 and @ai-sdk/anthropic 3.0.140, @anthropic-ai/sdk 1.14.0.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.browser import NODE
from tests.served import OPERATOR, served

HERE = Path(__file__).parent
SCRIPTS = ("langchain_messages.py", "pydantic_models.py", "vercel_and_anthropic.mjs")
TIMEOUT_S = 120


def main() -> int:
    """Run each script in the environment that is named; 1 where one fails."""
    environment, failed = Path(sys.argv[1]), 0
    with tempfile.TemporaryDirectory() as directory, served(Path(directory)) as arbiter:
        for name in SCRIPTS:
            script = HERE / name
            if script.suffix == ".mjs":  # its imports are looked for beside it
                script = Path(shutil.copy(script, environment / name))
            program = NODE if script.suffix == ".mjs" else environment / "bin" / "python"
            words = [str(program), str(script), arbiter.url, OPERATOR]
            done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
            print(f"{name}: {'good' if done.returncode == 0 else done.stdout + done.stderr}")
            failed |= done.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
