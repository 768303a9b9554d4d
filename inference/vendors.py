"""Makes vendors keep to themselves: no network, no installing, no telemetry, nothing written outside our folders.

Each function belongs before the first import of its vendor; calling it again does no harm.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any


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
