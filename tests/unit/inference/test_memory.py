"""What a process takes and what is left, out of what Linux tells."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from inference.memory import Expendable, Memory, memory

MIB = 2**20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with 8 GiB available and a process of 100 pages."""
    told(tmp_path / "proc/self/statm", "900 100 20 1 0 80 0\n")
    told(tmp_path / "proc/meminfo", "MemTotal:  16777216 kB\nMemAvailable:  8388608 kB\nHugePages_Total:  0\n")
    told(tmp_path / "proc/self/cgroup", "0::/\n")
    return tmp_path


def told(path: Path, text: str | int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}")


def limited(folder: Path, most: str | int, used: int, inactive: int) -> None:
    told(folder / "memory.max", most)
    told(folder / "memory.current", used)
    told(folder / "memory.stat", f"anon 5\ninactive_file {inactive}\n")


def free(root: Path) -> int | None:
    return memory(root).free_bytes


def test_without_limits_it_is_the_machines(root: Path) -> None:
    found = memory(root)
    assert found == Memory(
        node=os.uname().nodename, resident_bytes=100 * os.sysconf("SC_PAGE_SIZE"), free_bytes=8192 * MIB
    )
    told(root / "proc/self/cgroup", "4:cpu:/a\n0::/a\n")
    limited(root / "sys/fs/cgroup/a", "max", 5 * MIB, 0)
    assert free(root) == 8192 * MIB


def test_the_tightest_group_above_the_process_counts(root: Path) -> None:
    told(root / "proc/self/cgroup", "0::/pod/container\n")
    limited(root / "sys/fs/cgroup/pod/container", 1000 * MIB, 400 * MIB, 100 * MIB)
    assert free(root) == 700 * MIB, "a cache is given up where somebody needs it"
    limited(root / "sys/fs/cgroup/pod", 900 * MIB, 600 * MIB, 0)
    assert free(root) == 300 * MIB
    limited(root / "sys/fs/cgroup/pod", 900 * MIB, 1000 * MIB, 0)
    assert free(root) == 0


def test_in_a_container_the_limit_lies_at_the_top(root: Path) -> None:
    told(root / "proc/self/cgroup", "0::/seen/from/the/host\n")
    limited(root / "sys/fs/cgroup", 500 * MIB, 100 * MIB, 0)
    assert free(root) == 400 * MIB


def test_control_groups_of_version_one(root: Path) -> None:
    told(root / "proc/self/cgroup", "8:pids:/x\n4:memory:/box\n0::/\n")
    group = root / "sys/fs/cgroup/memory/box"
    told(group / "memory.limit_in_bytes", 600 * MIB)
    told(group / "memory.usage_in_bytes", 500 * MIB)
    told(group / "memory.stat", f"cache 7\ntotal_inactive_file {200 * MIB}\n")
    assert free(root) == 300 * MIB


def test_elsewhere_nothing_is_known(tmp_path: Path) -> None:
    assert memory(tmp_path) == Memory(node=os.uname().nodename, resident_bytes=None, free_bytes=None)


def test_here_it_sees_what_is_taken() -> None:
    before = memory()
    taken = np.ones(200 * MIB, np.uint8)
    after = memory()
    assert before.resident_bytes is not None
    assert after.resident_bytes is not None
    assert abs(after.resident_bytes - before.resident_bytes - taken.nbytes) < 50 * MIB
    assert after.free_bytes is not None
    assert after.free_bytes > 0


def test_a_process_is_the_first_to_end_until_it_has_something_to_lose(tmp_path: Path) -> None:
    score = tmp_path / "proc/self/oom_score_adj"
    told(score, "500\n")
    expendable = Expendable(tmp_path)
    assert int(score.read_text()) == 1000
    expendable.no_more()
    assert int(score.read_text()) == 500
    told(score, "7")
    expendable.no_more()
    assert int(score.read_text()) == 7, "once is enough"


def test_where_the_system_knows_no_such_thing_nothing_happens(tmp_path: Path) -> None:
    Expendable(tmp_path).no_more()
    assert not list(tmp_path.iterdir())
