"""Snippets of pages in Markdown, run as they stand, and what they print held against what the page says.

All snippets of one language on a page are one program, in their order, so a later one may use what an earlier one
made; what is a reader's own (addresses, accounts) comes by environment variables. A fence of `text` says what the snippet
before it prints: its lines occur in this order, and … stands for anything within a line.
"""

import asyncio
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node_packages import node_program

REPOSITORY: Final = Path(__file__).resolve().parents[1]
HOW_TO: Final = REPOSITORY / "docs" / "how-to"
GUARD_SECONDS: Final = 120
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "-- the snippet of line "
# How a program of each language says which snippet speaks from here on.
_MARKS: Final[Mapping[str, str]] = {
    "sh": f"echo '{_MARK}%d'",
    "js": f"console.log('{_MARK}%d')",
    "python": f"print('{_MARK}%d', flush=True)",
}


@dataclass(frozen=True, slots=True)
class Snippet:
    """A snippet that is run. `line` is where it begins, `expected` what the page says that it prints."""

    language: str
    line: int
    code: str
    expected: str | None


def snippets_of(page: Path) -> list[Snippet]:
    """Return the snippets of a page that are run, in their order."""
    text = page.read_text()
    found: list[Snippet] = []
    for fence in _FENCE.finditer(text):
        language, content = fence.groups()
        line = text.count("\n", 0, fence.start()) + 2
        if language in _MARKS:
            found.append(Snippet(language, line, content, None))
        elif language == "text":
            last = found.pop()
            assert last.expected is None, f"{page.name}:{line} two of text after one snippet"
            found.append(Snippet(last.language, last.line, last.code, content))
    return found


async def run_page(page: Path, folder: Path, environment: Mapping[str, str]) -> None:
    """Run all snippets of a page in a folder.

    Raises AssertionError for one that fails, that prints what the page does not say, or about whose output it is silent.
    """
    found = snippets_of(page)
    assert found, f"{page.name} has no snippets"
    for language in dict.fromkeys(snippet.language for snippet in found):
        chosen = [snippet for snippet in found if snippet.language == language]
        printed = await _run(language, chosen, folder, environment)
        for snippet in chosen:
            _check(f"{page.name}:{snippet.line}", snippet.expected, printed[snippet.line])


async def _run(
    language: str, snippets: list[Snippet], folder: Path, environment: Mapping[str, str]
) -> Mapping[int, str]:
    """Return what each snippet prints, by its line."""
    program = folder / {"sh": "snippets.sh", "js": "snippets.mjs", "python": "snippets.py"}[language]
    program.write_text("\n".join(f"{_MARKS[language] % snippet.line}\n{snippet.code}" for snippet in snippets))
    command = {
        "sh": ["bash", "-euo", "pipefail"],
        "js": [str(node_program())],
        "python": [sys.executable],
    }[language]
    process = await asyncio.create_subprocess_exec(
        *command,
        str(program),
        cwd=folder,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(GUARD_SECONDS):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode()
    assert process.returncode == 0, f"{language} failed: {errors.decode()}\n{text}"
    parts = text.split(_MARK)[1:]
    return {int(line): printed for line, _, printed in (part.partition("\n") for part in parts)}


def _check(where: str, expected: str | None, printed: str) -> None:
    if expected is None:
        assert printed.strip() == "", f"{where} prints what the page does not tell: {printed}"
        return
    position = 0
    for line in filter(None, map(str.strip, expected.splitlines())):
        pattern = "[^\n]*?".join(re.escape(piece) for piece in line.split("…"))
        found = re.compile(pattern).search(printed, position)
        assert found, f"{where} does not print {line!r} (any more) but: {printed[position:]}"
        position = found.end()
