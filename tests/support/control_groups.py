"""A memory control group for a process and all that it starts, as a container has one; for root, on Linux."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MOUNTED = Path("/sys/fs/cgroup/memory")
"""Of version 1."""

# As in a container, the process sees its own group as the topmost: Ray's memory monitor looks nowhere else.
_ENTER = """
echo $$ > "$0/cgroup.procs"
exec unshare --mount --cgroup sh -c 'mount --bind "$0" /sys/fs/cgroup/memory && exec "$@"' "$0" "$@"
"""


@dataclass(frozen=True, kw_only=True)
class ControlGroup:
    """What is in it is limited together."""

    folder: Path

    @property
    def within(self) -> tuple[str, ...]:
        """A command that becomes the one that stands behind it, in the group."""
        return ("sh", "-ec", _ENTER, str(self.folder))

    @property
    def used(self) -> int:
        """Bytes that could not be given up if somebody needed them."""
        table = dict(line.split() for line in (self.folder / "memory.stat").read_text().splitlines())
        return self._number("memory.usage_in_bytes") - int(table["total_inactive_file"])

    @property
    def killed(self) -> int:
        """How many processes the kernel ended because they would have gone beyond the limit."""
        words = (self.folder / "memory.oom_control").read_text().split()
        return int(words[words.index("oom_kill") + 1])

    def limit(self, most: int) -> None:
        """From now on, in bytes."""
        (self.folder / "memory.limit_in_bytes").write_text(f"{most}")

    def _number(self, name: str) -> int:
        return int((self.folder / name).read_text())


@contextmanager
def control_group(name: str) -> Iterator[ControlGroup]:
    """A group without a limit; what is in it must have ended with the block. Raises OSError where none can be made."""
    folder = MOUNTED / name
    folder.mkdir()
    try:
        yield ControlGroup(folder=folder)
    finally:
        deadline = time.monotonic() + 20
        while True:
            try:
                folder.rmdir()
                break
            except OSError:  # a process that was killed is still on its way out
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
