"""`python -m arbiter_app.workers LISTENING LINK NUMBER RUNTIME`: one gateway worker, started by the page process."""

import sys

from arbiter_app.imports import importing

with importing():
    from arbiter_app.workers.worker import main

sys.exit(main(sys.argv[1:]))
