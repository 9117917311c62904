"""What Reflex must know before anything of Arbiter is imported."""

import reflex as rx

from arbiter_app.web.plugin import SameOrigin

config = rx.Config(
    app_name="arbiter_app",
    backend_host="127.0.0.1",
    telemetry_enabled=False,
    cors_allowed_origins=[],
    state_manager_mode=rx.constants.StateManagerMode.MEMORY,
    show_built_with_reflex=False,
    frontend_compression_formats=["gzip", "brotli"],
    react_strict_mode=False,
    default_color_mode="system",
    plugins=[SameOrigin()],
    disable_plugins=[rx.plugins.SitemapPlugin],
)
