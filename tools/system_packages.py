"""Say which of the Debian packages of `system-packages.txt` are missing, by looking for what each provides.

Runs before anything is installed, so it needs the standard library alone. What is looked for is the thing itself
and not the package, so that a program or library which came another way counts too.
"""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

LIST = Path(__file__).resolve().parent.parent / "system-packages.txt"


@dataclass(frozen=True, kw_only=True)
class SystemPackage:
    """One line of the list."""

    name: str
    """As apt knows it."""
    needed_by: str
    """`worker` (the program itself, so its image too) or `development`."""
    evidence: str
    """What shows that it is there: `program:NAME`, `library:SONAME` or `module:NAME`."""

    def is_present(self) -> bool:
        """Whether the evidence is found on this machine."""
        kind, _, name = self.evidence.partition(":")
        match kind:
            case "program":
                return shutil.which(name) is not None
            case "module":
                return importlib.util.find_spec(name) is not None
            case "library":
                try:
                    ctypes.CDLL(name)
                except OSError:
                    return False
                return True
            case _:
                raise ValueError(f"{self.name}: unknown evidence {self.evidence!r}")


def read_packages(path: Path = LIST) -> tuple[SystemPackage, ...]:
    """The packages in the list's order. Raises `ValueError` for a line that is not three words."""
    packages = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split()
        if len(words) != 3:
            raise ValueError(f"{path.name}: expected `package needed-by evidence`, got {line!r}")
        packages.append(SystemPackage(name=words[0], needed_by=words[1], evidence=words[2]))
    return tuple(packages)


def main(needed_by: list[str]) -> int:
    """Exit status 1, and the command that mends it on standard error, when something is missing.

    `needed_by` narrows the check, for example to `worker`; empty means the whole list.
    """
    wanted = [package for package in read_packages() if not needed_by or package.needed_by in needed_by]
    missing = [package for package in wanted if not package.is_present()]
    for package in missing:
        print(f"missing system package: {package.name} (looked for {package.evidence})", file=sys.stderr)
    if missing:
        print("install what is missing with: make system-deps", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
