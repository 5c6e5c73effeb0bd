"""Blobs in records: references to files that the author's host keeps.

Media type and size are the author's claims; the limits are held against the claims, and whoever fetches
the file must measure again. The form of before 2023, `{cid, mimeType}` without `$type`, is recognised
so that a policy can let it pass. Source: https://atproto.com/specs/data-model#blob-type
"""

from collections.abc import Sequence
from dataclasses import dataclass

from atprotocol.cid import CID, parse_cid
from atprotocol.data_model import Value
from atprotocol.errors import EncodingError
from atprotocol.lexicon.problems import NO_PROBLEMS, Check, Problem, Severities, wrong_type
from atprotocol.lexicon.schema import BlobSchema
from atprotocol.syntax.excerpt import excerpt


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob reference; the size is None in the form of before 2023."""

    cid: CID
    mime_type: str
    size_bytes: int | None


def read_blob(value: Value) -> Blob | None:
    """Return the blob that a value stands for, in the present or the old form, or None."""
    if not isinstance(value, dict):
        return None
    mime_type = value.get("mimeType")
    if not isinstance(mime_type, str) or not mime_type:
        return None
    if value.get("$type") == "blob":
        cid, size_bytes = value.get("ref"), value.get("size")
        if not isinstance(cid, CID) or type(size_bytes) is not int or size_bytes < 0:
            return None
        return Blob(cid, mime_type, size_bytes)
    text = value.get("cid")
    if "$type" in value or not isinstance(text, str):
        return None
    try:
        return Blob(parse_cid(text), mime_type, None)
    except EncodingError:
        return None


def blob_check(schema: BlobSchema, severities: Severities) -> Check:
    """Return the check of a blob."""
    accept, max_size = schema.accept, schema.max_size
    legacy_severity = severities.of("blob", "blob:legacy")

    def check(value: Value) -> Sequence[Problem]:
        blob = read_blob(value)
        if blob is None:
            if isinstance(value, dict):
                return (Problem("", "type", "blob expected: $type blob, ref a link, mimeType and size"),)
            return wrong_type("blob", value)
        problems = NO_PROBLEMS
        if blob.size_bytes is None:
            problems = (Problem("", "blob:legacy", "a blob of the form of before 2023", legacy_severity),)
        if accept is not None and not accepts(accept, blob.mime_type):
            message = f"must be of {', '.join(accept)}, is {excerpt(blob.mime_type)}"
            problems = (*problems, Problem("", "blob:accept", message))
        if max_size is not None and blob.size_bytes is not None and blob.size_bytes > max_size:
            message = f"must be at most {max_size} bytes, says {blob.size_bytes}"
            problems = (*problems, Problem("", "blob:maxSize", message))
        return problems

    return check


def accepts(patterns: Sequence[str], mime_type: str) -> bool:
    """Tell whether a media type, its parameters aside, is one of the patterns: `audio/mpeg`, `audio/*`, `*/*`."""
    essence = mime_type.partition(";")[0].strip().lower()
    for pattern in patterns:
        if pattern == "*/*" or essence == pattern.lower():
            return True
        if pattern.endswith("/*") and essence.startswith(pattern[:-1].lower()):
            return True
    return False
