"""The follow record of Bluesky: whom an account follows. Only the edge is kept."""

from indexer.collections.projection import Follow, Record, text_of


def project(record: Record) -> Follow:
    """Return the row of a valid follow."""
    return Follow(text_of(record, "subject"))
