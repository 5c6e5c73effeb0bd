"""Plant deliberate bugs in copies of the repository, one at a time, and see that the named tests notice them.

A mutant is a text that stands exactly once in a file, what replaces it, and the tests that must fail then. Only those
tests are run; the whole suite runs for mutants that survive them, to tell whether anything else notices. A test that
cannot be collected or set up has noticed nothing. Nothing is changed in the repository itself.

    python tests/mutants/campaign.py
    python tests/mutants/campaign.py --only "high s" --jobs 1
    python tests/mutants/campaign.py --json > mutants.json

Ends with 1 when a mutant survives its tests, with 2 when the campaign itself cannot be run.
"""

import argparse
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
TESTS_SECONDS = 180.0
SUITE_SECONDS = 1200.0
# What takes very long, or is about the text of the code and not what it does, says nothing about a mutant.
_NOT_IN_SUITE = tuple(f"tests/{name}" for name in ("mutants", "architecture", "clients", "crash", "end_to_end", "fuzz"))


class CampaignFailed(Exception):
    """The campaign cannot be run, which says nothing about the tests."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One deliberate bug."""

    name: str
    file: str
    rule: str
    old: str
    new: str
    killed_by: tuple[str, ...]

    def applied(self, text: str) -> str:
        """Return the file's text with the bug in it. Raises CampaignFailed when the mutant does not fit the code."""
        count = text.count(self.old)
        if count != 1:
            raise CampaignFailed(f"{self.name!r}: its text stands {count} times in {self.file}, not once")
        if self.old == self.new:
            raise CampaignFailed(f"{self.name!r} changes nothing")
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one mutant: `killed_by` names the test that failed; `fate` is killed, survived or no-verdict."""

    name: str
    rule: str
    file: str
    fate: str
    killed_by: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TestRun:
    """What pytest reported: tests by what became of them, as `path::name`."""

    exit_code: int | None  # None: it was ended after its time
    passed: frozenset[str]
    failed: tuple[str, ...]
    other: tuple[str, ...]  # errors and skips
    output: str
    __test__ = False


def load_mutants(folder: Path = HERE) -> list[Mutant]:
    """Return all mutants of the TOML files in a folder. Raises CampaignFailed when two have one name."""
    mutants = []
    for path in sorted(folder.glob("*.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]:
            mutants.append(Mutant(**(entry | {"killed_by": tuple(entry["killed_by"])})))
    if len({mutant.name for mutant in mutants}) != len(mutants):
        raise CampaignFailed("two mutants have one name")
    return mutants


def copy_repository(target: Path, repository: Path = REPOSITORY) -> None:
    """Copy the working tree as git knows it, with `shared` findable beside the copy."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repository,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        source = repository / name
        if name and source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    shared = repository.parent / "shared"
    if shared.exists() and not (target.parent / "shared").exists():
        (target.parent / "shared").symlink_to(shared.resolve())


def run_tests(copy: Path, arguments: Sequence[str], seconds: float) -> TestRun:
    """Run pytest in a copy and return what it reported; its whole process group is ended after its time."""
    report = copy.parent / f"{copy.name}.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "junit_family=xunit1"]
    # Bytecode is told apart by whole seconds and sizes: none may be left from the mutant before.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONPATH", None)
    with (copy.parent / f"{copy.name}.log").open("w+b") as log:
        process = subprocess.Popen(
            [*command, f"--junitxml={report}", *arguments],
            cwd=copy,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        exit_code: int | None
        try:
            exit_code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            exit_code = None
        finally:
            _end(process)
        log.seek(0)
        output = log.read().decode("utf-8", "replace")
    passed, failed, other = set(), [], []
    if report.exists():
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            name = f"{case.get('file')}::{case.get('name')}"
            if case.find("error") is not None or case.find("skipped") is not None:
                other.append(name)
            elif case.find("failure") is not None:
                failed.append(name)
            else:
                passed.add(name)
    return TestRun(exit_code, frozenset(passed), tuple(failed), tuple(other), output)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process of ours and what it started, in order first: its Postgres is stopped by it."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def is_of(reported: str, wanted: str) -> bool:
    """Tell whether a reported test is the wanted one, or one of its parametrizations."""
    return reported == wanted or ("[" not in wanted and reported.startswith(f"{wanted}["))


def check_unmutated(copy: Path, mutants: Sequence[Mutant], jobs: int) -> None:
    """See that all named tests run and pass without any bug. Raises CampaignFailed."""
    wanted = sorted({test for mutant in mutants for test in mutant.killed_by})
    parallel = ["-n", str(jobs), "--dist", "loadgroup"] if jobs > 1 and len(wanted) > 20 else []
    run = run_tests(copy, [*parallel, *wanted], SUITE_SECONDS)
    missing = [test for test in wanted if not any(is_of(passed, test) for passed in run.passed)]
    if run.exit_code != 0 or run.failed or missing:
        detail = "\n".join([*run.failed, *(f"not run, or skipped: {test}" for test in missing)])
        raise CampaignFailed(f"without any bug the named tests do not all pass:\n{detail}\n{run.output[-4000:]}")


def try_mutant(copy: Path, mutant: Mutant, repository: Path = REPOSITORY) -> Verdict:
    """Plant one bug in a copy, run its tests, and take it out again."""
    path = copy / mutant.file
    sound = (repository / mutant.file).read_bytes().decode("utf-8")
    started = time.monotonic()
    path.write_bytes(mutant.applied(sound).encode("utf-8"))
    try:
        run = run_tests(copy, ["-x", *mutant.killed_by], TESTS_SECONDS)
    finally:
        path.write_bytes(sound.encode("utf-8"))
    seconds = time.monotonic() - started
    noticed = [name for name in run.failed if any(is_of(name, wanted) for wanted in mutant.killed_by)]
    if run.exit_code == 1 and noticed:
        return Verdict(mutant.name, mutant.rule, mutant.file, "killed", noticed[0], seconds)
    if run.exit_code == 0:
        return Verdict(mutant.name, mutant.rule, mutant.file, "survived", "", seconds)
    why = "out of time" if run.exit_code is None else f"pytest ended with {run.exit_code}: {', '.join(run.other)[:200]}"
    return Verdict(mutant.name, mutant.rule, mutant.file, "no-verdict", why, seconds)


def try_suite(copy: Path, mutant: Mutant, jobs: int, repository: Path = REPOSITORY) -> str:
    """Run the whole suite against a survivor and return the first test that notices it, or nothing."""
    path = copy / mutant.file
    sound = (repository / mutant.file).read_bytes().decode("utf-8")
    path.write_bytes(mutant.applied(sound).encode("utf-8"))
    left_out = [f"--ignore={name}" for name in _NOT_IN_SUITE]
    try:
        run = run_tests(copy, ["-x", "-n", str(jobs), "--dist", "loadgroup", *left_out, "tests"], SUITE_SECONDS)
    finally:
        path.write_bytes(sound.encode("utf-8"))
    return run.failed[0] if run.failed else ""


def say(sentence: str) -> None:
    """Tell whoever waits."""
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


class _Progress:
    """Tells how far the campaign is, at what rate, and how long it will take."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._started = time.monotonic()
        self._lock = threading.Lock()

    def tell(self, verdict: Verdict) -> None:
        with self._lock:
            self._done += 1
            per_second = self._done / (time.monotonic() - self._started)
            remaining = (self._total - self._done) / per_second
            say(
                f"[{self._done}/{self._total}] {verdict.fate:10} {verdict.name} ({verdict.seconds:.1f} s) "
                f"· {per_second * 60:.0f} a minute, {remaining:.0f} s remaining"
            )


def run_campaign(mutants: Sequence[Mutant], jobs: int, *, suite: bool = True) -> list[Verdict]:
    """Try all mutants with so many workers and return what came of them, in their order."""
    for mutant in mutants:
        mutant.applied((REPOSITORY / mutant.file).read_text(encoding="utf-8"))
    progress = _Progress(len(mutants))
    verdicts: dict[str, Verdict] = {}
    failures: list[BaseException] = []
    with tempfile.TemporaryDirectory(prefix="plyr-mutants-") as folder:
        # The database's own user must enter it when this runs as root.
        Path(folder).chmod(0o755)
        copies = [Path(folder) / f"worker-{number}" / "repository" for number in range(jobs)]
        for copy in copies:
            copy_repository(copy)
        say(f"{len(mutants)} mutants; their tests without any bug first")
        check_unmutated(copies[0], mutants, jobs)
        pending: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
        for mutant in mutants:
            pending.put(mutant)

        def work(copy: Path) -> None:
            while not failures:
                try:
                    mutant = pending.get_nowait()
                except queue.Empty:
                    return
                try:
                    verdicts[mutant.name] = verdict = try_mutant(copy, mutant)
                except BaseException as error:  # noqa: BLE001  (handed to the caller)
                    failures.append(error)
                    return
                progress.tell(verdict)

        workers = [threading.Thread(target=work, args=(copy,)) for copy in copies]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                worker.join()
        except BaseException as error:
            # Interrupted: the copies stay until nobody works in them any more.
            failures.append(error)
            for worker in workers:
                worker.join()
            raise
        if failures:
            raise failures[0]
        for mutant in mutants:
            verdict = verdicts[mutant.name]
            if suite and verdict.fate == "survived":
                say(f"the whole suite against {mutant.name!r}")
                found = try_suite(copies[0], mutant, jobs)
                noted = f"only by {found}" if found else "by no test at all"
                verdicts[mutant.name] = Verdict(*(*_fields(verdict)[:4], noted, verdict.seconds))
    return [verdicts[mutant.name] for mutant in mutants]


def _fields(verdict: Verdict) -> tuple[str, str, str, str]:
    return verdict.name, verdict.rule, verdict.file, verdict.fate


def table(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts as a table."""
    lines = ["| mutant | rule | file | fate | killed by | seconds |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {each.name} | {each.rule} | {each.file} | {each.fate} | {each.killed_by} | {each.seconds:.1f} |"
        for each in verdicts
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign as the arguments say and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAME", action="append", help="mutants whose name or file contains this text")
    parser.add_argument("--jobs", type=int, default=2, help="so many at a time (default: 2)")
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON instead of a table")
    parser.add_argument("--no-suite", action="store_true", help="do not run the whole suite for survivors")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    try:
        mutants = load_mutants()
        if options.only:
            mutants = [each for each in mutants if any(text in each.name or text in each.file for text in options.only)]
        if not mutants:
            raise CampaignFailed("no such mutant")
        verdicts = run_campaign(mutants, max(1, options.jobs), suite=not options.no_suite)
    except CampaignFailed as error:
        say(f"the campaign cannot be run: {error}")
        return 2
    killed = sum(verdict.fate == "killed" for verdict in verdicts)
    told = json.dumps([asdict(verdict) for verdict in verdicts], indent=1) if options.json else table(verdicts)
    sys.stdout.write(f"{told}\n")
    say(f"{killed} of {len(verdicts)} killed in {time.monotonic() - started:.0f} s")
    return 0 if killed == len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
