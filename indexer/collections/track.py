"""The track record: what plays, and how it is shown."""

from indexer.collections.projection import (
    Record,
    Track,
    indexable,
    optional_blob,
    optional_integer,
    optional_text,
    self_labels_of,
    storable,
    text_of,
)

# What the lexicon allows; longer ones are accepted and flagged.
TAG_BYTES_LIMIT = 640


def project(record: Record) -> Track:
    """Return the rows of a valid track. An unknown `visibility` is treated as unlisted: the author asked for less."""
    audio, image = optional_blob(record, "audioBlob"), optional_blob(record, "image")
    gate = record.get("supportGate")
    visibility = record.get("visibility", "public")
    tags = record.get("tags")
    return Track(
        created_at=text_of(record, "createdAt"),
        title=text_of(record, "title"),
        artist=text_of(record, "artist"),
        album=optional_text(record, "album"),
        duration_seconds=optional_integer(record, "duration"),
        file_type=text_of(record, "fileType"),
        audio_cid=str(audio.cid) if audio else None,
        audio_mime_type=storable(audio.mime_type) if audio else None,
        audio_size_bytes=audio.size_bytes if audio else None,
        audio_url=optional_text(record, "audioUrl"),
        image_cid=str(image.cid) if image else None,
        image_url=optional_text(record, "imageUrl"),
        support_gate=storable(str(gate.get("type", "any"))) if isinstance(gate, dict) else None,
        visibility="public" if visibility == "public" else "unlisted",
        says_visibility="visibility" in record,
        tags=tuple(dict.fromkeys(indexable(str(tag), TAG_BYTES_LIMIT) for tag in tags))
        if isinstance(tags, list)
        else (),
        features=_features(record),
        self_labels=self_labels_of(record),
    )


def _features(record: Record) -> tuple[str, ...]:
    """Return the DIDs credited, each once, in the author's order."""
    features = record.get("features")
    if not isinstance(features, list):
        return ()
    return tuple(
        dict.fromkeys(
            str(feature["did"])
            for feature in features
            if isinstance(feature, dict) and isinstance(feature.get("did"), str)
        )
    )
