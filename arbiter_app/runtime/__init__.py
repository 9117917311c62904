"""The only room that knows httpx: the runtime's client, its streams and charges, and the embedded sandbox."""
