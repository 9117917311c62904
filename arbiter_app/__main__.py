"""`python -m arbiter_app COMMAND`."""

import os
import sys

from arbiter_app.imports import importing

try:
    os.getcwd()
except OSError:
    sys.exit("arbiter: the directory that this was started in is gone; start from one that is there")

try:
    with importing():
        from arbiter_app.cli import main
except ModuleNotFoundError as error:
    if (error.name or "").startswith("arbiter_app"):
        raise
    sys.exit(
        f"arbiter: {error.name} is not installed for {sys.executable}; `make run` installs it for .venv/bin/python"
    )

sys.exit(main())
