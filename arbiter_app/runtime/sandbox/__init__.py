"""The embedded runtime: a simulated, OpenAI-compatible server over real HTTP, for trying out, demos and tests."""

from arbiter_app.runtime.sandbox.server import KEY as SANDBOX_KEY
from arbiter_app.runtime.sandbox.server import SandboxServer, start_sandbox

__all__ = ["SANDBOX_KEY", "SandboxServer", "start_sandbox"]
