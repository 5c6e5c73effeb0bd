"""How single values are written in views: instants, CIDs, links to files. What is absent is left out, never null."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import orjson

from appview.xrpc.call import Output
from atprotocol.cid import CID

_WEB_URL = re.compile(r"https?://[^\s]+", re.IGNORECASE)
_UPDATED_AT = "updatedAt"


def present(fields: Mapping[str, object]) -> Output:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def instant_text(instant: datetime) -> str:
    """Return an instant as a lexicon datetime: UTC, in milliseconds."""
    if instant.tzinfo is None:
        # So the database driver gives the ends of the calendar, which are in UTC like all others.
        instant = instant.replace(tzinfo=UTC)
    in_utc = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    return in_utc.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def cid_text(raw: bytes) -> str:
    """Return the text of a CID that is kept as bytes."""
    return str(CID(raw))


def verbatim(record: str) -> orjson.Fragment:
    """Return a record's JSON text, to be put into the answer as it is."""
    return orjson.Fragment(record)


def typed(kind: str, view: orjson.Fragment) -> orjson.Fragment:
    """Return a view as a member of a union: with its type."""
    return orjson.Fragment(b'{"$type":' + orjson.dumps(kind) + b"," + orjson.dumps(view)[1:])


def web_url(text: str | None) -> str | None:
    """Return a URL of an author's if a browser can fetch it: any other scheme could do harm on a page."""
    return text if text is not None and _WEB_URL.fullmatch(text) else None


def updated_at(record: str) -> str | None:
    """Return when a record was last changed, as its author says. Records without the field are not parsed."""
    if _UPDATED_AT not in record:
        return None
    value = orjson.loads(record).get(_UPDATED_AT)
    return value if isinstance(value, str) else None
