"""v0.1.0 as it was released, in processes of its own beside today's code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WHEEL = Path(__file__).parents[1] / "data" / "frontfoot-0.1.0-py3-none-any.whl"
DRIVER = Path(__file__).with_name("old_queue.py")


def unpacked(folder: Path) -> Path:
    """The released code, to be put first on PYTHONPATH; there it comes before what is installed."""
    code = folder / "frontfoot-0.1.0"
    with zipfile.ZipFile(WHEEL) as wheel:
        wheel.extractall(code)
    return code


class OldQueue:
    """v0.1.0's queue in a process of its own; its methods are those of `old_queue.Driver`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, method: str, *arguments: object) -> Any:
        """Call one; returns what it returns, or the code of the error that it raises."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([method, *arguments]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def old_queue(code: Path, database_url: str, *, lease_s: float) -> Iterator[OldQueue]:
    """Start it on a database. What goes wrong in it is on standard error."""
    with subprocess.Popen(
        [sys.executable, str(DRIVER), database_url, str(lease_s)],
        env={**os.environ, "PYTHONPATH": str(code)},
        cwd=code,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            queue = OldQueue(process)
            assert Path(queue("where")).is_relative_to(code), "that is not the released code"
            yield queue
        finally:
            process.kill()
