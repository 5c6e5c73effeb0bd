"""The local AT Protocol network from Python: install it once, run it for the length of a block.

The reference PDS and PLC directory come from npm by the lockfile in `network/` (see `node_packages.py`).
"""

import asyncio
import contextlib
import json
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from account import Account, Pds, XrpcFailure
from node_packages import install

SOURCE = Path(__file__).parent / "network"
START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 15


@dataclass(slots=True)
class Network:
    """A running network. `plc_url`, `control_url` and the PDSes' URLs are origins on localhost."""

    plc_url: str
    control_url: str
    pds: list[Pds]
    http: httpx.AsyncClient = field(repr=False)

    @property
    def allowed(self) -> frozenset[tuple[str, int]]:
        """Return the pairs of host and port that a bounded client must be allowed."""
        urls = [self.plc_url, self.control_url, *(pds.url for pds in self.pds)]
        return frozenset((str(urlsplit(url).hostname), int(urlsplit(url).port or 0)) for url in urls)

    @property
    def handle_resolver_url(self) -> str:
        """Return what stands in for DNS and https well-known."""
        return self.control_url

    async def create_account(self, handle: str) -> Account:
        """Create an account; the handle's domain says on which PDS (`alice.pds1.test`), its label has 3 to 18 characters."""
        made = await self.control("POST", f"/account/{handle}")
        home = next(pds for pds in self.pds if pds.name == made["pds"])
        return Account(handle, made["did"], made["email"], made["password"], home, made["accessJwt"], self.http, self)

    async def mail_token(self, to: str, pds: Pds) -> str:
        """Return the token of the latest mail to an address from a PDS."""
        mail = await self.control("GET", "/mail", to=to)
        tokens = [message["token"] for message in mail if message["pds"] == pds.name and message.get("token")]
        return str(tokens[-1])

    async def set_dns(self, handle: str, did: str | None) -> None:
        """Make a handle of no PDS's domain resolve to a DID, or no longer."""
        await self.control("DELETE" if did is None else "PUT", f"/dns/{handle}", content=did)

    async def stop_pds(self, pds: Pds) -> None:
        """Take a PDS down; its data stay."""
        await self.control("POST", f"/pds/{pds.name}/stop")

    async def start_pds(self, pds: Pds) -> None:
        """Bring a PDS back, at the same address."""
        await self.control("POST", f"/pds/{pds.name}/start")

    async def blob_requests(self, cid: str) -> int:
        """Return how often a blob was asked for at any PDS, by whomever."""
        return sum([(await self.control("GET", f"/blobs/{pds.name}")).get(cid, 0) for pds in self.pds])

    async def take_down(self, pds: Pds, did: str, *, applied: bool = True) -> None:
        """Take an account down as its PDS's administrator, or undo it."""
        method = "com.atproto.admin.updateSubjectStatus"
        subject = {"$type": "com.atproto.admin.defs#repoRef", "did": did}
        takedown = {"applied": applied} | ({"ref": "1"} if applied else {})
        response = await self.http.post(
            f"{pds.url}/xrpc/{method}",
            json={"subject": subject, "takedown": takedown},
            auth=("admin", pds.admin_password),
        )
        if response.status_code != 200:
            raise XrpcFailure(method, response.status_code, response.text)

    async def control(self, verb: str, path: str, content: str | None = None, **parameters: str) -> Any:
        """Ask the network itself; the paths are listed in `network/control.mjs`."""
        response = await self.http.request(verb, self.control_url + path, params=parameters, content=content)
        if response.status_code != 200:
            raise XrpcFailure(path, response.status_code, response.text)
        return response.json()


@asynccontextmanager
async def network(pds: int = 2, *, legacy_did_documents: bool = False, **settings: str) -> AsyncIterator[Network]:
    """Run a network of `pds` PDSes for the length of a block; `settings` are the PDS's, by its own names.

    Skips or fails the calling test as node_packages.install() does.
    """
    packages = await asyncio.to_thread(install, SOURCE)
    with tempfile.TemporaryDirectory(prefix="plyr-network-") as folder, tempfile.TemporaryFile() as errors:
        packages.lay_out(Path(folder), SOURCE.glob("*.mjs"))
        command = [str(packages.node), str(Path(folder) / "network.mjs"), "--pds", str(pds)]
        command += ["--legacy-did-documents"] if legacy_did_documents else []
        for name, value in settings.items():
            command += ["--set", f"{name}={value}"]
        pipe = asyncio.subprocess.PIPE
        # The program stops when its standard input closes, so also when this process is killed.
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=errors)
        try:
            description = await _description(process, errors.fileno())
            hosts = [
                Pds(host["name"], host["url"], host["did"], host["handleDomain"], host["adminPassword"])
                for host in description["pds"]
            ]
            async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
                yield Network(description["plc"], description["control"], hosts, client)
        finally:
            await _stop(process)


async def _description(process: asyncio.subprocess.Process, errors: int) -> Any:
    assert process.stdout is not None
    line = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_TIMEOUT_SECONDS):
            line = await process.stdout.readline()
    if not line:
        raise RuntimeError(f"the local network did not start: {os.pread(errors, 4000, 0).decode('utf-8', 'replace')}")
    return json.loads(line)


async def _stop(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
