"""`plyr demo`: a recorded network, indexed and served, offline."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from atprotocol.net.addresses import Policy
from atprotocol.net.http import BoundedClient
from plyr import shipped
from plyr.clusters import temporary_database
from plyr.commands.options import Host, LogLevel, Port
from plyr.demo import JSON, Example, Examples, examples, indexer_settings, play, settings_for
from plyr.indexing import index
from plyr.listening import port_of, port_taken
from plyr.media import work
from plyr.migrating import migrated
from plyr.outcome import CommandError, ExitCode
from plyr.program import run
from plyr.recorded_network import BadRecording, Moment, load_recording
from plyr.replay import Replay, replaying
from plyr.serving import serve_appview
from plyr.settings import Settings, read_settings
from plyr.status import Status

MAX_ANSWER_BYTES = 1_000_000


def demo(
    *,
    port: Port = None,
    host: Host = None,
    exit_when_ready: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Ask every example once and end; exit code 1 if one fails."),
    ] = False,
    log_level: LogLevel = None,
) -> ExitCode:
    """Replay a recorded network and serve it."""
    # The recording tells its own story; the log is for whoever asks for it.
    settings = read_settings(port=port, host=host, log_level=log_level or "error")
    return run(_demo(settings, exit_when_ready), settings)


async def _demo(settings: Settings, exit_when_ready: bool) -> None:
    try:
        recording = load_recording(shipped.recording())
    except BadRecording as error:
        raise CommandError(f"{error}. Install plyr again.") from error
    with port_taken(settings.host, settings.port) as sockets, _temporary_folder() as folder:
        print(f"plyr demo: {len(recording.frames)} recorded frames of two hosts, an empty database, no network.")
        print("Starting Postgres …", flush=True)
        async with temporary_database(folder / "postgres") as url, replaying(recording) as replay:
            await migrated(url)
            chosen = settings_for(replay, settings, folder / "media")
            ready = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                programs = [
                    group.create_task(serve_appview(url, chosen, sockets, ready.set)),
                    group.create_task(work(url, chosen)),
                    group.create_task(index(url, chosen, indexer_settings(replay), shows_progress=False)),
                ]
                await ready.wait()
                await play(url, replay, _tell)
                found = await examples(url, f"http://localhost:{port_of(sockets)}")
                _show(found, replay, folder)
                if exit_when_ready:
                    await _verify(found.requests, settings, port_of(sockets))
                    for program in programs:
                        program.cancel()


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="plyr-demo-"))
    try:
        # As root the server is another user, who must be able to pass.
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tell(moment: Moment, status: Status) -> None:
    records = sum(counts["accepted"] for counts in status["records"].values())
    rejected = sum(counts["rejected"] for counts in status["records"].values())
    repos = ", ".join(f"{count} {name}" for name, count in status["repos"]["by_status"].items())
    print(f"\n{moment.title}.\n  frame {moment.seq}: {records} records", end="")
    print(f" and {rejected} rejected" if rejected else "", f"in repositories: {repos}", flush=True)


def _show(found: Examples, replay: Replay, folder: Path) -> None:
    print(f"\nEverything is indexed; it was replayed from {replay.url}. Try:\n")
    for example in found.requests:
        print(f"  # {example.shows}\n  {example.curl}")
    print(f"\n  # how far the indexing is\n  plyr status --data-dir {folder}")
    if found.audio_url is not None:
        print(f"\nTo listen, open {found.audio_url} in a browser.")
    print("All audio is fetched from its artists' hosts, verified and kept (--mirror always) as long as this runs.")
    print("\nCtrl-C ends it and removes everything.", flush=True)


async def _verify(found: list[Example], settings: Settings, port: int) -> None:
    """Ask every example once. Raises CommandError when one does not answer as it should."""
    async with BoundedClient(Policy(frozenset({("localhost", port)})), user_agent="plyr-demo") as client:
        for example in found:
            headers = {"Accept": example.media_type}
            if example.asks_for is not None:
                headers["Range"] = f"bytes={example.asks_for}"
            answer = await client.get(example.url, max_bytes=MAX_ANSWER_BYTES, headers=headers)
            if answer.status != (200 if example.asks_for is None else 206):
                raise CommandError(
                    f"{example.url} answered {answer.status}: {answer.body[:200].decode('utf-8', 'replace')}"
                )
            kind = answer.headers.get("Content-Type", "").partition(";")[0]
            if kind != example.media_type:
                raise CommandError(f"{example.url} answered with {kind or 'nothing'} instead of {example.media_type}")
            if example.media_type == JSON:
                answer.json()
    print(f"\nAll {len(found)} examples answered on {settings.host}; ending.", flush=True)
