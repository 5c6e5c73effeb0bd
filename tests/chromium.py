"""A real browser for tests: Debian's Chromium, driven by Playwright, which comes with the development dependencies.

Where there is no Chromium, tests are skipped with that reason, and fail when the environment has CI=true.
"""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

PROGRAM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-proxy-server",
)


def chromium_program() -> str:
    """Return the browser's path; where there is none, skip the calling test, or fail it where CI=true."""
    found = str(PROGRAM) if PROGRAM.exists() else shutil.which("chromium")
    if found is None:
        reason = "Chromium is absent (Debian: apt-get install chromium)"
        if os.environ.get("CI") == "true":
            raise AssertionError(reason)
        pytest.skip(reason)
    return found


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run a headless Chromium with a profile of its own for the length of a block."""
    program = chromium_program()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()
