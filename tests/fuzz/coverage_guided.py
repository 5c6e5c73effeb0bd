"""Fuzz with atheris, which sees which branches an input reaches. It is optional: the group `fuzz` of pyproject.toml."""

import importlib
import importlib.util
import os
import sys
from pathlib import Path

from fuzz.engines import Finding, Ledger, attempt, keep


def has_atheris() -> bool:
    """Tell whether atheris is installed."""
    return importlib.util.find_spec("atheris") is not None


def run_atheris(
    module: str,
    name: str,
    executions: int,
    seconds: float,
    seed: int,
    ledger_path: Path,
    findings: Path,
    corpus: Path,
) -> None:
    """Fuzz a module's target until the executions or the seconds are spent, and end the process: with 1 for a finding.

    The target is imported here, for only what is imported under atheris' eyes is seen.
    """
    import atheris

    with atheris.instrument_imports(include=["atprotocol", "indexer"]):
        target = importlib.import_module(module).make_targets()[name]
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    for data in target.seeds:
        keep(corpus, "seed", data)
    ledger, count = Ledger(ledger_path), 0

    def try_one(data: bytes) -> None:
        nonlocal count
        count += 1
        ledger.enter(count, data)
        try:
            attempt(target, data, findings)
        except Finding as finding:
            sys.stderr.write(f"{finding}\n")
            sys.stderr.flush()
            # Past libFuzzer, which would call it a crash of its own.
            os._exit(1)

    arguments = [
        f"-runs={executions}",
        f"-max_total_time={max(1, int(min(seconds, 1e8)))}",
        f"-max_len={target.longest}",
        f"-seed={seed + 1}",
        # Hangs and memory are the campaign's to watch, for both engines alike. A timeout of zero would be no time at all.
        "-timeout=86400",
        "-rss_limit_mb=0",
        "-detect_leaks=0",
        "-verbosity=0",
        f"-artifact_prefix={findings}/",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *arguments], try_one)
    atheris.Fuzz()
