"""An S3 server for the tests of one process (SeaweedFS's `weed mini`), and empty buckets of it for whoever asks.

It checks signatures, conditions and parts as R2 does. One for each test session that asks (under xdist: for each worker,
so tests that use it belong into the xdist group "s3"), on free ports of loopback, in a temporary folder.
"""

import contextlib
import itertools
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ACCESS_KEY_ID = "testaccesskey"
SECRET_ACCESS_KEY = "testsecretkey0123456789"
START_ATTEMPTS = 5
START_SECONDS = 60
# gRPC listens this much higher; both lie below the ports that systems give away by themselves.
GRPC_OFFSET = 10_000
PORTS = range(11_000, 22_000)
NAMES = ("s3", "master", "volume", "filer", "admin")


class S3Server:
    """A running server on which tests make buckets of their own."""

    access_key_id = ACCESS_KEY_ID
    secret_access_key = SECRET_ACCESS_KEY

    def __init__(self, root: Path) -> None:
        """Name a folder of the server's own."""
        self._root = root
        self._numbers = itertools.count(1)
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """Return the port at which S3 is spoken, on 127.0.0.1."""
        return self._ports["s3"]

    @property
    def endpoint_url(self) -> str:
        """Return the origin at which S3 is spoken."""
        return f"http://127.0.0.1:{self.port}"

    def create_bucket(self) -> str:
        """Make an empty bucket and return its name."""
        name = f"bucket-{next(self._numbers)}"
        # The filer makes it without a signature, so that no client need be loaded here.
        _ask("POST", f"http://127.0.0.1:{self._ports['filer']}/buckets/{name}/")
        return name

    def drop_bucket(self, name: str) -> None:
        """Remove a bucket with everything in it."""
        _ask("DELETE", f"http://127.0.0.1:{self._ports['filer']}/buckets/{name}?recursive=true")

    def start(self) -> None:
        """Start, and wait until requests without a signature are refused; other ports are tried when some are taken."""
        for _ in range(START_ATTEMPTS):
            self._ports = dict(zip(NAMES, _free_ports(len(NAMES)), strict=True))
            if self._start():
                return
            self.stop()
        raise RuntimeError(f"no S3 server: {(self._root / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        """Kill it (it takes half a minute to leave by itself) and remove what it leaves."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        # These lie in /tmp whatever TMPDIR says, and one of another user would block the port.
        for port in self._ports.values():
            for number in (port, port + GRPC_OFFSET):
                for path in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):
                    path.unlink(missing_ok=True)

    def _start(self) -> bool:
        data = self._root / f"data-{self.port}"
        data.mkdir()
        options = {f"{name}.port": port for name, port in self._ports.items()}
        options |= {f"{name}.port.grpc": port + GRPC_OFFSET for name, port in self._ports.items()}
        options |= {"dir": data, "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "s3.port.iceberg": 0, "s3.port.lance": 0}
        options |= dict.fromkeys(("admin.ui", "webdav", "master.telemetry", "s3.autoCreateBucket"), "false")
        with (self._root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    Path(sys.executable).parent / "weed",
                    "mini",
                    *(f"-{name}={value}" for name, value in options.items()),
                ],
                env={
                    "PATH": os.environ.get("PATH", ""),
                    "HOME": str(self._root),
                    "TMPDIR": str(self._root),
                    "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
                    "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
                },
                cwd=self._root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                _ask("GET", self.endpoint_url)
            except urllib.error.HTTPError as error:
                if error.code == 403:
                    return True
            except OSError:
                pass
            time.sleep(0.05)
        return False


def _ask(method: str, url: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, method=method), timeout=30) as answer:
        answer.read()


def _free_ports(count: int) -> list[int]:
    """Return ports that are free, and whose gRPC ports are; another process may still be faster."""
    with contextlib.ExitStack() as stack:
        ports: list[int] = []
        for port in random.sample(PORTS, 1000):
            try:
                for number in (port, port + GRPC_OFFSET):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", number))
            except OSError:
                continue
            ports.append(port)
            if len(ports) == count:
                return ports
    raise RuntimeError("no free ports")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """Give the session's server."""
    root = Path(tempfile.mkdtemp(prefix="plyr-test-s3-"))
    server = S3Server(root)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def s3_bucket(s3_server: S3Server) -> Iterator[str]:
    """Give the name of an empty bucket of this test alone."""
    name = s3_server.create_bucket()
    yield name
    s3_server.drop_bucket(name)
