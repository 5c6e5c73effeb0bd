"""The programs as their operator runs them: `plyr up` in a process of its own, watched through `plyr status --json`."""

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from local_network import Network
from relay import Relay
from xrpc_client import XrpcClient

from atprotocol.lexicon.catalog import Catalog

ROOT = Path(__file__).resolve().parents[2]
CATALOG = Catalog.load(ROOT / "lexicons")
GUARD_SECONDS = 60


class RunningPlyr:
    """One installation of plyr on one database; its process may be killed and started again."""

    def __init__(self, net: Network, hub: Relay, database_url: str, folder: Path, variables: Mapping[str, str]) -> None:
        """Name what it follows and where it keeps its data; `variables` are further ones of its environment."""
        self.hub = hub
        self.media_folder = folder / "media"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PLYR_DATABASE_URL": database_url,
            "PLYR_RELAY_URL": hub.url,
            "PLYR_PLC_URL": net.plc_url,
            "PLYR_HANDLE_RESOLVER_URL": net.control_url,
            "PLYR_ALLOWED_HOSTS": " ".join(
                f"{host}:{port}" for host, port in sorted(net.allowed | {("localhost", hub.port)})
            ),
            "PLYR_PORT": str(self.port),
            "PLYR_MEDIA_DIR": str(self.media_folder),
            # What a killed process leaves behind goes with the folder.
            "TMPDIR": str(folder),
            **variables,
        }
        self._process: asyncio.subprocess.Process | None = None
        self._http = httpx.AsyncClient(base_url=self.url, timeout=30, trust_env=False)
        self.xrpc = XrpcClient(self._http, CATALOG, "fm.plyr")

    async def start(self) -> None:
        """Start `plyr up` and wait until it answers."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "plyr", "up", env=self.environment, stdin=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(GUARD_SECONDS):
            while True:
                assert self._process.returncode is None, "plyr up ended by itself"
                try:
                    if (await self._http.get("/xrpc/_health")).status_code == 200:
                        return
                except httpx.TransportError:
                    await asyncio.sleep(0.1)

    async def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(sign)
        async with asyncio.timeout(GUARD_SECONDS):
            return await self._process.wait()

    async def close(self) -> None:
        """End whatever still runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        await self._http.aclose()

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Run another plyr command and return its exit code and output."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "plyr",
            *arguments,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    async def status(self) -> dict[str, Any]:
        """Return what `plyr status --json` says."""
        code, output = await self.command("status", "--json")
        assert code == 0, output
        parsed: dict[str, Any] = json.loads(output)
        return parsed

    async def caught_up(self, until: Callable[[dict[str, Any]], bool] = lambda status: True) -> dict[str, Any]:
        """Wait until everything that the relay has is indexed and nothing is open, and return the status."""
        async with asyncio.timeout(GUARD_SECONDS):
            while True:
                status = await self.status()
                seq = max((upstream["seq"] for upstream in status["upstreams"]), default=0)
                if status["idle"] and seq >= len(self.hub.events) and until(status):
                    return status


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@asynccontextmanager
async def plyr_up(net: Network, hub: Relay, database_url: str, **variables: str) -> AsyncIterator[RunningPlyr]:
    """Run `plyr up` for the length of a block, with further variables in its environment and a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="plyr-up-") as folder:
        plyr = RunningPlyr(net, hub, database_url, Path(folder), variables)
        try:
            await plyr.start()
            yield plyr
        finally:
            await plyr.close()
