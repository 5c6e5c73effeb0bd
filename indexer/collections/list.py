"""The list record: an album, a playlist or anything else that puts records in an order."""

from indexer.collections.projection import (
    Record,
    Subject,
    TrackList,
    indexable,
    optional_blob,
    optional_text,
    subject_of,
    text_of,
)

# The lexicon sets no limit to a list's type, an index does.
PURPOSE_BYTES_LIMIT = 640


def project(record: Record) -> TrackList | None:
    """Return the rows of a valid list; None when an item is no record of an account. Dangling items are kept."""
    items = record["items"]
    assert isinstance(items, list)
    subjects: list[Subject] = []
    for item in items:
        subject = subject_of(item.get("subject")) if isinstance(item, dict) else None
        if subject is None:
            return None
        subjects.append(subject)
    image, purpose = optional_blob(record, "image"), optional_text(record, "listType")
    return TrackList(
        created_at=text_of(record, "createdAt"),
        name=optional_text(record, "name"),
        purpose=None if purpose is None else indexable(purpose, PURPOSE_BYTES_LIMIT),
        description=optional_text(record, "description"),
        image_cid=str(image.cid) if image else None,
        items=tuple(subjects),
    )
