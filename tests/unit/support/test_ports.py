from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import ports
from ports import NOBODYS

CLAIM = (
    "import sys; from ports import free_port; print(*(free_port() for _ in range(60)), flush=True); sys.stdin.read()"
)


def test_processes_that_ask_at_the_same_time_are_given_different_ports() -> None:
    # 360 of 12000: by chance alone several of them would be equal.
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM],
            cwd=Path(ports.__file__).parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    given: list[int] = []
    for process in asking:
        assert process.stdout
        given += map(int, process.stdout.readline().split())
    for process in asking:
        process.communicate("", timeout=10)
    assert len(given) == 360
    assert max(Counter(given).values()) == 1
    assert all(port in NOBODYS for port in given)
