"""The contract in `lexicons/`: complete, consistent, described, and true to what the network already holds."""

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from atprotocol.data_model import Json, Value, object_from_json
from atprotocol.lexicon.catalog import Catalog
from atprotocol.lexicon.evolution import breaking_changes
from atprotocol.lexicon.lint import lint
from atprotocol.lexicon.parameters import InvalidParameter, parse_parameters
from atprotocol.lexicon.problems import LENIENT, is_rejected
from atprotocol.lexicon.schema import IntegerSchema, MethodKind
from atprotocol.syntax.nsid import Nsid

LEXICONS = Path(__file__).resolve().parents[2] / "lexicons"
CATALOG = Catalog.load(LEXICONS)
PATHS = sorted(LEXICONS.rglob("*.json"))
METHODS = [nsid for nsid in CATALOG.method_nsids if nsid.startswith("fm.plyr.")]
QUERIES = [nsid for nsid in METHODS if CATALOG.method(nsid).kind is MethodKind.QUERY]
# Their order is made for one question and cut off: there is no second page.
UNPAGED = ("fm.plyr.feed.getRelated",)
NOW = "2026-11-22T10:00:00.000Z"
LINK = "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity"
STRONG_REF: dict[str, Json] = {"uri": "at://did:plc:abc/fm.plyr.track/3jzfcijpj2z2a", "cid": LINK}
TRACK: dict[str, Json] = {
    "$type": "fm.plyr.track",
    "title": "Night",
    "artist": "Somebody",
    "fileType": "mp3",
    "createdAt": NOW,
}


def test_nothing_is_wrong_between_the_documents() -> None:
    assert CATALOG.check() == []
    assert [document.nsid for document in CATALOG.documents.values() if document.skipped] == []


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_file_lies_where_its_nsid_says(path: Path) -> None:
    assert json.loads(path.read_bytes())["id"] == ".".join(path.relative_to(LEXICONS).with_suffix("").parts)


@pytest.mark.parametrize("nsid", sorted(CATALOG.documents))
def test_a_reviewer_finds_nothing_to_say_of_a_lexicon(nsid: Nsid) -> None:
    unpaged = UNPAGED if nsid in UNPAGED else ()
    assert lint([CATALOG.documents[nsid]], CATALOG.definition, unpaged=unpaged) == []


@pytest.mark.parametrize("nsid", QUERIES)
def test_a_list_gives_fifty_unless_it_is_asked_for_more(nsid: str) -> None:
    limit = CATALOG.method(nsid).schema.parameters.properties.get("limit")
    if nsid not in UNPAGED and limit is not None:
        assert isinstance(limit, IntegerSchema)
        assert limit.default == 50


def _earlier_versions() -> list[tuple[str, Catalog]]:
    """Return the lexicons as they were after each commit that changed them; skip where nobody remembers."""
    asked = ["git", "log", "--format=%H", "--", "lexicons"]
    listed = subprocess.run(asked, cwd=LEXICONS.parent, capture_output=True, text=True, check=False)
    commits = listed.stdout.split() if listed.returncode == 0 else []
    if not commits:
        reason = "the history of the lexicons is not here: this is no clone of the repository"
        if os.environ.get("CI") == "true":
            raise AssertionError(reason)
        pytest.skip(reason)
    versions: list[tuple[str, Catalog]] = []
    for commit in commits:
        asked = ["git", "archive", commit, "lexicons"]
        packed = subprocess.run(asked, cwd=LEXICONS.parent, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            files = [archive.extractfile(member) for member in archive if member.name.endswith(".json")]
            versions.append((commit, Catalog(json.loads(file.read()) for file in files if file is not None)))
    return versions


def test_whoever_speaks_an_earlier_version_is_still_understood() -> None:
    assert {commit: broken for commit, old in _earlier_versions() if (broken := breaking_changes(old, CATALOG))} == {}


@pytest.mark.parametrize("nsid", METHODS)
def test_a_method_speaks_json_and_has_a_validator_for_what_it_says(nsid: str) -> None:
    method = CATALOG.method(nsid)
    assert method.output_encoding == "application/json"
    assert CATALOG.output_validator(nsid)("not an object") != []
    for error in method.error_names:
        assert error.isalnum()


@pytest.mark.parametrize("namespace", ["fm.plyr.stg", "fm.plyr.dev"])
def test_the_whole_contract_moves_to_another_namespace(namespace: str) -> None:
    moved = CATALOG.with_namespace("fm.plyr", namespace)
    assert moved.check() == []
    assert moved.record_key_type(f"{namespace}.actor.profile") == "literal:self"
    assert "com.atproto.repo.strongRef" in moved.documents
    record: dict[str, Value] = {**object_from_json(TRACK), "$type": f"{namespace}.track"}
    assert moved.record_validator(f"{namespace}.track")(record) == []


@pytest.mark.parametrize(
    ("collection", "key"),
    [("track", "tid"), ("like", "tid"), ("comment", "tid"), ("list", "tid"), ("actor.profile", "literal:self")],
)
def test_the_collections_keep_their_record_keys(collection: str, key: str) -> None:
    assert CATALOG.record_key_type(f"fm.plyr.{collection}") == key


def _verdict(nsid: str, record: dict[str, Json]) -> tuple[bool, list[tuple[str, str]]]:
    problems = CATALOG.record_validator(nsid, LENIENT)(object_from_json({"$type": nsid, **record}))
    return is_rejected(problems), [(problem.path, problem.rule) for problem in problems]


@pytest.mark.parametrize(
    ("nsid", "record"),
    [
        ("fm.plyr.track", TRACK),
        (
            "fm.plyr.track",
            {
                **TRACK,
                "audioBlob": {"$type": "blob", "ref": {"$link": LINK}, "mimeType": "audio/mpeg", "size": 0},
                "audioUrl": "https://audio.example.com/a.mp3",
                "duration": 0,
                "features": [{"did": "did:plc:abc"}, {"did": "did:web:a.com", "handle": "a.com", "displayName": "A"}],
                "supportGate": {"type": "of the future"},
                "labels": {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "sexual"}]},
                "visibility": "of the future",
                "tags": ["ambient"],
                "somethingElse": [{"kept": None}],
            },
        ),
        ("fm.plyr.like", {"subject": STRONG_REF, "createdAt": NOW}),
        ("fm.plyr.comment", {"subject": STRONG_REF, "text": "!", "timestampMs": 0, "createdAt": NOW}),
        ("fm.plyr.list", {"items": [], "createdAt": NOW}),
        ("fm.plyr.list", {"items": [{"subject": STRONG_REF}], "listType": "mixtape", "createdAt": NOW}),
        ("fm.plyr.actor.profile", {"createdAt": NOW}),
        ("app.bsky.actor.profile", {"displayName": "A", "pinnedPost": STRONG_REF}),
    ],
)
def test_what_the_network_holds_stays_readable(nsid: str, record: dict[str, Json]) -> None:
    assert _verdict(nsid, record) == (False, [])


@pytest.mark.parametrize(
    ("nsid", "record", "problems"),
    [
        (
            "fm.plyr.track",
            {**TRACK, "title": "曲" * 100, "album": "曲" * 100},
            [("/title", "maxLength"), ("/album", "maxLength")],
        ),
        (
            "fm.plyr.comment",
            {"subject": STRONG_REF, "text": "é" * 600, "timestampMs": 0, "createdAt": NOW},
            [("/text", "maxLength")],
        ),
    ],
)
def test_strings_too_long_in_bytes_are_accepted_and_flagged(
    nsid: str, record: dict[str, Json], problems: list[tuple[str, str]]
) -> None:
    assert _verdict(nsid, record) == (False, problems)


@pytest.mark.parametrize(
    ("nsid", "record", "problems"),
    [
        ("fm.plyr.track", {"title": 1, "createdAt": "now"}, [("/artist", "required"), ("/fileType", "required"), ("/title", "type"), ("/createdAt", "format:datetime")]),
        ("fm.plyr.track", {**TRACK, "audioBlob": {"$type": "blob", "ref": {"$link": LINK}, "mimeType": "video/mp4", "size": 104857601}}, [("/audioBlob", "blob:accept"), ("/audioBlob", "blob:maxSize")]),
        ("fm.plyr.track", {**TRACK, "features": [{"did": "did:plc:abc"}] * 11}, [("/features", "maxLength")]),
        ("fm.plyr.like", {"subject": {"uri": "at://did:plc:abc/fm.plyr.track/a", "cid": {"$link": LINK}}, "createdAt": NOW}, [("/subject/cid", "type")]),
        ("fm.plyr.comment", {"subject": STRONG_REF, "text": "", "timestampMs": -1, "createdAt": NOW}, [("/text", "minLength"), ("/timestampMs", "minimum")]),
        ("fm.plyr.list", {"items": [{"subject": STRONG_REF}, {"subject": {"uri": "x", "cid": LINK}}], "createdAt": NOW}, [("/items/1/subject/uri", "format:at-uri")]),
        ("fm.plyr.list", {"items": [{"subject": STRONG_REF}] * 501, "createdAt": NOW}, [("/items", "maxLength")]),
    ],
)  # fmt: skip
def test_a_broken_record_is_refused_with_every_reason(
    nsid: str, record: dict[str, Json], problems: list[tuple[str, str]]
) -> None:
    assert _verdict(nsid, record) == (True, problems)


def test_a_track_view_carries_the_record_verbatim_and_needs_no_more_than_there_always_is() -> None:
    view: dict[str, Json] = {
        "uri": STRONG_REF["uri"],
        "cid": LINK,
        "author": {"did": "did:plc:abc", "handle": "handle.invalid"},
        "record": {**TRACK, "title": "曲" * 100},
        "audio": {},
        "likeCount": 0,
        "commentCount": 0,
        "createdAt": NOW,
        "indexedAt": NOW,
    }
    validate = CATALOG.output_validator("fm.plyr.feed.getLatest")
    assert validate(object_from_json({"tracks": [view]})) == []
    assert [problem.path for problem in validate(object_from_json({"tracks": [{**view, "playCount": None}]}))] == [
        "/tracks/0/playCount"
    ]
    soft = CATALOG.output_validator("fm.plyr.feed.getTracks")
    missing: dict[str, Json] = {"$type": "fm.plyr.feed.defs#notFoundTrack", "uri": STRONG_REF["uri"], "notFound": True}
    assert soft(object_from_json({"tracks": [missing, {"$type": "fm.plyr.feed.defs#trackView", **view}]})) == []
    assert soft(object_from_json({"tracks": [{**missing, "notFound": False}]})) != []


def test_the_parameters_have_the_promised_defaults_and_bounds() -> None:
    comments = CATALOG.method("fm.plyr.feed.getComments").parameters
    uri = str(STRONG_REF["uri"])
    assert parse_parameters(comments, [("uri", uri)]) == {"uri": uri, "sort": "timestamp", "limit": 50}
    tracks = CATALOG.method("fm.plyr.feed.getActorTracks").parameters
    assert parse_parameters(tracks, [("actor", "a.com")]) == {"actor": "a.com", "filter": "tracks", "limit": 50}
    with pytest.raises(InvalidParameter, match="uris"):
        parse_parameters(CATALOG.method("fm.plyr.feed.getTracks").parameters, [("uris", uri)] * 51)
