"""Whether there is memory for one more generation of actors beside the one that is there."""

from __future__ import annotations

from collections.abc import Sequence

from inference.memory import Memory

MIB = 2**20
OF_ARTIFACT = 2
"""Bytes that an actor takes more for each byte that its model's artifact is larger.

Measured with OpenVINO on a processor: pose models YOLO11 n, s, m and x, whose two networks each have 20, 73, 156 and
438 MiB, came to 321, 430, 628 and 1123 MiB once loaded and warm: 1.8 to 2.4. Tensors for torch make an artifact half
as large again, so of such it is too much by a half: a worker rather empties itself than runs out.
"""


def lacking(actors: Sequence[Memory], larger_bytes: int = 0) -> str | None:
    """On which machine less memory is left than its actors take, in words; None where there is enough on all.

    Another model's actors are taken to want as much as those that are there have come to, and more where the model's
    artifact is larger than theirs by `larger_bytes`. Machines that do not say what they have are taken to have enough.
    """
    more = OF_ARTIFACT * max(larger_bytes, 0)
    wanted: dict[str, int] = {}
    free: dict[str, int] = {}
    for memory in actors:
        if memory.resident_bytes is not None and memory.free_bytes is not None:
            wanted[memory.node] = wanted.get(memory.node, 0) + memory.resident_bytes + more
            free[memory.node] = min(free.get(memory.node, memory.free_bytes), memory.free_bytes)
    for node, want in wanted.items():
        if want > free[node]:
            return f"{want // MIB} MiB are wanted on {node}, {free[node] // MIB} MiB are free"
    return None
