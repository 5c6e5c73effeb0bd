"""Read one record of our collections: bytes to a verdict, the JSON that views return, and a projection.

Pure. Nothing is lost: what cannot be read, or breaks its lexicon, is rejected with reasons and kept beside
the good ones. Which collections are ours follows from the namespace in the settings; their lexicons are in the catalog.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson

from atprotocol.cbor import decode
from atprotocol.data_model import Value, to_json
from atprotocol.errors import EncodingError, InvalidSyntax
from atprotocol.lexicon.catalog import Catalog
from atprotocol.lexicon.problems import LENIENT, Problem, Severity, Validator
from indexer.collections import comment, follow, like, profile, track
from indexer.collections import list as track_list
from indexer.collections.projection import Projection, Record, instant_of

BLUESKY_PROFILE: Final = "app.bsky.actor.profile"
BLUESKY_FOLLOW: Final = "app.bsky.graph.follow"

Project = Callable[[Record], Projection | None]
_OWN: Final[Mapping[str, tuple[Project, bool]]] = {
    # name within the namespace: (projection, whether a view returns the record verbatim)
    "track": (track.project, True),
    "like": (like.project, False),
    "comment": (comment.project, True),
    "list": (track_list.project, True),
    "actor.profile": (profile.project, True),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a record is to us. `json` and `projection` are None unless it is accepted or flagged.

    Without `keeps_raw` the projection says all that is ever wanted of it.
    """

    verdict: str
    problems: tuple[Problem, ...]
    json: str | None
    projection: Projection | None
    created_at: datetime | None
    keeps_raw: bool = True


@dataclass(frozen=True, slots=True)
class _Rule:
    nsid: str
    validate: Validator
    project: Project
    keeps_json: bool
    keeps_raw: bool = True


class RecordReader:
    """The collections of one namespace, each with its validator and its projection."""

    def __init__(self, catalog: Catalog, namespace: str) -> None:
        """Compile the validators. Raises LexiconError when a collection has no lexicon."""
        self._catalog = catalog
        self._rules: dict[str, _Rule] = {}
        for name, (project, keeps_json) in _OWN.items():
            nsid = f"{namespace}.{name}"
            self._rules[nsid] = _Rule(nsid, catalog.record_validator(nsid, LENIENT), project, keeps_json)
        self.own_collections = frozenset(self._rules)
        self._rules[BLUESKY_PROFILE] = _Rule(
            BLUESKY_PROFILE, catalog.record_validator(BLUESKY_PROFILE, LENIENT), profile.project_bluesky, False
        )
        self._rules[BLUESKY_FOLLOW] = _Rule(
            BLUESKY_FOLLOW, catalog.record_validator(BLUESKY_FOLLOW, LENIENT), follow.project, False, False
        )
        self.collections = frozenset(self._rules)
        # Of the others nothing is kept that could be read again.
        self.reread_collections = frozenset(nsid for nsid, rule in self._rules.items() if rule.keeps_raw)

    def read(self, path: str, raw: bytes) -> Reading:
        """Read the record at a path of one of our collections, whatever the bytes are."""
        collection, _, record_key = path.partition("/")
        rule = self._rules[collection]
        try:
            value = decode(raw)
        except EncodingError as error:
            return _rejected(Problem("", "cbor", str(error)))
        if not isinstance(value, dict):
            return _rejected(Problem("", "type", "a record is an object"))
        problems = rule.validate(value)
        if (bad_key := self._catalog.check_record_key(rule.nsid, record_key)) is not None:
            problems.append(bad_key)
        created_at = _created_at(value)
        if any(problem.severity is Severity.REJECT for problem in problems):
            return Reading("rejected", tuple(problems), None, None, created_at)
        projection = rule.project(value)
        if projection is None:
            return Reading(
                "rejected",
                (
                    Problem(
                        "/subject", "subject", "a subject names a record by the DID of its account, collection and key"
                    ),
                ),
                None,
                None,
                created_at,
            )
        json = orjson.dumps(to_json(value)).decode() if rule.keeps_json else None
        verdict = "flagged" if problems else "accepted"
        return Reading(verdict, tuple(problems), json, projection, created_at, rule.keeps_raw)


def _rejected(problem: Problem) -> Reading:
    return Reading("rejected", (problem,), None, None, None)


def _created_at(value: Mapping[str, Value]) -> datetime | None:
    """Return when the author says it was made, if that can be read at all."""
    text = value.get("createdAt")
    if not isinstance(text, str):
        return None
    try:
        return instant_of(text)
    except InvalidSyntax:
        return None
