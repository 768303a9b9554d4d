"""What only Ray's control store knows: which node has what left, and how often an actor was started again.

The calls are Ray's own for developers of libraries (`@DeveloperAPI`, as is `ray.available_resources`), and stand in no
public module: this is the only place that knows where they are.
"""

from __future__ import annotations

from typing import Any


def free_by_node() -> dict[str, dict[str, float]]:
    """What each living node has left of each resource, by the node's id; a resource that is used up is left out.

    A moment old: nodes report it to the store about ten times a second.
    """
    from ray._private.state import available_resources_per_node

    found: dict[str, dict[str, float]] = available_resources_per_node()  # type: ignore[no-untyped-call]  # Ray left it untyped
    return found


def restarts(actor: Any) -> int:
    """How often this actor was started again, also where it ended before its constructor did.

    A call that waits for that constructor would not say so: Ray keeps it for whichever start succeeds.
    """
    from ray._private.state import actors

    found: dict[str, Any] = actors(actor._actor_id.hex())  # noqa: SLF001 - it has no other name
    return int(found.get("NumRestarts", 0))
