"""The comment record: a text at a moment of a track."""

from indexer.collections.projection import Comment, Record, optional_integer, subject_of, text_of


def project(record: Record) -> Comment | None:
    """Return the row of a valid comment; None when its subject is no record of an account."""
    subject = subject_of(record["subject"])
    if subject is None:
        return None
    return Comment(
        text_of(record, "createdAt"), subject, text_of(record, "text"), optional_integer(record, "timestampMs") or 0
    )
