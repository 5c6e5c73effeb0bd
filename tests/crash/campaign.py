"""The crash campaign: `just crash`, or `python tests/crash/campaign.py [--kills N] [--seed N] [--frames N] [--json]`.

Tells one recorded world to `plyr index` twice: once in peace, once with kill -9, cut connections, a crashing Postgres and
statements that time out. In the end every table must say the same, and what the repositories say. Every fault has to
prove that it happened. A full disk is not among the faults: it takes a file system of its own.

Example:
    python tests/crash/campaign.py --kills 20 --frames 1500 --seed 7
"""

import argparse
import asyncio
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]

from crash_report import Plan, Report  # noqa: E402
from faults import Disturbance, Proof  # noqa: E402
from postgres import BINARIES_CACHE  # noqa: E402
from recorded_upstream import RecordedUpstream  # noqa: E402
from recorded_world import RecordedWorld, record_world  # noqa: E402
from running_indexer import CrashablePostgres, RunningIndexer, migrated  # noqa: E402
from table_hash import TableContent, misdated_records, read_tables  # noqa: E402

from plyr.status import read_status  # noqa: E402

# The end may wait for retries of the repair, which begin at ten seconds and double.
END_SECONDS = 300
SAID_EVERY_SECONDS = 10
PEACEFUL_FRAMES_PER_SECOND = 500
_OPEN_REPOS = """
    SELECT did, sync_status, cause, cause_detail, active, retry_count, retry_at, handle_checked_at IS NULL AS is_unchecked
    FROM network.repos JOIN network.actors USING (actor_id)
    WHERE (active AND (sync_status <> 'synchronized' OR (handle IS NOT NULL AND handle_checked_at IS NULL)))
       OR (deleted_at IS NOT NULL AND purged_at IS NULL)
"""


class Campaign:
    """One campaign from beginning to end, in a folder of its own."""

    def __init__(self, plan: Plan, folder: Path, *, is_quiet: bool = False) -> None:
        """Take the plan; nothing runs before run()."""
        self._plan = plan
        self._folder = folder
        self._is_quiet = is_quiet
        self._chance = random.Random(plan.seed)
        self._upstream = RecordedUpstream()
        self._postgres = CrashablePostgres(folder / "postgres", BINARIES_CACHE)
        self._recorded = RecordedWorld()
        self._asked = 0
        self.report = Report(plan)

    async def run(self) -> Report:
        """Run the campaign and return what came of it."""
        report = self.report
        try:
            await self._upstream.start()
            await self._postgres.start()
            began = time.monotonic()
            self._recorded = record_world(self._plan.seed, self._plan.frames, self._upstream.url)
            report.frames, report.happened = len(self._recorded.frames), self._recorded.happened
            report.seconds["recording"] = time.monotonic() - began
            self._say(f"recorded {report.frames:,} frames of {len(self._recorded.states)} accounts")
            peaceful = await self._told("peace", self._in_peace)
            disturbed = await self._told("disturbed", self._disturbed)
            report.compare(peaceful, disturbed)
            report.judge()
        finally:
            await self._upstream.stop()
            await self._postgres.stop()
        return report

    def _say(self, sentence: str) -> None:
        if not self._is_quiet:
            sys.stderr.write(f"crash: {sentence}\n")

    # --- telling -----------------------------------------------------------------------------------------------------

    async def _told(self, name: str, tell: Any) -> dict[str, TableContent]:
        """Tell the world to an indexer with a new database, and return what its tables say in the end."""
        began = time.monotonic()
        indexer = RunningIndexer(await migrated(self._postgres, name), self._upstream.url, self._folder / f"{name}.log")
        self._upstream.tell(self._recorded)
        self._asked = 0
        try:
            await indexer.prepare()
            await tell(indexer)
            await self._end(indexer)
            code = await indexer.stop(signal.SIGTERM)
            if code != 0:
                self.report.problems.append(f"{name}: the last process ended with {code}\n{indexer.last_words()}")
            async with indexer.looking() as connection:
                tables = await read_tables(connection)
                self.report.problems += [
                    f"{name}: a record is dated after its repository: {each}"
                    for each in await misdated_records(connection)
                ]
        except (AssertionError, TimeoutError) as error:
            raise RuntimeError(f"{name}: {error!r}\n{await _state(indexer)}\n{indexer.last_words(40)}") from error
        finally:
            await indexer.close()
        self._check_truth(name, tables)
        self.report.seconds[name] = time.monotonic() - began
        return tables

    async def _in_peace(self, indexer: RunningIndexer) -> None:
        await indexer.start()
        while self._upstream.released_seq < self._recorded.last_seq:
            await self._upstream.release(PEACEFUL_FRAMES_PER_SECOND // 10)
            await self._ask(indexer)
            await asyncio.sleep(0.1)

    async def _disturbed(self, indexer: RunningIndexer) -> None:
        report, lives = self.report, self._plan.lives()
        report.planned.update(lives)
        report.planned["kill"] += lives.count("cut-connections") + lives.count("time-out")
        disturbance = Disturbance(indexer, self._upstream, self._postgres, self._chance)
        began, number, attempts = time.monotonic(), 0, 2 * len(lives)
        while lives and attempts:
            attempts -= 1
            kind = lives.pop(0)
            # The last life has its part too.
            left = sum(seq > self._upstream.released_seq for seq, _ in self._recorded.frames)
            share = round(left / (len(lives) + 2) * self._chance.uniform(0.5, 1.5))
            self._upstream.delivered = 0
            if not await self._live(kind, indexer, disturbance, max(1, share)):
                # It found nothing to disturb: once more, later.
                lives.insert(self._chance.randrange(len(lives) + 1), kind)
                continue
            number += 1
            if number % 10 == 0:
                rate = number / (time.monotonic() - began)
                self._say(
                    f"{number} lives, {len(lives)} to come, {rate:.2f}/s, {len(lives) / rate:.0f} s remaining; "
                    f"cursor {await indexer.cursor()} of {self._upstream.sent_seq} sent of {self._recorded.last_seq}"
                )
        await self._upstream.release(len(self._recorded.frames))
        if not indexer.is_running:
            await indexer.start()

    async def _live(self, kind: str, indexer: RunningIndexer, disturbance: Disturbance, frames: int) -> bool:
        """Let the process live with one fault, until it is dead or lives on without; False when nothing happened."""
        await self._ask(indexer)
        if kind == "time-out":
            if indexer.is_running:  # The limit is for connections that are made from now on.
                await indexer.stop(signal.SIGTERM)
            await disturbance.limit_statements(True)
        if not indexer.is_running:
            self.report.lives += 1
            await indexer.start()
        proof: Proof | None
        match kind:
            case "kill":
                await self._upstream.release(frames)
                return self._note(kind, await disturbance.kill())
            case "kill-in-transaction":
                return self._note(kind, await disturbance.kill_in_transaction(frames))
            case "time-out":
                proof = await disturbance.time_out(frames)
                await disturbance.limit_statements(False)
                killed = self._note("kill", await disturbance.kill())
                return self._note(kind, proof) and killed
            case "cut-connections":
                await self._upstream.release(frames)
                proof = await disturbance.cut_connections()
                if not indexer.is_running:
                    self.report.problems.append(
                        f"the process ended with {indexer.exit_code} when its pool was cut\n{indexer.last_words()}"
                    )
                killed = self._note("kill", await disturbance.kill())
                return self._note(kind, proof) and killed
            case "cut-leadership":
                await self._upstream.release(frames)
                return self._note(kind, await disturbance.cut_leadership())
            case "crash-postgres":
                await self._upstream.release(frames)
                return self._note(kind, await disturbance.crash_postgres())
        raise AssertionError(kind)

    def _note(self, kind: str, proof: Proof | None) -> bool:
        if proof is None:
            return False
        self.report.proofs[kind].append(proof)
        if kind.startswith("kill"):
            self.report.kills += 1
            self.report.interrupted += proof.interrupted
        return True

    async def _ask(self, indexer: RunningIndexer) -> None:
        """Have people ask, and the operator act, when the story has come so far."""
        asked = [("sync_requests (did)", "did", seq, did) for seq, did in self._recorded.requests]
        asked += [("takedowns (subject, reason)", "subject", seq, did) for seq, did in self._recorded.takedowns]
        due = sorted(asked, key=lambda each: each[2])[self._asked :]
        due = [each for each in due if each[2] <= self._upstream.sent_seq or self._upstream.is_all_sent]
        if not due:
            return
        async with indexer.looking() as connection:
            for target, key, _, did in due:
                values = "$1, 'test'" if key == "subject" else "$1"
                # An account may be asked for anew, as the appview's own statement does it.
                again = "UPDATE SET requested_at = now(), taken_at = NULL" if key == "did" else "NOTHING"
                await connection.execute(
                    f"INSERT INTO plyr.{target} VALUES ({values}) ON CONFLICT ({key}) DO {again}", did
                )
        self._asked += len(due)

    async def _end(self, indexer: RunningIndexer) -> None:
        """Wait until everything was sent, is stored, and nothing is open, for longer than the program needs to look."""
        async with asyncio.timeout(END_SECONDS):
            calm, began, said = 0, time.monotonic(), time.monotonic()
            while calm < 3:
                await asyncio.sleep(0.5)
                if time.monotonic() - said > SAID_EVERY_SECONDS:
                    said = time.monotonic()
                    self._say(
                        f"waiting for the end for {said - began:.0f} s, of {END_SECONDS} at most: cursor {await indexer.cursor()}, {len(await _open_repos(indexer))} repositories not done"
                    )
                await self._ask(indexer)
                assert indexer.is_running, f"the indexer ended with {indexer.exit_code}"
                calm = calm + 1 if await self._is_idle(indexer) else 0

    async def _is_idle(self, indexer: RunningIndexer) -> bool:
        async with indexer.looking() as connection:
            status = await read_status(connection)
            hidden = await connection.fetchval("SELECT count(*) FROM network.repos WHERE takendown")
        stored = max(upstream["seq"] for upstream in status["upstreams"])
        return bool(
            status["idle"]
            and stored >= self._recorded.last_seq
            and hidden == len({did for _, did in self._recorded.takedowns})
        )

    # --- judging -----------------------------------------------------------------------------------------------------

    def _check_truth(self, name: str, tables: dict[str, TableContent]) -> None:
        """Compare the records with the repositories themselves: two runs could be wrong in the same way."""
        found = {(row[0] or "", bytes.fromhex((row[1] or "")[2:])) for row in tables["network.records"].rows}
        expected = self._recorded.expected_records()
        for word, some in (("missing", expected - found), ("too many", found - expected)):
            if some:
                self.report.problems.append(f"{name}: {len(some)} records {word}, such as {min(some)[0]}")


async def _open_repos(indexer: RunningIndexer) -> list[dict[str, Any]]:
    async with indexer.looking() as connection:
        return [dict(row) for row in await connection.fetch(_OPEN_REPOS)]


async def _state(indexer: RunningIndexer) -> str:
    """Return what is not done, for whoever asks why it does not end."""
    async with indexer.looking() as connection:
        status = await read_status(connection)
    shown = {key: status[key] for key in ("upstreams", "repos", "handles", "sync_requests_waiting", "idle")}
    return f"{json.dumps(shown)}\n{(await _open_repos(indexer))[:10]}"


def run_campaign(plan: Plan, *, is_quiet: bool = False) -> Report:
    """Run a campaign in a temporary folder and an event loop of its own."""
    folder = Path(tempfile.mkdtemp(prefix="plyr-crash-"))
    folder.chmod(0o755)  # The server's user must enter it when this runs as root.
    try:
        return asyncio.run(Campaign(plan, folder, is_quiet=is_quiet).run())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Run the command line and return the exit code: 0 when every table is equal and every fault fired, else 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=Plan().kills, help="how many kill -9 (default %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=Plan().seed, help="of the world and of the faults (default %(default)s)"
    )
    parser.add_argument("--frames", type=int, default=Plan().frames, help="length of the stream (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    given = parser.parse_args()
    report = run_campaign(Plan(given.kills, given.seed, given.frames))
    sys.stdout.write((json.dumps(report.as_json(), indent=2) if given.json else report.as_text()) + "\n")
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
