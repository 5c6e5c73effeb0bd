"""Read what an operator exported of tracks that no record tells: one JSON object a line.

`{"uri": AT-URI of the track, "legacyId"?: integer, "tags"?: [text], "visibility"?: "public" | "unlisted" | …,
"playCount"?: integer, "albumImageUrl"?: https URL}`. A visibility that is not known to be public counts as unlisted:
nothing turns public by a word that was not understood. Pure; whatever is wrong is said with its line.
"""

from dataclasses import dataclass

import orjson

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.at_uri import parse_at_uri
from atprotocol.syntax.excerpt import excerpt
from indexer.collections.projection import indexable
from indexer.collections.track import TAG_BYTES_LIMIT

_FIELDS = frozenset(("uri", "legacyId", "tags", "visibility", "playCount", "albumImageUrl"))
# Tracks for supporters are listed; their gate is in the record.
_PUBLIC = frozenset(("public", "supporters"))
_MAX_NUMBER = (1 << 63) - 1
_MAX_TAGS = 10
_MAX_URL_LENGTH = 2000


class BadLine(Exception):
    """A line is no overlay; the text says why."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """A row of plyr.track_overlays."""

    uri: str
    legacy_id: int | None
    tags: list[str] | None
    visibility: str | None
    play_count: int
    album_image_url: str | None


def parse_overlay(line: bytes, collection: str) -> Overlay:
    """Return the overlay of a track of this collection. Raises BadLine."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadLine(f"no JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadLine("a line is a JSON object")
    if unknown := sorted(value.keys() - _FIELDS):
        raise BadLine(f"unknown field {excerpt(unknown[0])}: there are {', '.join(sorted(_FIELDS))}")
    visibility = _text(value, "visibility")
    return Overlay(
        uri=_uri(value, collection),
        legacy_id=_number(value, "legacyId"),
        tags=_tags(value),
        visibility=None if visibility is None else "public" if visibility in _PUBLIC else "unlisted",
        play_count=_number(value, "playCount") or 0,
        album_image_url=_url(value),
    )


def _uri(value: dict[str, object], collection: str) -> str:
    text = _text(value, "uri")
    if text is None:
        raise BadLine("uri is missing")
    try:
        uri = parse_at_uri(text)
    except InvalidSyntax as error:
        raise BadLine(f"uri is no AT-URI: {excerpt(text)}") from error
    if not str(uri.authority).startswith("did:") or uri.collection != collection or uri.record_key is None:
        raise BadLine(f"uri is not at://DID/{collection}/KEY: {excerpt(text)}")
    return str(uri)


def _text(value: dict[str, object], name: str) -> str | None:
    found = value.get(name)
    if found is not None and not isinstance(found, str):
        raise BadLine(f"{name} is no text")
    return found


def _number(value: dict[str, object], name: str) -> int | None:
    found = value.get(name)
    if found is None:
        return None
    if type(found) is not int or not 0 <= found <= _MAX_NUMBER:
        raise BadLine(f"{name} is no whole number from 0 on")
    return found


def _tags(value: dict[str, object]) -> list[str] | None:
    found = value.get("tags")
    if found is None:
        return None
    if not isinstance(found, list) or len(found) > _MAX_TAGS or not all(isinstance(tag, str) and tag for tag in found):
        raise BadLine(f"tags is no list of {_MAX_TAGS} texts at most")
    return list(dict.fromkeys(indexable(tag, TAG_BYTES_LIMIT) for tag in found))


def _url(value: dict[str, object]) -> str | None:
    found = _text(value, "albumImageUrl")
    if found is not None and (
        not found.startswith("https://") or len(found) > _MAX_URL_LENGTH or not found.isprintable()
    ):
        raise BadLine("albumImageUrl is no https:// URL")
    return found
