"""Fuzz what reads bytes of strangers: each target in a process of its own, watched for findings, hangs and memory.

With atheris (`uv sync --group fuzz`) inputs are made by the branches that they reach, without it by plain mutation. The
executions are shared out among the targets. An input that breaks a law, hangs or ends the process is kept in a folder
that is named at the end; `--replay FILE --target NAME` tries it again.

    python tests/fuzz/campaign.py --executions 10_000_000
    python tests/fuzz/campaign.py --target mst --seconds 60 --engine plain --json

Ends with 1 when anything was found, with 2 when the campaign itself cannot be run.
"""

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT / "tests") not in sys.path:
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from fuzz.coverage_guided import has_atheris  # noqa: E402
from fuzz.engines import Finding, Ledger, attempt, keep  # noqa: E402

WORKER = Path(__file__).parent / "worker.py"
POLL_SECONDS = 0.2
SAID_EVERY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one input may take, and what all of them together may leave behind."""

    input_seconds: float = 20.0
    # Loading, and with atheris instrumenting, everything.
    start_seconds: float = 120.0
    # Memory is measured from here on: caches fill at first, and atheris keeps what it finds worth keeping.
    warm_up_share: float = 0.25
    growth_bytes: int = 200_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one target; `finding` says what was found, or nothing."""

    target: str
    engine: str
    executions: int
    seconds: float
    resident_bytes_warm: int
    resident_bytes_end: int
    finding: str

    @property
    def per_second(self) -> float:
        """Return the rate of executions."""
        return self.executions / self.seconds if self.seconds else 0.0


def resident_bytes(process: int) -> int:
    """Return how much memory a process holds; 0 where that cannot be told."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def fuzz_target(
    name: str,
    *,
    engine: str,
    executions: int,
    seconds: float,
    seed: int,
    folder: Path,
    bounds: Bounds | None = None,
    targets: str = "fuzz.targets",
    quiet: bool = False,
) -> Outcome:
    """Fuzz one target in a process of its own and return what came of it; whatever it found is kept in the folder."""
    bounds = bounds or Bounds()
    findings, ledger_path, log_path = folder / "findings", folder / f"{name}.ledger", folder / f"{name}.log"
    folder.mkdir(parents=True, exist_ok=True)
    ledger_path.unlink(missing_ok=True)
    ledger = Ledger(ledger_path)
    command = [
        *(sys.executable, str(WORKER), name, "--targets", targets, "--engine", engine),
        *("--executions", str(executions), "--seconds", str(seconds), "--seed", str(seed)),
        *("--ledger", str(ledger_path), "--findings", str(findings), "--corpus", str(folder / "corpus" / name)),
    ]
    started = time.monotonic()
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    watch = _Watch(name, ledger, executions, seconds, bounds, quiet=quiet)
    try:
        while (exit_code := process.poll()) is None and not watch.complaint:
            time.sleep(POLL_SECONDS)
            watch.look(resident_bytes(process.pid))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    count, data = ledger.read()
    finding = watch.complaint
    if finding:
        finding += f"; its input is {keep(findings, name, data)}"
    elif exit_code == 1:
        finding = log_path.read_text(encoding="utf-8", errors="replace")[-3000:]
    elif exit_code:
        finding = f"the process ended with {exit_code}; its input is {keep(findings, name, data)}, its words {log_path}"
    elapsed = time.monotonic() - started
    return Outcome(name, engine, count, elapsed, watch.warm_bytes, watch.last_bytes, finding)


class _Watch:
    """Looks at a process that fuzzes, complains about it, and tells how far it is."""

    def __init__(
        self, name: str, ledger: Ledger, executions: int, seconds: float, bounds: Bounds, *, quiet: bool
    ) -> None:
        self.complaint = ""
        self.warm_bytes = self.last_bytes = 0
        self._name, self._ledger, self._bounds, self._quiet = name, ledger, bounds, quiet
        self._executions, self._seconds = executions, seconds
        self._started = self._moved_at = self._said_at = time.monotonic()
        self._count = 0

    def look(self, resident: int) -> None:
        now = time.monotonic()
        count = self._ledger.read()[0]
        if count != self._count:
            self._count, self._moved_at = count, now
        patience = self._bounds.input_seconds if count else self._bounds.start_seconds
        if now - self._moved_at > patience:
            self.complaint = f"one input took longer than {patience:.0f} s" if count else "it does not begin"
        share = max(count / self._executions, (now - self._started) / self._seconds if self._seconds else 0.0)
        self.last_bytes = resident or self.last_bytes
        if share < self._bounds.warm_up_share or not self.warm_bytes:
            self.warm_bytes = max(self.warm_bytes, resident) if count else 0
        elif resident - self.warm_bytes > self._bounds.growth_bytes:
            self.complaint = f"memory grew from {self.warm_bytes >> 20} to {resident >> 20} MiB"
        if not self._quiet and now - self._said_at > SAID_EVERY_SECONDS:
            self._said_at = now
            rate = count / (now - self._started)
            remaining = min((self._executions - count) / rate if rate else 0.0, self._seconds - (now - self._started))
            say(
                f"{self._name}: {count:,} executions, {rate:,.0f}/s, {resident >> 20} MiB, {remaining:,.0f} s remaining"
            )


def say(sentence: str) -> None:
    """Tell whoever waits."""
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def shares(targets: dict[str, Any], executions: int) -> dict[str, int]:
    """Return how many of the executions fall to each target."""
    total = sum(target.share for target in targets.values())
    return {name: max(1, -(-executions * target.share // total)) for name, target in targets.items()}


def replay(module: str, name: str, path: Path) -> int:
    """Try one input again, and say what becomes of it."""
    target = importlib.import_module(module).make_targets()[name]
    try:
        say(attempt(target, path.read_bytes(), Path(tempfile.mkdtemp(prefix="plyr-fuzz-"))))
    except Finding as finding:
        say(str(finding))
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign as the arguments say and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executions", type=int, default=10_000_000, help="over all targets (default: 10_000_000)")
    parser.add_argument("--seconds", type=float, default=1e8, help="at most so long for each target")
    parser.add_argument("--target", action="append", metavar="NAME", help="only this one; may be repeated")
    parser.add_argument("--engine", choices=["atheris", "plain"], help="default: atheris where it is installed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where corpora and findings go (default: a new temporary folder)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="try this input again on the one --target")
    parser.add_argument("--json", action="store_true", help="print the outcomes as JSON")
    parser.add_argument("--targets", default="fuzz.targets", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    module = importlib.import_module(options.targets)
    targets = {name: target for name, target in module.make_targets().items() if name in (options.target or [name])}
    if not targets or (options.replay and len(targets) != 1):
        say(f"no such target; there are {', '.join(module.make_targets())}")
        return 2
    if options.replay:
        return replay(options.targets, next(iter(targets)), options.replay)
    engine = options.engine or ("atheris" if has_atheris() else "plain")
    if engine == "atheris" and not has_atheris():
        say("atheris is not installed: it is in the dependency group `fuzz`")
        return 2
    if engine == "plain":
        say("plain mutation, which sees no coverage: atheris was not asked for or is not installed")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="plyr-fuzz-"))
    outcomes = []
    for name, executions in shares(targets, options.executions).items():
        outcome = fuzz_target(
            name,
            engine=engine,
            executions=executions,
            seconds=options.seconds,
            seed=options.seed,
            folder=folder,
            targets=options.targets,
        )
        outcomes.append(outcome)
        say(f"{name}: {outcome.finding or 'nothing found'}")
    _report(outcomes, as_json=options.json)
    say(f"{sum(each.executions for each in outcomes):,} executions; kept in {folder}")
    return 1 if any(outcome.finding for outcome in outcomes) else 0


def _report(outcomes: Sequence[Outcome], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n")
        return
    lines = [
        "| target | engine | executions | a second | MiB warm | MiB at the end | found |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in outcomes:
        memory = f"{each.resident_bytes_warm >> 20} | {each.resident_bytes_end >> 20}"
        found = "something" if each.finding else "nothing"
        lines.append(
            f"| {each.target} | {each.engine} | {each.executions:,} | {each.per_second:,.0f} | {memory} | {found} |"
        )
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
