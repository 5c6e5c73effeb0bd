"""Rows as the indexer writes them, put into a database by plain SQL, for tests of what reads them."""

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson

from atprotocol.cid import RAW, cid_of
from atprotocol.syntax.tid import tid_from_timestamp_us
from database.search_text import SearchRow, list_row, tag_keys, track_row
from indexer.collections.list import slug_of
from indexer.counters import set_hot_scores
from indexer.projections import TABLES
from indexer.rankings import all_rankings, refresh
from indexer.search_rows import refresh_actors

NAMESPACE = "fm.plyr"
NOW = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)
PDS = "https://pds.example.com"
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True)
class Account:
    """An interned DID."""

    actor_id: int
    did: str
    handle: str


@dataclass(frozen=True)
class Written:
    """A record that was put in; `record` is its JSON."""

    uri_id: int
    uri: str
    account: Account
    cid: str
    record: dict[str, Any]
    sort_at: datetime

    @property
    def ref(self) -> dict[str, str]:
        """Return the strongRef to it."""
        return {"uri": self.uri, "cid": self.cid}


def blob(content: str, mime_type: str, size: int = 1000) -> dict[str, Any]:
    """Return a blob reference."""
    return {
        "$type": "blob",
        "ref": {"$link": str(cid_of(content.encode(), RAW))},
        "mimeType": mime_type,
        "size": size,
    }


def text_of(instant: datetime) -> str:
    """Return a lexicon datetime."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class Seeds:
    """Writes rows over one connection, which belongs to the owner of the database."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self._numbers = itertools.count(1)

    async def execute(self, statement: str, *arguments: object) -> None:
        await self.connection.execute(statement, *arguments)

    async def actor(self, did: str | None = None) -> Account:
        """Intern a DID, without a repository."""
        number = next(self._numbers)
        letters = "".join(_BASE32[number >> 5 * place & 31] for place in range(24))
        did = did or f"did:plc:{letters}"
        actor_id = await self.connection.fetchval(
            "INSERT INTO network.actors (did) VALUES ($1) ON CONFLICT (did) DO UPDATE SET did = excluded.did RETURNING actor_id",
            did,
        )
        return Account(actor_id, did, f"artist{number}.example.com")

    async def account(
        self,
        did: str | None = None,
        *,
        handle: str | None = None,
        is_verified: bool = True,
        active: bool = True,
        takendown: bool = False,
        sync_status: str = "synchronized",
        cause: str | None = None,
        pds: str | None = PDS,
    ) -> Account:
        """Make an account with a repository."""
        account = await self.actor(did)
        handle = handle or account.handle
        await self.execute(
            """INSERT INTO network.repos (actor_id, sync_status, cause, active, takendown, rev, handle,
                   handle_verified_at, pds, tracked_at, synchronized_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)""",
            account.actor_id, sync_status, cause, active, takendown, "3mabcdefghijk", handle, NOW if is_verified else None, pds, NOW,
        )  # fmt: skip
        await refresh_actors(self.connection, [account.actor_id])
        return Account(account.actor_id, account.did, handle)

    async def uri(self, account: Account, path: str) -> int:
        """Intern a record URI."""
        number: int = await self.connection.fetchval(
            """INSERT INTO network.uris (actor_id, path) VALUES ($1, $2)
               ON CONFLICT (actor_id, path) DO UPDATE SET path = excluded.path RETURNING uri_id""",
            account.actor_id, path,
        )  # fmt: skip
        return number

    async def record(
        self,
        account: Account,
        collection: str,
        record: dict[str, Any],
        *,
        key: str | None = None,
        at: datetime | None = None,
        keeps_json: bool = True,
        verdict: str = "accepted",
        problems: list[dict[str, str]] | None = None,
    ) -> Written:
        """Write a record and no projection of it."""
        number = next(self._numbers)
        key = key or tid_from_timestamp_us(1_700_000_000_000_000 + number, 0)
        nsid = collection if collection.count(".") > 1 else f"{NAMESPACE}.{collection}"
        record = {"$type": nsid, **record}
        text = orjson.dumps(record).decode()
        cid = cid_of(text.encode())
        at = at or NOW - timedelta(days=30) + timedelta(seconds=number)
        uri_id = await self.uri(account, f"{nsid}/{key}")
        deleted, rejected = verdict == "deleted", verdict == "rejected"
        await self.execute(
            """INSERT INTO network.records (uri_id, rev, cid, raw, json, verdict, problems, indexed_at, sort_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
            uri_id, "3mabcdefghijk", None if deleted else cid.raw, None if deleted else text.encode(),
            None if deleted or rejected or not keeps_json else text, verdict,
            None if problems is None else orjson.dumps(problems).decode(), at, at,
        )  # fmt: skip
        return Written(uri_id, f"at://{account.did}/{nsid}/{key}", account, str(cid), record, at)

    async def track(
        self, account: Account, *, at: datetime | None = None, features: tuple[Account, ...] = (), **fields: Any
    ) -> Written:
        """Write a track; `fields` are those of the record."""
        number = next(self._numbers)
        record = {
            "title": f"Track {number}",
            "artist": "Somebody",
            "fileType": "mp3",
            "audioBlob": blob(f"audio {number}", "audio/mpeg", 4_000_000),
            "createdAt": text_of(at or NOW),
            **fields,
        }
        if features:
            record["features"] = [{"did": feature.did} for feature in features]
        record = {name: value for name, value in record.items() if value is not None}
        written = await self.record(account, "track", record, at=at)
        audio, image = record.get("audioBlob"), record.get("image")
        await self.execute(
            """INSERT INTO network.tracks (uri_id, actor_id, uri, sort_at, created_at, title, artist, album,
                   duration_seconds, file_type, audio_cid, audio_mime_type, audio_size_bytes, audio_url, image_cid,
                   image_url, support_gate, visibility, says_visibility, tags)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)""",
            written.uri_id, account.actor_id, written.uri, written.sort_at, record["createdAt"], record["title"].replace("\0", "\ufffd"),
            record["artist"], record.get("album"), record.get("duration"), record["fileType"],
            audio and audio["ref"]["$link"], audio and audio["mimeType"], audio and audio["size"], record.get("audioUrl"),
            image and image["ref"]["$link"], record.get("imageUrl"), record.get("supportGate", {}).get("type"),
            "public" if record.get("visibility", "public") == "public" else "unlisted", "visibility" in record,
            [tag.replace("\0", "\ufffd") for tag in record.get("tags", [])],
        )  # fmt: skip
        await self._names(written, "audio", audio)
        await self._names(written, "image", image)
        await self.execute(
            "UPDATE network.tracks SET hot_score = extract(epoch FROM sort_at) / 172800 WHERE uri_id = $1",
            written.uri_id,
        )
        for each in record.get("labels", {}).get("values", []):
            await self.label(account.did, written.uri, each["val"], uri_id=written.uri_id)
        tags = record.get("tags", [])
        await self._found(written, "track", track_row(record["title"], record["artist"], record.get("album"), tags))
        for tag_key, tag in tag_keys(tags).items():
            await self.execute("INSERT INTO network.track_tags VALUES ($1, $2, $3)", written.uri_id, tag_key, tag)
        for position, feature in enumerate(features):
            await self.execute(
                "INSERT INTO network.track_features VALUES ($1, $2, $3)", written.uri_id, position, feature.actor_id
            )
        return written

    async def like(
        self,
        account: Account,
        subject: Written,
        *,
        at: datetime | None = None,
        counted: bool = True,
        counts: bool = True,
    ) -> Written:
        """Write a like; unless told otherwise it counts."""
        record = {"subject": subject.ref, "createdAt": text_of(at or NOW)}
        written = await self.record(account, "like", record, at=at, keeps_json=False)
        await self.execute(
            "INSERT INTO network.likes VALUES ($1, $2, $3, $4, $5, $6)",
            written.uri_id, account.actor_id, subject.uri_id, written.sort_at, record["createdAt"], counted,
        )  # fmt: skip
        if counted and counts:
            await self._count(subject, likes=1)
        return written

    async def comment(
        self,
        account: Account,
        subject: Written,
        *,
        text: str = "Nice",
        timestamp_ms: int = 0,
        at: datetime | None = None,
        counts: bool = True,
        **fields: Any,
    ) -> Written:
        """Write a comment."""
        created = text_of(at or NOW)
        record = {"subject": subject.ref, "text": text, "timestampMs": timestamp_ms, "createdAt": created, **fields}
        written = await self.record(account, "comment", record, at=at)
        await self.execute(
            "INSERT INTO network.comments VALUES ($1, $2, $3, $4, $5, $6, $7)",
            written.uri_id, account.actor_id, subject.uri_id, written.sort_at, created, text, timestamp_ms,
        )  # fmt: skip
        if counts:
            await self._count(subject, comments=1)
        return written

    async def track_list(
        self, account: Account, subjects: list[Written], *, at: datetime | None = None, **fields: Any
    ) -> Written:
        """Write a list of records."""
        items = [{"subject": subject.ref} for subject in subjects]
        record = {"items": items, "createdAt": text_of(at or NOW), **fields}
        written = await self.record(account, "list", record, at=at)
        image = record.get("image")
        await self.execute(
            """INSERT INTO network.lists (uri_id, actor_id, uri, sort_at, created_at, name, purpose, description,
                   image_cid, item_count, slug) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)""",
            written.uri_id, account.actor_id, written.uri, written.sort_at, record["createdAt"], record.get("name"),
            record.get("listType"), record.get("description"), image and image["ref"]["$link"], len(items),
            slug_of(record.get("name", "")),
        )  # fmt: skip
        await self._names(written, "image", image)
        await self.list_items(written, subjects)
        await self._found(written, "list", list_row(record.get("name"), record.get("listType")))
        return written

    async def list_items(self, written: Written, subjects: list[Written]) -> None:
        """Put other items into a list."""
        await self.execute("DELETE FROM network.list_items WHERE uri_id = $1", written.uri_id)
        for position, subject in enumerate(subjects):
            await self.execute(
                "INSERT INTO network.list_items VALUES ($1, $2, $3)", written.uri_id, position, subject.uri_id
            )

    async def profile(self, account: Account, *, source: str = "own", **fields: Any) -> Written:
        """Write a profile; `source` is own or bluesky."""
        collection = "actor.profile" if source == "own" else "app.bsky.actor.profile"
        record = {"createdAt": text_of(NOW), **fields}
        if collection == "actor.profile":
            collection = f"{NAMESPACE}.actor.profile"
        written = await self.record(account, collection, record, key="self", keeps_json=source == "own")
        avatar = record.get("avatarBlob") if source == "own" else record.get("avatar")
        await self.execute(
            """INSERT INTO network.profiles (uri_id, actor_id, source, created_at, display_name, bio, avatar_url,
                   avatar_cid) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
            written.uri_id, account.actor_id, source, record["createdAt"], record.get("displayName"),
            record.get("bio", record.get("description")), record.get("avatar") if source == "own" else None,
            avatar and avatar["ref"]["$link"],
        )  # fmt: skip
        await self._names(written, "image", avatar)
        await refresh_actors(self.connection, [account.actor_id])
        return written

    async def follow(self, account: Account, subject: Account) -> Written:
        """Write a follow."""
        record = {"subject": subject.did, "createdAt": text_of(NOW)}
        written = await self.record(account, "app.bsky.graph.follow", record, keeps_json=False)
        await self.execute(
            "INSERT INTO network.follows VALUES ($1, $2, $3)", written.uri_id, account.actor_id, subject.actor_id
        )
        return written

    async def label(
        self,
        src: str,
        uri: str,
        val: str,
        *,
        cid: bytes = b"",
        uri_id: int = 0,
        negated: bool = False,
        expires_at: datetime | None = None,
    ) -> None:
        """Write a label; with `uri_id` one that a record of its author states."""
        await self.execute(
            """INSERT INTO network.labels (uri, src, val, cid, uri_id, negated, created_at, sort_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
            uri, src, val, cid, uri_id, negated, text_of(NOW), NOW, expires_at,
        )  # fmt: skip

    async def overlay(self, written: Written, **fields: Any) -> None:
        """Import what an operator knows of a track; the indexer has not heard of it yet."""
        names = ", ".join(("uri", *fields))
        places = ", ".join(f"${number + 1}" for number in range(len(fields) + 1))
        await self.execute(
            f"INSERT INTO plyr.track_overlays ({names}) VALUES ({places})", written.uri, *fields.values()
        )

    async def rank(self, now: datetime = NOW) -> None:
        """Make all rankings anew, as the indexer does every so often."""
        for ranking in all_rankings():
            await refresh(self.connection, ranking, now)

    async def take_down(self, subject: str) -> None:
        """Take a DID or a URI down, as an administrator does: the indexer has not heard of it yet."""
        await self.execute("INSERT INTO plyr.takedowns (subject, reason) VALUES ($1, 'test')", subject)

    async def delete(self, written: Written) -> None:
        """Delete a record as the indexer does."""
        for table in TABLES:
            await self.execute(f"DELETE FROM network.{table} WHERE uri_id = $1", written.uri_id)
        await refresh_actors(self.connection, [written.account.actor_id])
        await self.execute(
            "UPDATE network.records SET cid = NULL, raw = NULL, json = NULL, verdict = 'deleted' WHERE uri_id = $1",
            written.uri_id,
        )

    async def _found(self, written: Written, kind: str, row: SearchRow | None) -> None:
        if row is not None:
            await self.execute(
                f"INSERT INTO network.{kind}_search VALUES ($1, $2, $3, $4, array_to_tsvector($5::text[]))",
                written.uri_id, written.sort_at, written.uri, row.words, row.terms,
            )  # fmt: skip

    async def _names(self, written: Written, role: str, named: dict[str, Any] | None) -> None:
        if named is not None:
            await self.execute(
                "INSERT INTO network.blob_references (uri_id, role, actor_id, cid) VALUES ($1, $2, $3, $4)",
                written.uri_id, role, written.account.actor_id, named["ref"]["$link"],
            )  # fmt: skip

    async def _count(self, subject: Written, likes: int = 0, comments: int = 0) -> None:
        await self.execute(
            """INSERT INTO network.track_counters VALUES ($1, $2, $3) ON CONFLICT (uri_id) DO UPDATE SET
                   like_count = track_counters.like_count + excluded.like_count,
                   comment_count = track_counters.comment_count + excluded.comment_count""",
            subject.uri_id, likes, comments,
        )  # fmt: skip
        await set_hot_scores(self.connection, [subject.uri_id])
