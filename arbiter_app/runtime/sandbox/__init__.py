"""The embedded runtime: a simulated, OpenAI-compatible server over real HTTP, for trying out, demos and tests."""

from arbiter_app.runtime.sandbox.server import SandboxServer, start_sandbox

__all__ = ["SandboxServer", "start_sandbox"]
