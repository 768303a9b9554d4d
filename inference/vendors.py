"""Makes vendors keep to themselves: no network, no installing, no telemetry, nothing written outside our folders.

Each function belongs before the first import of its vendor; calling it again does no harm.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from inference.errors import SourceUnavailable

FETCH_S = 900.0
"""How long fetching a vendor's file may take."""


def quiet_ultralytics(folder: Path) -> None:
    """Let Ultralytics download, install, report and print nothing, and keep its settings file under `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        YOLO_OFFLINE="1",  # no look-ups; its usage events need a line too
        YOLO_AUTOINSTALL="false",
        YOLO_VERBOSE="false",  # it prints to standard output, which belongs to our callers
        YOLO_CONFIG_DIR=str(folder),
        ULTRALYTICS_SAFE_LOAD="true",  # unpickle known classes only, behind the checksum a second lock
    )
    threads = os.environ.get("OMP_NUM_THREADS")
    from ultralytics import settings as vendor_settings

    if threads is None:
        # Its import sets this to 1, which every process started from here would inherit.
        os.environ.pop("OMP_NUM_THREADS", None)
    settings: Any = vendor_settings
    if settings["sync"]:
        settings.update(sync=False)


def quiet_openvino() -> None:
    """Hide `openvino_telemetry`, so that OpenVINO takes its built-in stub; otherwise the import alone reports."""
    # None makes the import system raise ModuleNotFoundError, which OpenVINO expects and handles.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # documented, typeshed has no None here


def fetch_weights(name: str, folder: Path) -> Path:
    """Let Ultralytics fetch one of its files by name into `folder`, in a process of its own. Nothing in it is opened.

    Raises SourceUnavailable where there is no such file or no network.
    """
    script = "import sys; from ultralytics.utils.downloads import attempt_download_asset as f; f(sys.argv[1], retry=0)"
    path = folder / name
    environment = {**os.environ, "YOLO_CONFIG_DIR": str(folder), "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
    environment.pop("YOLO_OFFLINE", None)
    try:
        done = subprocess.run(  # noqa: S603 - our own script; the name is one of the vendor's, checked before
            [sys.executable, "-c", script, str(path)],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=FETCH_S,
        )
    except subprocess.TimeoutExpired:
        raise SourceUnavailable(f"Ultralytics did not fetch {name} within {FETCH_S:.0f} s.") from None
    if done.returncode or not path.is_file():
        said = done.stderr.strip().splitlines()
        raise SourceUnavailable(f"Ultralytics could not fetch {name}: {said[-1][:300] if said else 'no answer'}")
    return path
