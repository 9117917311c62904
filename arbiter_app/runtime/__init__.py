"""The only room that knows httpx: the client of the OpenAI-compatible runtime, its streams, its charges, the sandbox."""
