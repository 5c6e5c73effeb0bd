"""Why something is not shown: every reason, and what it means to whoever came by whichever way.

The one place that decides. It is said twice, as a table for rows that were loaded and as SQL for filters that
must run before LIMIT; a test holds the two together. Whoever asks learns no reason: hidden answers exactly like
missing. Sources: https://atproto.com/specs/label, docs/reference/what-is-shown.md
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol, TypeVar

from appview.rows import ActorRow, LabelRow, State, TrackRow


class Seen(StrEnum):
    """How somebody came to the thing."""

    # We chose it: feeds for everybody, search, activity.
    DISCOVERY = "discovery"
    # It is at a place that they went to: an artist's tracks, somebody's likes, those whom they follow.
    LISTING = "listing"
    # They named it: by its URI, or as an item of a list.
    DIRECT = "direct"
    # They named it, and it is theirs.
    OWN = "own"
    # They fetch its sound.
    AUDIO = "audio"


class Verdict(StrEnum):
    """What becomes of it. What is flagged is shown with the labels that say why."""

    SHOWN = "shown"
    FLAGGED = "flagged"
    HIDDEN = "hidden"


class Reason(StrEnum):
    """Why something may not be shown."""

    ACCOUNT_UNKNOWN = "account-unknown"
    # Deactivated, suspended or deleted at its host, or taken down here: the indexer's word.
    ACCOUNT_NOT_VISIBLE = "account-not-visible"
    # Our own takedowns, which hide at once, before the indexer has heard of them.
    ACCOUNT_TAKEN_DOWN = "account-taken-down"
    RECORD_TAKEN_DOWN = "record-taken-down"
    UNLISTED = "unlisted"
    # A tag that most do not want to come across: whoever asks for the tag gets it.
    UNWANTED_TAG = "unwanted-tag"
    # By a label, of a configured labeler or (where it is theirs to say) of the author.
    LABELLED_TAKEDOWN = "labelled-takedown"
    LABELLED_HIDE = "labelled-hide"
    LABELLED_WARN = "labelled-warn"
    LABELLED_ADULT = "labelled-adult"
    LABELLED_COPYRIGHT = "labelled-copyright"
    # Not to be shown to whoever is not signed in; to others this is no reason at all.
    MEMBERS_ONLY = "members-only"


_S, _F, _H = Verdict.SHOWN, Verdict.FLAGGED, Verdict.HIDDEN


def _row(discovery: Verdict, listing: Verdict, direct: Verdict, own: Verdict, audio: Verdict) -> Mapping[Seen, Verdict]:
    return MappingProxyType(dict(zip(Seen, (discovery, listing, direct, own, audio), strict=True)))


TABLE: Final[Mapping[Reason, Mapping[Seen, Verdict]]] = MappingProxyType({
    #                            discovery, listing, direct, own, audio
    Reason.ACCOUNT_UNKNOWN:     _row(_H, _H, _H, _H, _H),
    Reason.ACCOUNT_NOT_VISIBLE: _row(_H, _H, _H, _H, _H),
    Reason.ACCOUNT_TAKEN_DOWN:  _row(_H, _H, _H, _H, _H),
    Reason.RECORD_TAKEN_DOWN:   _row(_H, _H, _H, _H, _H),
    Reason.LABELLED_TAKEDOWN:   _row(_H, _H, _H, _H, _H),
    Reason.MEMBERS_ONLY:        _row(_H, _H, _H, _S, _H),
    Reason.LABELLED_HIDE:       _row(_H, _H, _F, _F, _S),
    Reason.LABELLED_COPYRIGHT:  _row(_H, _H, _F, _F, _S),
    Reason.LABELLED_ADULT:      _row(_H, _F, _F, _F, _S),
    Reason.LABELLED_WARN:       _row(_F, _F, _F, _F, _S),
    Reason.UNLISTED:            _row(_H, _H, _S, _S, _S),
    Reason.UNWANTED_TAG:        _row(_H, _S, _S, _S, _S),
})  # fmt: skip

LABELS: Final[Mapping[str, Reason]] = MappingProxyType({
    "!takedown": Reason.LABELLED_TAKEDOWN,
    "!suspend": Reason.LABELLED_TAKEDOWN,
    "!hide": Reason.LABELLED_HIDE,
    "!warn": Reason.LABELLED_WARN,
    "!no-unauthenticated": Reason.MEMBERS_ONLY,
    "porn": Reason.LABELLED_ADULT,
    "sexual": Reason.LABELLED_ADULT,
    "nudity": Reason.LABELLED_ADULT,
    "graphic-media": Reason.LABELLED_ADULT,
    "copyright-violation": Reason.LABELLED_COPYRIGHT,
})  # fmt: skip
UNWANTED_TAGS: Final = ("ai", "ai-slop", "suno")


class Owned(Protocol):
    """A record of an account."""

    @property
    def actor_id(self) -> int:
        """Return the number of the account."""
        ...

    @property
    def uri(self) -> str:
        """Return its AT-URI."""
        ...

    @property
    def is_taken_down(self) -> bool:
        """Tell whether the record itself is taken down."""
        ...


_Owned = TypeVar("_Owned", bound=Owned)


def reasons_against_account(actor: ActorRow | None, state: State) -> Iterable[Reason]:
    """Yield why an account may not be shown; None is an account without a repository here."""
    if actor is None:
        yield Reason.ACCOUNT_UNKNOWN
        return
    if not actor.is_visible:
        yield Reason.ACCOUNT_NOT_VISIBLE
    if actor.is_taken_down:
        yield Reason.ACCOUNT_TAKEN_DOWN
    if state.labels:
        yield from reasons_of_labels(state.labels.get(actor.did, ()), state)


def reasons_against(record: Owned, state: State) -> Iterable[Reason]:
    """Yield why a record may not be shown, its account's reasons among them."""
    yield from reasons_against_account(state.actors.get(record.actor_id), state)
    if record.is_taken_down:
        yield Reason.RECORD_TAKEN_DOWN
    if state.labels:
        yield from reasons_of_labels(state.labels.get(record.uri, ()), state)
    if isinstance(record, TrackRow) and record.visibility != "public":
        yield Reason.UNLISTED


def reasons_of_labels(labels: Iterable[LabelRow], state: State) -> Iterable[Reason]:
    """Yield what labels that hold say against their subject."""
    for label in labels:
        reason = LABELS.get(label.val)
        if reason is not None and (reason is not Reason.MEMBERS_ONLY or state.viewer is None):
            yield reason


def verdict_on(reasons: Iterable[Reason], context: Seen) -> Verdict:
    """Return what becomes of something against which there are these reasons: the strictest of their verdicts."""
    verdicts = {TABLE[reason][context] for reason in reasons}
    return _H if _H in verdicts else _F if _F in verdicts else _S


def is_shown(reasons: Iterable[Reason], context: Seen) -> bool:
    """Tell whether something is shown in spite of these reasons."""
    return verdict_on(reasons, context) is not _H


def shown(rows: Mapping[int, _Owned], uri_ids: Sequence[int], state: State, context: Seen) -> list[_Owned]:
    """Return those of the rows that are shown, in the order of their numbers."""
    found = [rows[uri_id] for uri_id in uri_ids if uri_id in rows]
    return [
        row
        for row in found
        if is_beyond_doubt(row, state)
        or is_shown(reasons_against(row, state), _context_of(row.actor_id, state, context))
    ]


def is_beyond_doubt(record: Owned, state: State) -> bool:
    """Tell in one look, of most that is ever shown, that there are no reasons against it; False leaves it open."""
    if state.labels or record.is_taken_down:
        return False
    actor = state.actors.get(record.actor_id)
    if actor is None or not actor.is_visible or actor.is_taken_down:
        return False
    return not isinstance(record, TrackRow) or record.state.visibility == "public"


def shown_actor(actor_id: int, state: State, context: Seen = Seen.DIRECT) -> ActorRow | None:
    """Return an account if it is shown: as itself, or beside what it made."""
    actor = state.actors.get(actor_id)
    is_seen = is_shown(reasons_against_account(actor, state), _context_of(actor_id, state, context))
    return actor if is_seen else None


def _context_of(actor_id: int, state: State, context: Seen) -> Seen:
    is_own = context is Seen.DIRECT and state.viewer is not None and state.viewer.actor_id == actor_id
    return Seen.OWN if is_own else context


@dataclass(frozen=True, slots=True)
class SqlRules:
    """The same, as SQL conditions, for whoever comes by one way, signed in or not.

    Rows are named by expressions: `repo` is the alias of an account's row in network.repos, `did` its DID, `uri` and
    `uri_id` name a record, `track` is the alias of a row of network.tracks.
    """

    seen: Seen
    is_anonymous: bool = True

    def account(self, repo: str, did: str) -> str:
        """Return the condition that an account is shown."""
        return f"{repo}.visible AND {sql_not_taken_down(did)} AND {self._not_labelled(did, None)}"

    def record(self, repo: str, did: str, uri: str, uri_id: str) -> str:
        """Return the condition that a record of an account is shown."""
        return f"{repo}.visible AND {sql_not_taken_down(did, uri)} AND {self._not_labelled(f'{did}, {uri}', uri_id)}"

    def record_of_shown(self, uri: str, uri_id: str) -> str:
        """Return the condition that a record is shown of an account that is."""
        return f"{sql_not_taken_down(uri)} AND {self._not_labelled(uri, uri_id)}"

    def track(self, track: str, repo: str, did: str, overlay: str | None = None) -> str:
        """Return the condition that a track is shown, but for its tags.

        `overlay` is the alias of the track's row of plyr.track_overlays, or of the nothing that it has there.
        """
        is_record_shown = self.record(repo, did, f"{track}.uri", f"{track}.uri_id")
        if TABLE[Reason.UNLISTED][self.seen] is not _H:
            return is_record_shown
        return f"{track}.visibility = 'public' AND {_not_overlaid(track, overlay)} AND {is_record_shown}"

    def _not_labelled(self, subjects: str, uri_id: str | None) -> str:
        hiding = [
            value
            for value, reason in LABELS.items()
            if TABLE[reason][self.seen] is _H and (self.is_anonymous or reason is not Reason.MEMBERS_ONLY)
        ]
        values = ", ".join(f"'{value}'" for value in hiding)
        version = (
            "" if uri_id is None else f" OR l.cid = (SELECT d.cid FROM network.records d WHERE d.uri_id = {uri_id})"
        )
        return f"""NOT EXISTS (
            SELECT FROM network.labels l WHERE l.uri IN ({subjects}) AND l.val IN ({values}) AND {SQL_LABEL_HOLDS}
                AND (l.cid = ''{version}) OFFSET 0)"""


# `l` is the alias of a row of network.labels.
SQL_LABEL_HOLDS: Final = "NOT l.negated AND (l.expires_at IS NULL OR l.expires_at > now())"


def sql_not_taken_down(*subjects: str) -> str:
    """Return the SQL condition that no DID or URI of these, given as expressions, is taken down."""
    # OFFSET 0 keeps it a look into the index for each row: made a join, all takedowns would be compared with each.
    return f"NOT EXISTS (SELECT FROM plyr.takedowns WHERE subject IN ({', '.join(subjects)}) OFFSET 0)"


def sql_without_unwanted_tags(track: str) -> str:
    """Return the SQL condition that a track has no tag that is left out unless it is asked for."""
    tags = ", ".join(f"'{tag}'" for tag in UNWANTED_TAGS)
    return f"NOT {track}.tags && ARRAY[{tags}]"


def _not_overlaid(track: str, overlay: str | None) -> str:
    # Before the indexer has heard of an import, its word counts here already.
    if overlay is not None:
        return f"({track}.says_visibility OR {overlay}.visibility IS DISTINCT FROM 'unlisted')"
    return (
        f"({track}.says_visibility OR NOT EXISTS (SELECT FROM plyr.track_overlays"
        f" WHERE uri = {track}.uri AND visibility = 'unlisted'))"
    )
