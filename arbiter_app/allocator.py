"""What the C library is told about memory, where it is glibc: large blocks go back to the system when they are freed.

By itself glibc serves large blocks from its heaps once one has been freed (the threshold from which a block is mapped by itself
grows up to 32 MB), and has a heap for each few threads: some ten megabytes stay held for good after a storm of large bodies and
answers (`python -m tests.bench.memory`).
"""

from __future__ import annotations

import ctypes

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
MAPPED_BYTES = 512 * 1024
"""Blocks from this size on are mapped by themselves; Python's own small objects are far below."""
HEAPS = 2


def return_large_blocks() -> None:
    """From now on. Nothing happens where the C library is another one."""
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if tell is not None:
        tell(M_MMAP_THRESHOLD, MAPPED_BYTES)
        tell(M_ARENA_MAX, HEAPS)


def give_pages_back() -> None:
    """Give the free pages of the heaps back now."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
