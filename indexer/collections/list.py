"""The list record: an album, a playlist or anything else that puts records in an order."""

from indexer.collections.projection import Record, Subject, TrackList, optional_blob, optional_text, subject_of, text_of


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
    image = optional_blob(record, "image")
    return TrackList(
        created_at=text_of(record, "createdAt"),
        name=optional_text(record, "name"),
        purpose=optional_text(record, "listType"),
        description=optional_text(record, "description"),
        image_cid=str(image.cid) if image else None,
        items=tuple(subjects),
    )
