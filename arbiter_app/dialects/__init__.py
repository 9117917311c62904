"""The protocols that callers speak: how a request is read, and how an answer and an error are written. One room each."""
