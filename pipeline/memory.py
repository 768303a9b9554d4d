"""Whether there is memory for one more generation of actors beside the one that is there."""

from __future__ import annotations

from collections.abc import Sequence

from inference.memory import Memory

MIB = 2**20


def lacking(actors: Sequence[Memory]) -> str | None:
    """On which machine less memory is left than its actors take, in words; None where there is enough on all.

    Another model's actors are taken to want as much as those that are there have come to. Machines that do not say
    what they have are taken to have enough.
    """
    wanted: dict[str, int] = {}
    free: dict[str, int] = {}
    for memory in actors:
        if memory.resident_bytes is not None and memory.free_bytes is not None:
            wanted[memory.node] = wanted.get(memory.node, 0) + memory.resident_bytes
            free[memory.node] = min(free.get(memory.node, memory.free_bytes), memory.free_bytes)
    for node, want in wanted.items():
        if want > free[node]:
            return f"{want // MIB} MiB are wanted on {node}, {free[node] // MIB} MiB are free"
    return None
