"""Results on standard output: JSON for scripts, aligned columns for people."""

import sys
from collections.abc import Sequence
from typing import Any

import orjson


def print_json(value: Any) -> None:
    """Print a value as JSON, indented, in UTF-8 wherever we are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def columns(rows: Sequence[tuple[str, ...]], indent: str = "  ") -> str:
    """Return rows as lines with aligned columns."""
    if not rows:
        return ""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
