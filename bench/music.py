"""Ten thousand tracks by five hundred artists and a million likes, made by the database itself in the shape in which the
indexer keeps them.
"""

import asyncpg

from indexer.search_rows import refresh_tracks

ARTISTS = 500
TRACKS = 10_000
LISTENERS = 20_000
LIKES = 1_000_000
LIST_POSITIONS = 200
# Numbers of records: tracks, profiles, one list, likes.
LIST_URI_ID = TRACKS + ARTISTS + 1
_FIRST_LIKE = LIST_URI_ID
# A listener.
VIEWER = ARTISTS + 1
_STATEMENTS = (
    # Texts that look like what they are called: letters of base 32, from a hash of a number.
    """CREATE FUNCTION pg_temp.letters(seed text, length int) RETURNS text LANGUAGE sql IMMUTABLE AS
       $$ SELECT substr(translate(md5(seed) || md5(seed || 'x'), '0189', 'wxyz'), 1, length) $$""",
    # A digest's first and last letters carry bits of other bytes, or none: these two fit.
    """CREATE FUNCTION pg_temp.blob_cid(seed text) RETURNS text LANGUAGE sql IMMUTABLE AS
       $$ SELECT 'bafkreid' || pg_temp.letters(seed, 50) || 'a' $$""",
    """CREATE FUNCTION pg_temp.blob(seed text, mime text, size int) RETURNS json LANGUAGE sql IMMUTABLE AS
       $$ SELECT json_build_object('$type', 'blob', 'ref',
              json_build_object('$link', pg_temp.blob_cid(seed)), 'mimeType', mime, 'size', size) $$""",
    """INSERT INTO network.actors (actor_id, did) OVERRIDING SYSTEM VALUE
       SELECT n, 'did:plc:' || pg_temp.letters('artist ' || n, 24) FROM generate_series(1, {artists}) n""",
    """INSERT INTO network.repos (actor_id, sync_status, rev, handle, handle_verified_at, pds, synchronized_at)
       SELECT actor_id, 'synchronized', '3mabcdefghijk', 'artist' || actor_id || '.example.com', now(),
           'https://pds' || actor_id % 7 || '.example.com', now() FROM network.actors""",
    """INSERT INTO network.uris (uri_id, actor_id, path) OVERRIDING SYSTEM VALUE
       SELECT n, 1 + n % {artists}, 'fm.plyr.track/3' || pg_temp.letters('key ' || n, 12)
       FROM generate_series(1, {tracks}) n""",
    """INSERT INTO network.tracks (uri_id, actor_id, uri, sort_at, created_at, title, artist, album, duration_seconds,
           file_type, audio_cid, audio_mime_type, audio_size_bytes, image_cid, visibility, tags)
       SELECT u.uri_id, u.actor_id, 'at://' || a.did || '/' || u.path, at,
           to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'The track with number ' || u.uri_id,
           'Artist ' || u.actor_id, CASE WHEN u.uri_id % 2 = 0 THEN 'Album ' || u.uri_id % 50 END,
           60 + u.uri_id % 400, 'mp3', pg_temp.blob_cid('audio ' || u.uri_id), 'audio/mpeg',
           4000000 + u.uri_id, CASE WHEN u.uri_id % 3 > 0 THEN pg_temp.blob_cid('image ' || u.uri_id) END,
           CASE WHEN u.uri_id % 20 = 0 THEN 'unlisted' ELSE 'public' END, ARRAY['ambient', 'tag' || u.uri_id % 30]
       FROM network.uris u JOIN network.actors a USING (actor_id),
           LATERAL (SELECT timestamptz '2026-01-01Z' + u.uri_id * interval '41 minutes' AS at) times""",
    """INSERT INTO network.records (uri_id, rev, cid, raw, json, verdict, indexed_at, sort_at)
       SELECT t.uri_id, '3mabcdefghijk', '\\x01711220'::bytea || sha256(t.uri::bytea), 'left out',
           json_strip_nulls(json_build_object('$type', 'fm.plyr.track', 'title', title, 'artist', artist,
               'album', album, 'duration', duration_seconds, 'fileType', file_type, 'createdAt', created_at,
               'audioBlob', pg_temp.blob('audio ' || uri_id, 'audio/mpeg', audio_size_bytes::int), 'tags', to_json(tags),
               'description', 'Recorded at home, mixed in the train, number ' || uri_id || ' of many to come.',
               'image', CASE WHEN image_cid IS NOT NULL THEN pg_temp.blob('image ' || uri_id, 'image/jpeg', 50000) END)),
           'accepted', sort_at, sort_at
       FROM network.tracks t""",
    """INSERT INTO network.actors (actor_id, did) OVERRIDING SYSTEM VALUE
       SELECT {artists} + n, 'did:plc:' || pg_temp.letters('listener ' || n, 24) FROM generate_series(1, {listeners}) n""",
    """INSERT INTO network.repos (actor_id, sync_status, rev, handle, handle_verified_at, pds, synchronized_at)
       SELECT actor_id, 'synchronized', '3mabcdefghijk', 'listener' || actor_id || '.example.com', now(),
           'https://pds' || actor_id % 7 || '.example.com', now() FROM network.actors WHERE actor_id > {artists}""",
    # Every listener likes one track in two hundred, each another one.
    """INSERT INTO network.uris (uri_id, actor_id, path) OVERRIDING SYSTEM VALUE
       SELECT {first_like} + n, {artists} + 1 + n % {listeners}, 'fm.plyr.like/3' || pg_temp.letters('like ' || n, 12)
       FROM generate_series(1, {likes}) n""",
    """INSERT INTO network.likes (uri_id, actor_id, subject_uri_id, sort_at, created_at, counted)
       SELECT {first_like} + n, {artists} + 1 + n % {listeners}, 1 + (n * 7 + n / {listeners} * 200) % {tracks},
           at, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), true
       FROM generate_series(1, {likes}) n, LATERAL (SELECT timestamptz '2026-01-01Z' + n * interval '28 s' AS at) times""",
    """INSERT INTO network.records (uri_id, rev, cid, raw, verdict, indexed_at, sort_at)
       SELECT uri_id, '3mabcdefghijk', '\\x01711220'::bytea || sha256(uri_id::text::bytea), 'left out', 'accepted', sort_at, sort_at
       FROM network.likes""",
    "INSERT INTO network.track_counters SELECT subject_uri_id, count(*), subject_uri_id % 11 FROM network.likes GROUP BY 1",
    """UPDATE network.tracks t SET hot_score = log(2, 1 + c.like_count) + extract(epoch FROM t.sort_at) / 172800
       FROM network.track_counters c WHERE c.uri_id = t.uri_id""",
    """INSERT INTO network.track_features SELECT uri_id, 0, 1 + (uri_id * 7) % {artists} FROM network.tracks
       WHERE uri_id % 5 = 0""",
    """INSERT INTO network.uris (uri_id, actor_id, path) OVERRIDING SYSTEM VALUE
       SELECT {tracks} + actor_id, actor_id, 'fm.plyr.actor.profile/self' FROM network.actors WHERE actor_id <= {artists}""",
    """INSERT INTO network.profiles (uri_id, actor_id, source, created_at, display_name, bio, avatar_cid)
       SELECT {tracks} + actor_id, actor_id, 'own', '2026-01-01T00:00:00Z', 'Artist ' || actor_id, 'Plays things',
           pg_temp.blob_cid('face ' || actor_id) FROM network.actors WHERE actor_id <= {artists}""",
    """INSERT INTO network.uris (uri_id, actor_id, path) OVERRIDING SYSTEM VALUE VALUES ({list}, 1, 'fm.plyr.list/3abcdefghijkl')""",
    """INSERT INTO network.lists (uri_id, actor_id, uri, sort_at, created_at, name, purpose, item_count)
       SELECT {list}, 1, 'at://' || did || '/fm.plyr.list/3abcdefghijkl', now(), '2026-01-01T00:00:00Z', 'Long', 'playlist', {positions}
       FROM network.actors WHERE actor_id = 1""",
    """INSERT INTO network.records (uri_id, rev, cid, raw, json, verdict, indexed_at, sort_at)
       SELECT {list}, '3mabcdefghijk', '\\x01711220'::bytea || sha256('list'), 'left out',
           '{"$type": "fm.plyr.list", "items": [], "createdAt": "2026-01-01T00:00:00Z"}', 'accepted', now(), now()""",
    "INSERT INTO network.list_items SELECT {list}, n - 1, 1 + n * 37 FROM generate_series(1, {positions}) n",
    # Something is hidden, as it always is: filters have work to do.
    """INSERT INTO plyr.takedowns (subject, reason)
       SELECT did, 'bench' FROM network.actors WHERE actor_id % 100 = 0""",
)


async def fill(connection: asyncpg.Connection) -> None:
    """Fill an empty, migrated database, and tell the planner what is in it."""
    numbers = {
        "artists": ARTISTS,
        "tracks": TRACKS,
        "listeners": LISTENERS,
        "likes": LIKES,
        "first_like": _FIRST_LIKE,
        "list": LIST_URI_ID,
        "positions": LIST_POSITIONS,
    }
    for statement in _STATEMENTS:
        for name, number in numbers.items():
            statement = statement.replace(f"{{{name}}}", str(number))
        await connection.execute(statement)
    await refresh_tracks(connection, list(range(1, TRACKS + 1)))
    await connection.execute("VACUUM ANALYZE")
