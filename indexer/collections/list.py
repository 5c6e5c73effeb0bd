"""The list record: an album, a playlist or anything else that puts records in an order."""

import re
import unicodedata

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
SLUG_BYTES_LIMIT = 256
# Of Latin, Greek and Cyrillic letters; in other scripts a mark makes another letter.
_ACCENTS = re.compile(r"[\u0300-\u036f]+")


def slug_of(name: str) -> str | None:
    """Return a name as it stands in an address: letters and digits without accents, joined by hyphens; None for none."""
    decomposed = unicodedata.normalize("NFKD", name)
    letters = unicodedata.normalize("NFC", _ACCENTS.sub("", decomposed))
    words = re.findall(r"[^\W_]+", letters.casefold())
    return indexable("-".join(words), SLUG_BYTES_LIMIT).strip("-") or None


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
        slug=slug_of(optional_text(record, "name") or ""),
        purpose=None if purpose is None else indexable(purpose, PURPOSE_BYTES_LIMIT),
        description=optional_text(record, "description"),
        image_cid=str(image.cid) if image else None,
        items=tuple(subjects),
    )
