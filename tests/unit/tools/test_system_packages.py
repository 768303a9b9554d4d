from __future__ import annotations

from pathlib import Path

import pytest

from tools.system_packages import SystemPackage, main, read_packages

ROOT = Path(__file__).resolve().parents[3]


def package(evidence: str) -> SystemPackage:
    return SystemPackage(name="some-package", needed_by="worker", evidence=evidence)


@pytest.mark.parametrize(
    ("evidence", "present"),
    [
        ("program:bash", True),
        ("program:no-such-program", False),
        ("library:libc.so.6", True),
        ("library:libno-such.so.1", False),
        ("module:json", True),
        ("module:no_such_module", False),
    ],
)
def test_looks_for_the_thing_itself(evidence: str, *, present: bool) -> None:
    assert package(evidence).is_present() is present


def test_refuses_evidence_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="unknown evidence"):
        package("file:/etc/hosts").is_present()


def test_reads_the_projects_list() -> None:
    packages = read_packages()
    assert {entry.needed_by for entry in packages} == {"worker", "development"}
    assert len({entry.name for entry in packages}) == len(packages)


def test_refuses_a_line_of_another_shape(tmp_path: Path) -> None:
    listed = tmp_path / "system-packages.txt"
    listed.write_text("# a comment\n\nmake development program:make\nchromium\n")
    with pytest.raises(ValueError, match="'chromium'"):
        read_packages(listed)


def test_names_what_is_missing_and_how_to_mend_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert main([]) == 1
    said = capsys.readouterr().err
    assert "missing system package: chromium (looked for program:chromium)" in said
    assert "make system-deps" in said


def test_looks_only_for_what_is_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert main(["worker"]) == 0
    assert capsys.readouterr().err == ""
