"""A conversion in a process of its own: no secrets in its environment, its own folder, and an end.

It is no container: it runs as the same user, sees the same files and the same network. The first lock is that pickles
are loaded by an allow-list of classes (`formats/ultralytics_pt.py`); this is the second, and it keeps a vendor's crash
away from whoever registers.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from inference.errors import WeightsRejected
from inference.formats import Format

logger = logging.getLogger(__name__)

PATIENCE_S = 600.0
"""How long a conversion may take: the largest of Ultralytics' models take two minutes on two cores."""


def convert(source: Path, fmt: Format, *, keypoints: int, folder: Path, scratch: Path) -> None:
    """Let the adapter of `fmt` write its networks into `folder`. Raises WeightsRejected with the reason."""
    asked = {
        "format": fmt,
        "source": str(source),
        "keypoints": keypoints,
        "folder": str(folder),
        "scratch": str(scratch),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "inference.converting"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=scratch,
        env=_environment(scratch),
        start_new_session=True,  # so that whatever it starts ends with it
    ) as process:
        try:
            said, complained = process.communicate(json.dumps(asked), timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise WeightsRejected(f"it was not converted within {PATIENCE_S:.0f} s") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    refused = _refused(said, process.returncode)
    if refused is not None:
        logger.info("Conversion refused: %s", complained[-2000:])
        raise WeightsRejected(refused)


def _environment(scratch: Path) -> dict[str, str]:
    """Everything that the process gets to know; nothing of ours is passed on."""
    return {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        # Threads of torch that wait for one another spin: on a machine that has other work, two take twice the CPU time
        # of one, and longer.
        "OMP_NUM_THREADS": "1",
    }


def _refused(said: str, code: int) -> str | None:
    lines = said.strip().splitlines()
    try:
        answer = json.loads(lines[-1]) if lines else None
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or code:
        return f"its conversion ended with the exit code {code} and no answer"
    return str(answer["refused"]) if "refused" in answer else None
