"""`python -m arbiter_app COMMAND`."""

import sys

try:
    from arbiter_app.cli import main
except ModuleNotFoundError as error:
    if (error.name or "").startswith("arbiter_app"):
        raise
    sys.exit(
        f"arbiter: {error.name} is not installed for {sys.executable}; `make run` installs it for .venv/bin/python"
    )

sys.exit(main())
