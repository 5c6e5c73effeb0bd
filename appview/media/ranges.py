"""Which bytes a request for a file asks for: preconditions, then ranges. Pure.

A range that cannot be read, has another unit, or is one of several is no range: the whole file is right then, and never
several parts. Dates are no validators here: a file has a strong ETag and nothing else.
Source: RFC 9110 §13.1, §13.2.2 (order), §14.1.2, §14.2; https://www.rfc-editor.org/rfc/rfc9110
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

# As many digits as any file's length has; with more it is no number that a position could be.
_RANGE: Final = re.compile(r"bytes=[ \t]*(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))[ \t]*", re.IGNORECASE)
_ENTITY_TAG: Final = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
# What a list of tags is read up to: whoever sends more wants to keep us busy.
_MAX_HEADER: Final = 4096


@dataclass(frozen=True, slots=True)
class Whole:
    """200: all of it."""


@dataclass(frozen=True, slots=True)
class Part:
    """206: the bytes from `start` up to but not including `end`; there is at least one."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """416: no byte of it is asked for."""


@dataclass(frozen=True, slots=True)
class NotModified:
    """304: whoever asks has it."""


@dataclass(frozen=True, slots=True)
class PreconditionFailed:
    """412: whoever asks wants another version."""


Asked: TypeAlias = Whole | Part | Unsatisfiable | NotModified | PreconditionFailed


def asked_for(headers: Mapping[str, str], *, size_bytes: int, etag: str, is_get: bool) -> Asked:
    """Return what a request asks for of a file.

    `headers` are by lower-case name, values of repeated ones joined by commas; `etag` is the opaque tag without quotes.
    """
    if_match, if_none_match = headers.get("if-match"), headers.get("if-none-match")
    if if_match is not None and not _matches(if_match, etag, is_weak=False):
        return PreconditionFailed()
    if if_none_match is not None and _matches(if_none_match, etag, is_weak=True):
        return NotModified()
    wanted = headers.get("range")
    # Ranges are defined for GET alone.
    if wanted is None or not is_get or not _is_same_version(headers.get("if-range"), etag):
        return Whole()
    return parse_range(wanted, size_bytes)


def parse_range(text: str, size_bytes: int) -> Whole | Part | Unsatisfiable:
    """Return what a Range header asks for of a file of this size."""
    found = _RANGE.fullmatch(text) if len(text) <= _MAX_HEADER else None
    if found is None:
        return Whole()
    first, last, suffix = (None if digits is None else int(digits) for digits in found.groups())
    if suffix is not None:
        # A suffix longer than the file is all of it; of nothing, or of an empty file, there is no last byte.
        return Part(max(0, size_bytes - suffix), size_bytes) if suffix and size_bytes else Unsatisfiable()
    assert first is not None
    if last is not None and last < first:
        return Whole()
    if first >= size_bytes:
        return Unsatisfiable()
    return Part(first, size_bytes if last is None else min(last + 1, size_bytes))


def _is_same_version(if_range: str | None, etag: str) -> bool:
    """Tell whether a condition on the range holds: strongly compared, so that weak tags and dates never do."""
    if if_range is None:
        return True
    found = _ENTITY_TAG.fullmatch(if_range.strip())
    return found is not None and not found[1] and found[2] == etag


def _matches(tags: str, etag: str, *, is_weak: bool) -> bool:
    if tags.strip() == "*":
        return True
    found = _ENTITY_TAG.findall(tags[:_MAX_HEADER])
    return any(opaque == etag and (is_weak or not weakness) for weakness, opaque in found)
