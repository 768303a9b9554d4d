"""An installed distribution as pip leaves it: files, metadata and RECORD, in a folder that may go onto `sys.path`."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "docs" / "models.md"


def install(
    folder: Path, files: Mapping[str, bytes], *, name: str, version: str, entry_points: Mapping[str, str]
) -> None:
    """Write `files` (path → content) and what makes them a distribution whose pose models are `entry_points`."""
    metadata = f"{name.replace('-', '_')}-{version}.dist-info"
    listed = "".join(f"{point} = {value}\n" for point, value in entry_points.items())
    everything = {
        **files,
        f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{metadata}/entry_points.txt": f"[frontfoot.pose_models]\n{listed}".encode(),
        f"{metadata}/INSTALLER": b"hand\n",
    }
    record = ""
    for path, content in everything.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(content)}\n"
    (folder / metadata / "RECORD").write_text(f"{record}{metadata}/RECORD,,\n")


def example_code() -> str:
    """The worked example of `docs/models.md`, word for word."""
    found = re.search(r"`my_pose/__init__\.py`:\n\n```python\n(.*?)```", EXAMPLE.read_text(), re.DOTALL)
    if found is None:
        raise LookupError("docs/models.md has no worked example")
    return found[1]
