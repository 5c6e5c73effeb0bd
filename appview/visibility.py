"""Why something is not shown: every reason, and where it counts.

The one place that decides. It is said twice, as a table for rows that were loaded and as SQL for filters that
must run before LIMIT; a test holds the two together. Whoever asks learns no reason: hidden answers exactly like missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol, TypeVar

from appview.rows import ActorRow, State, TrackRow


class Seen(StrEnum):
    """How somebody came to the thing: a feed brought it, or they asked for it by its URI."""

    LISTING = "listing"
    DIRECT = "direct"


class Reason(StrEnum):
    """Why something may not be shown."""

    ACCOUNT_UNKNOWN = "account-unknown"
    ACCOUNT_NOT_VISIBLE = "account-not-visible"
    ACCOUNT_TAKEN_DOWN = "account-taken-down"
    RECORD_TAKEN_DOWN = "record-taken-down"
    UNLISTED = "unlisted"


SHOWN_IN: Final[Mapping[Reason, frozenset[Seen]]] = MappingProxyType({
    Reason.ACCOUNT_UNKNOWN: frozenset(),
    # Deactivated, suspended or deleted at its host, or taken down here: the indexer's word.
    Reason.ACCOUNT_NOT_VISIBLE: frozenset(),
    # Our own takedowns, which hide at once, before the indexer has heard of them.
    Reason.ACCOUNT_TAKEN_DOWN: frozenset(),
    Reason.RECORD_TAKEN_DOWN: frozenset(),
    Reason.UNLISTED: frozenset({Seen.DIRECT}),
})  # fmt: skip


class Owned(Protocol):
    """A record of an account."""

    @property
    def actor_id(self) -> int:
        """Return the number of the account."""
        ...

    @property
    def is_taken_down(self) -> bool:
        """Tell whether the record itself is taken down."""
        ...


_Owned = TypeVar("_Owned", bound=Owned)


def reasons_against_account(actor: ActorRow | None) -> Iterable[Reason]:
    """Yield why an account may not be shown; None is an account without a repository here."""
    if actor is None:
        yield Reason.ACCOUNT_UNKNOWN
        return
    if not actor.is_visible:
        yield Reason.ACCOUNT_NOT_VISIBLE
    if actor.is_taken_down:
        yield Reason.ACCOUNT_TAKEN_DOWN


def reasons_against(record: Owned, state: State) -> Iterable[Reason]:
    """Yield why a record may not be shown, its account's reasons among them."""
    yield from reasons_against_account(state.actors.get(record.actor_id))
    if record.is_taken_down:
        yield Reason.RECORD_TAKEN_DOWN
    if isinstance(record, TrackRow) and record.visibility != "public":
        yield Reason.UNLISTED


def is_shown(reasons: Iterable[Reason], context: Seen) -> bool:
    """Tell whether something is shown in spite of these reasons."""
    return all(context in SHOWN_IN[reason] for reason in reasons)


def shown(rows: Mapping[int, _Owned], uri_ids: Sequence[int], state: State, context: Seen) -> list[_Owned]:
    """Return those of the rows that are shown, in the order of their numbers."""
    found = (rows[uri_id] for uri_id in uri_ids if uri_id in rows)
    return [row for row in found if is_shown(reasons_against(row, state), context)]


def shown_actor(actor_id: int, state: State) -> ActorRow | None:
    """Return an account if it is shown."""
    actor = state.actors.get(actor_id)
    return actor if is_shown(reasons_against_account(actor), Seen.LISTING) else None


def sql_not_taken_down(subject: str) -> str:
    """Return the SQL condition that a DID or a URI, given as an expression, is not taken down."""
    return f"NOT EXISTS (SELECT FROM plyr.takedowns WHERE subject = {subject})"


def sql_account_shown(repo: str, did: str) -> str:
    """Return the SQL condition that an account is shown; `repo` is the alias of its row in network.repos."""
    return f"{repo}.visible AND {sql_not_taken_down(did)}"


def sql_record_shown(repo: str, did: str, uri: str) -> str:
    """Return the SQL condition that a record of an account is shown to whoever asks for it."""
    return f"{sql_account_shown(repo, did)} AND {sql_not_taken_down(uri)}"


def sql_track_listed(track: str, repo: str, did: str) -> str:
    """Return the SQL condition that a track is shown in listings; `track` is the alias of its row."""
    return f"{track}.visibility = 'public' AND {sql_record_shown(repo, did, f'{track}.uri')}"
