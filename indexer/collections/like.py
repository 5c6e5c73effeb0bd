"""The like record: counts by its subject's URI, whatever version the CID names."""

from indexer.collections.projection import Like, Record, subject_of, text_of


def project(record: Record) -> Like | None:
    """Return the row of a valid like; None when its subject is no record of an account."""
    subject = subject_of(record["subject"])
    return Like(text_of(record, "createdAt"), subject) if subject else None
