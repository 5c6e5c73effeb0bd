"""The contract in `lexicons/`: complete, consistent, described, and true to what the network already holds."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from atprotocol.data_model import Json, Value, object_from_json
from atprotocol.lexicon.catalog import Catalog
from atprotocol.lexicon.parameters import InvalidParameter, parse_parameters
from atprotocol.lexicon.problems import LENIENT, is_rejected
from atprotocol.lexicon.schema import (
    ArraySchema,
    IntegerSchema,
    MethodKind,
    MethodSchema,
    ObjectSchema,
    RecordSchema,
    RefSchema,
    Schema,
    UnionSchema,
)
from atprotocol.syntax.nsid import Nsid

LEXICONS = Path(__file__).resolve().parents[2] / "lexicons"
CATALOG = Catalog.load(LEXICONS)
PATHS = sorted(LEXICONS.rglob("*.json"))
METHODS = [nsid for nsid in CATALOG.method_nsids if nsid.startswith("fm.plyr.")]
QUERIES = [nsid for nsid in METHODS if CATALOG.method(nsid).kind is MethodKind.QUERY]
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


def _properties(nsid: str) -> dict[str, Schema]:
    output = CATALOG.method(nsid).schema.output
    assert output is not None
    schema = output.schema
    if isinstance(schema, RefSchema):
        definition = CATALOG.definition(schema.ref)
        assert isinstance(definition, ObjectSchema)
        return dict(definition.properties)
    assert isinstance(schema, ObjectSchema)
    return dict(schema.properties)


def test_nothing_is_wrong_between_the_documents() -> None:
    assert CATALOG.check() == []
    assert [document.nsid for document in CATALOG.documents.values() if document.skipped] == []


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_file_lies_where_its_nsid_says(path: Path) -> None:
    assert json.loads(path.read_bytes())["id"] == ".".join(path.relative_to(LEXICONS).with_suffix("").parts)


def _undescribed(node: Json, where: str) -> Iterator[str]:
    """Yield the places of definitions, parameters, properties and errors that say nothing of themselves."""
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key in ("defs", "properties") and isinstance(value, dict):
            for name, child in value.items():
                assert isinstance(child, dict)
                if not child.get("description"):
                    yield f"{where}/{name}"
        if key == "errors" and isinstance(value, list):
            for error in value:
                assert isinstance(error, dict)
                if not error.get("description"):
                    yield f"{where}/{error['name']}"
        yield from _undescribed(value, f"{where}/{key}")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_everything_says_what_it_is(path: Path) -> None:
    document = json.loads(path.read_bytes())
    assert document["description"]
    assert list(_undescribed(document, "")) == []


@pytest.mark.parametrize("nsid", QUERIES)
def test_a_query_that_takes_a_cursor_takes_a_limit_and_gives_a_cursor(nsid: str) -> None:
    parameters = CATALOG.method(nsid).schema.parameters.properties
    assert ("cursor" in parameters) == ("limit" in parameters) == ("cursor" in _properties(nsid))
    if "cursor" not in parameters:
        return
    limit = parameters["limit"]
    assert isinstance(limit, IntegerSchema)
    assert (limit.minimum, limit.default) == (1, 50)
    output = CATALOG.method(nsid).schema.output
    assert output is not None
    assert isinstance(output.schema, ObjectSchema)
    assert "cursor" not in output.schema.required


@pytest.mark.parametrize("nsid", METHODS)
def test_a_method_speaks_json_and_has_a_validator_for_what_it_says(nsid: str) -> None:
    method = CATALOG.method(nsid)
    assert method.output_encoding == "application/json"
    assert CATALOG.output_validator(nsid)("not an object") != []
    for error in method.error_names:
        assert error.isalnum()


@pytest.mark.parametrize("nsid", [nsid for nsid in CATALOG.documents if nsid.startswith("fm.plyr.")])
def test_no_view_refers_to_a_record_and_every_union_is_open(nsid: Nsid) -> None:
    for schema in _schemas(nsid):
        if isinstance(schema, UnionSchema):
            assert not schema.closed
        refs = (
            schema.refs if isinstance(schema, UnionSchema) else (schema.ref,) if isinstance(schema, RefSchema) else ()
        )
        for ref in refs:
            assert not isinstance(CATALOG.definition(ref), RecordSchema | MethodSchema)


def _schemas(nsid: Nsid) -> Iterator[Schema]:
    for definition in CATALOG.documents[
        next(known for known in CATALOG.documents if known == nsid)
    ].definitions.values():
        match definition:
            case RecordSchema():
                yield from _inner(definition.record)
            case MethodSchema():
                for body in (definition.input, definition.output):
                    if body is not None and body.schema is not None:
                        yield from _inner(body.schema)
            case ObjectSchema():
                yield from _inner(definition)


def _inner(schema: Schema) -> Iterator[Schema]:
    yield schema
    if isinstance(schema, ObjectSchema):
        for child in schema.properties.values():
            yield from _inner(child)
    if isinstance(schema, ArraySchema):
        yield from _inner(schema.items)


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
