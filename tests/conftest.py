"""Shared fixtures; and `tests/` itself is importable (world, interop)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
