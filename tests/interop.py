"""The protocol's public interoperability fixtures, read in place from beside the repository."""

import os
from pathlib import Path

import pytest

FIXTURES = Path(__file__).resolve().parents[1].parent / "shared" / "interop"


def interop_path(name: str) -> Path:
    """Return the path of a fixture file; absent, skip at home and fail where CI=true."""
    path = FIXTURES / name
    if not path.exists():
        reason = f"interop fixture {name} is absent (expected at {FIXTURES})"
        if os.environ.get("CI") == "true":
            raise AssertionError(reason)
        pytest.skip(reason, allow_module_level=True)
    return path


def interop_lines(name: str) -> list[str]:
    """Return a fixture's test lines, white space kept, without comments and empty lines."""
    text = interop_path(name).read_text(encoding="utf-8")
    return [line for line in text.split("\n") if line and not line.startswith("#")]
