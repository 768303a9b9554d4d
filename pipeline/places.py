"""Whether Ray has places for more actors: each lies on one node, so what is left on several does not add up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

TINY = 1e-5
"""Less than Ray counts in: three times 0.1 is 0.3, whatever its last digit."""


def lacking(free: Iterable[Mapping[str, float]], each: Mapping[str, float], actors: int) -> str | None:
    """What so many more actors would lack, in words; None where there is a place for each.

    `free` is what each node has left, `each` what an actor asks for, by the resource's name.
    """
    nodes, asked = list(free), {name: amount for name, amount in each.items() if amount}
    for name, amount in asked.items():
        left = sum(node.get(name, 0.0) for node in nodes)
        if left < actors * amount - TINY:
            return f"{actors * amount:g} {name}s are wanted, {left:g} are free"
    places = sum(_places(node, asked) for node in nodes) if asked else actors
    if places < actors:
        wanted = " and ".join(f"{amount:g} {name}s" for name, amount in asked.items())
        return f"{actors} times {wanted} on one node are wanted, there are {places} such places"
    return None


def _places(node: Mapping[str, float], asked: Mapping[str, float]) -> int:
    return min(int((node.get(name, 0.0) + TINY) / amount) for name, amount in asked.items())
