"""What runs in the sandbox: one conversion, asked for on standard input and answered on standard output, in JSON."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path

from inference.errors import InferenceError
from inference.formats import ADAPTERS


def main() -> None:
    """Convert; the last line on standard output is `{}` or `{"refused": reason}`."""
    asked = json.loads(sys.stdin.read())
    answer: dict[str, str] = {}
    try:
        ADAPTERS[asked["format"]](
            Path(asked["source"]), asked["keypoints"], Path(asked["folder"]), Path(asked["scratch"])
        )
    except InferenceError as error:
        answer = {"refused": error.message}
    except Exception as error:  # noqa: BLE001 - whatever a file does to a vendor, it is refused for it
        traceback.print_exc()
        answer = {"refused": f"{type(error).__name__}: {error}"[:500]}
    sys.stdout.write(f"\n{json.dumps(answer)}\n")


if __name__ == "__main__":
    main()
