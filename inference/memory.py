"""What a process takes of the memory of the machine that it runs on, and what is left there, as Linux tells it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_FIRST_TO_END = "1000"
"""The highest `oom_score_adj` that there is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """One process's; both are None where the system does not say."""

    node: str
    """The machine (or container) by its name."""
    resident_bytes: int | None
    free_bytes: int | None
    """What the machine, and every control group that the process is in, would still give."""


def memory(root: Path = Path("/")) -> Memory:
    """Of this process. `root` is where `proc` and `sys` are, for tests."""
    return Memory(node=socket.gethostname(), resident_bytes=_resident(root), free_bytes=_free(root))


class Expendable:
    """Says to the kernel that this process is the first to end where memory runs out, until it has something to lose.

    Without a word it ends the largest process of those that it holds equal: the one that has long been at work.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        """From now on; where the system has no such thing nothing happens. `root` as of `memory`."""
        self._file = root / "proc/self/oom_score_adj"
        self._before: str | None = None
        with suppress(OSError):
            before = self._file.read_text()
            self._file.write_text(_FIRST_TO_END)
            self._before = before

    def no_more(self) -> None:
        """As it was before, from the first call on."""
        if self._before is not None:
            with suppress(OSError):
                self._file.write_text(self._before)
            self._before = None


def _resident(root: Path) -> int | None:
    try:
        pages = int((root / "proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _free(root: Path) -> int | None:
    try:
        machine = _table(root / "proc/meminfo")["MemAvailable:"] * 1024
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except (OSError, ValueError, KeyError):
        return None
    return min([machine, *_left_in_groups(root / "sys/fs/cgroup", groups)])


def _left_in_groups(mounted: Path, groups: list[str]) -> Iterator[int]:
    """What is left of the limit of each control group above the process that has one, of version 2 and 1."""
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if controllers not in {"", "memory"}:
            continue
        old = controllers == "memory"
        top = mounted / controllers
        limit, used, cache = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            if old
            else ("memory.max", "memory.current", "inactive_file")
        )
        # In a container the path may be the host's, whose folders are not there: the topmost is the container's own.
        for folder in {top, *(top / parent for parent in _upwards(path))}:
            try:
                most = int((folder / limit).read_text())
                taken = int((folder / used).read_text()) - _table(folder / "memory.stat").get(cache, 0)
            except (OSError, ValueError):  # not there, or "max"
                continue
            yield max(0, most - taken)


def _upwards(path: str) -> Iterator[str]:
    parts = [part for part in path.split("/") if part]
    while parts:
        yield "/".join(parts)
        parts.pop()


def _table(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    return {words[0]: int(words[1]) for line in path.read_text().splitlines() if len(words := line.split()) > 1}
