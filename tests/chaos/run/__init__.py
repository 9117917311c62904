"""`make chaos`: a real Arbiter between a lying runtime and hostile callers, killed and starved, held to what it promises."""
