"""The profile records: an account's own one here, and the one that it has at Bluesky."""

from atprotocol.data_model import Value
from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.datetime import parse_datetime
from indexer.collections.projection import Profile, Record, optional_blob, optional_text, self_labels_of, text_of


def project(record: Record) -> Profile:
    """Return the row of a valid profile of ours."""
    avatar = optional_blob(record, "avatarBlob")
    return Profile(
        source="own",
        created_at=text_of(record, "createdAt"),
        display_name=optional_text(record, "displayName"),
        bio=optional_text(record, "bio"),
        avatar_url=optional_text(record, "avatar"),
        avatar_cid=str(avatar.cid) if avatar else None,
        self_labels=(),
    )


def project_bluesky(record: Record) -> Profile:
    """Return the row of a valid app.bsky.actor.profile: name and picture only."""
    avatar = optional_blob(record, "avatar")
    return Profile(
        source="bluesky",
        created_at=_datetime_text(record.get("createdAt")),
        display_name=optional_text(record, "displayName"),
        bio=optional_text(record, "description"),
        avatar_url=None,
        avatar_cid=str(avatar.cid) if avatar else None,
        self_labels=self_labels_of(record),
    )


def _datetime_text(value: Value) -> str | None:
    """Return a datetime as it is written; our lexicon of that profile does not have the field, so it may be anything."""
    if not isinstance(value, str):
        return None
    try:
        return parse_datetime(value).text
    except InvalidSyntax:
        return None
