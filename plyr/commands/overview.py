"""Every command's name, help and examples, so that help needs none of their modules."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command is, what it does (one line, then details), and examples that work."""

    function: str
    summary: str
    details: str
    examples: tuple[str, ...]


# What several commands have in common.
GROUPS: Final = {"media": "Look after what is kept of audio and pictures."}

COMMANDS: Final = {
    "up": Command(
        "plyr.commands.up:up",
        "Run everything at once: database, migrations, indexer, appview and media worker.",
        "Follows the live network unless told otherwise. Without PLYR_DATABASE_URL it brings its own Postgres, in the "
        "data folder. Ends in order on Ctrl-C or SIGTERM, with exit code 0.",
        (
            "plyr up",
            "plyr up --port 8080 --data-dir ./data",
            "plyr up --relay ws://localhost:2470 --plc http://localhost:2582 --allow-host localhost:2583",
        ),
    ),
    "demo": Command(
        "plyr.commands.demo:demo",
        "Replay a recorded network, offline, and serve it.",
        "Two reference PDSes were recorded; the recording goes through a real WebSocket into the same indexer, into an "
        "empty database that is gone afterwards. Ends in order on Ctrl-C or SIGTERM, with exit code 0.",
        ("plyr demo", "plyr demo --port 9000", "plyr demo --port 0 --exit-when-ready"),
    ),
    "index": Command(
        "plyr.commands.index:index",
        "Run the indexer alone: follow the network and write what it says.",
        "One indexer works on a database at a time; a second one waits, and says so. The schema must be the newest "
        "(`plyr migrate`). Ends in order on Ctrl-C or SIGTERM, with exit code 0.",
        (
            "plyr index",
            "plyr index --relay https://relay1.us-east.bsky.network --relay https://pds.example.com",
        ),
    ),
    "serve": Command(
        "plyr.commands.up:serve",
        "Run the appview alone: answer from the database, whoever writes it.",
        "The schema must be the newest (`plyr migrate`). Ends in order on Ctrl-C or SIGTERM, with exit code 0.",
        ("plyr serve", "plyr serve --host 0.0.0.0 --port 8080"),
    ),
    "work": Command(
        "plyr.commands.work:work",
        "Run the media worker alone: fetch audio and pictures, verify, render and let go of them.",
        "What is fetched is decided by --mirror: all that records name, what somebody listened to, or nothing. Kept in a folder "
        "beside the database, or in the bucket of PLYR_S3_BUCKET. Several may run at once. Ends in order on Ctrl-C or SIGTERM, with exit code 0.",
        ("plyr work", "plyr work --mirror always"),
    ),
    "migrate": Command(
        "plyr.commands.migrate:migrate",
        "Bring the database to the newest schema.",
        "Nothing happens when it is there already. Safe to run from several places at once.",
        ("plyr migrate", "PLYR_DATABASE_URL=postgresql://localhost/plyr plyr migrate --json"),
    ),
    "status": Command(
        "plyr.commands.status:status",
        "Tell how far the indexing is.",
        "Cursors and lag, repositories by status and cause, records, rejections; with PLYR_METRICS_PORT also the figures of the running "
        "indexer. Works beside running programs and starts nothing: without a running database it ends with exit code 3.",
        ("plyr status", "plyr status --json | jq .repos.by_status"),
    ),
    "resync": Command(
        "plyr.commands.resync:resync",
        "Have a repository fetched and compared anew, whatever its state.",
        "One that is not known is tracked from then on. The indexer that runs, or the next one, does it. With --wait, "
        "exit code 1 says that it did not succeed, and why.",
        ("plyr resync did:plc:ewvi7nxzyoun6zhxrhs64oiz --wait",),
    ),
    "audit": Command(
        "plyr.commands.audit:audit",
        "Compare every repository with its host, and have those that differ fetched anew.",
        "Asks each host for the latest commit, slowly; what differs is looked at again after --grace seconds and then "
        "listed. The indexer does the same daily and after every gap. Exit code 1 says that something differed, or that nothing could be compared.",
        ("plyr audit", "plyr audit --dry-run --json | jq .counts"),
    ),
    "reindex": Command(
        "plyr.commands.reindex:reindex",
        "Rebuild the projections from the records that are kept, without the network.",
        "For a changed projection or lexicon: every record is read again by the present rules. Refused, with exit "
        "code 4, while an indexer runs. Interrupted, it is simply run again.",
        ("plyr reindex", "plyr reindex app.bsky.actor.profile"),
    ),
    "import": Command(
        "plyr.commands.import_overlay:import_overlay",
        "Import what an operator knows of tracks and no record tells: old numbers, tags, visibility, plays, album art.",
        'One JSON object a line: {"uri": "at://DID/…/KEY", "legacyId": 123, "tags": ["ambient"], "visibility": "unlisted", '
        '"playCount": 42, "albumImageUrl": "https://…"}; all but uri may be left out. Where a record speaks itself, it is believed. '
        "A file with a bad line imports nothing. What it calls unlisted is hidden at once, a running indexer takes up the rest in seconds.",
        ("plyr import overlay.jsonl", "plyr import - --json < overlay.jsonl"),
    ),
    "media status": Command(
        "plyr.commands.media:status",
        "Tell what is kept of audio and pictures, and what is still to be done.",
        "Blobs by state, with reasons, variants, sizes, jobs. Works beside running programs and starts nothing: without a running database "
        "it ends with exit code 3.",
        ("plyr media status", "plyr media status --json | jq .blobs"),
    ),
    "media verify": Command(
        "plyr.commands.media:verify",
        "Hash everything that is kept once more, and mend from its host what is not right.",
        "Reads every object. What is missing or has other bytes is fetched, or rendered, again at once. Exit code 1 says that something could not be mended.",
        ("plyr media verify", "plyr media verify --json | jq .lost"),
    ),
    "media sweep": Command(
        "plyr.commands.media:sweep",
        "Let go of bytes that no record names any longer, or that are taken down.",
        "The worker does the same by itself. What is unreferenced waits for a time of grace (PLYR_MEDIA_GRACE_HOURS), what is taken down does not. "
        "Exit code 1 says that the index looks as if it were being rebuilt, so that nothing was let go.",
        ("plyr media sweep --dry-run", "plyr media sweep"),
    ),
    "media retry": Command(
        "plyr.commands.media:retry",
        "Have a blob fetched again that ended badly, or all of them.",
        "Those that are gone, of other bytes, too large or not supported, those whose rendering failed, and URLs that were dead. "
        "Exit code 1 says that there was nothing to try.",
        ("plyr media retry", "plyr media retry bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"),
    ),
    "hide": Command(
        "plyr.commands.hide:hide",
        "Hide an account with everything that it made, or one record.",
        "Holds at once. Nothing is deleted: the data stay indexed. Exit code 1 when it was hidden already.",
        ('plyr hide did:plc:ewvi7nxzyoun6zhxrhs64oiz --reason "spam"',),
    ),
    "unhide": Command(
        "plyr.commands.hide:unhide",
        "Show again what was hidden.",
        "Exit code 1 when it was not hidden.",
        ("plyr unhide did:plc:ewvi7nxzyoun6zhxrhs64oiz",),
    ),
}
