import subprocess
import sys

import pytest

HEAVY = {
    "ray", "torch", "torchvision", "cv2", "av", "ultralytics", "openvino", "numpy", "scipy", "matplotlib",
    "inference", "pipeline",
}  # fmt: skip


@pytest.mark.parametrize("module", ["api.app", "frontfoot.client"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert module in loaded
    assert HEAVY.isdisjoint(name.partition(".")[0] for name in loaded)
