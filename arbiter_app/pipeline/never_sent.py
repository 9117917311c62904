"""Members of callers' requests that no runtime is sent."""

OWN = "arbiter_"
"""How the names of our own members begin."""
CHOOSES = frozenset(
    {
        "models",
        "route",
        "fallbacks",
        "context_window_fallbacks",
        "content_policy_fallbacks",
        "model_list",
        "user_config",
        "custom_llm_provider",
        "api_base",
        "base_url",
    }
)
"""By these, routers behind Arbiter (OpenRouter, LiteLLM) let a caller have another model serve, or another server. Lists of models, budgets
and ceilings hold for the model that Arbiter chose.
"""
