"""Accounts as JSON: actor.defs. What an account's own profile lacks is taken from its Bluesky profile."""

from typing import Final

from appview.rows import ActorRow, ProfileFacts, State
from appview.views.formats import instant_text, present
from appview.views.labels import label_views
from appview.xrpc.call import Output
from atprotocol.syntax.handle import INVALID_HANDLE

# The size in which pictures of accounts are shown.
AVATAR: Final = "avatar"


def profile_view_basic(actor: ActorRow, state: State) -> Output:
    """Return an account as shown beside what it made: actor.defs#profileViewBasic."""
    return present({
        "did": actor.did,
        "handle": actor.handle or INVALID_HANDLE,
        "displayName": actor.display_name,
        "avatar": avatar_url(actor, state),
        "labels": label_views(state.subjects_of(actor), state) if state.labels else None,
    })  # fmt: skip


def profile_view(actor: ActorRow, state: State) -> Output:
    """Return an account as shown among others: actor.defs#profileView."""
    viewer = None
    if state.viewer is not None:
        follows = {
            "following": state.following.get(actor.actor_id),
            "followedBy": state.followed_by.get(actor.actor_id),
        }
        viewer = present(follows)
    return profile_view_basic(actor, state) | present({"bio": actor.bio, "viewer": viewer})


def profile_view_detailed(actor: ActorRow, facts: ProfileFacts, state: State) -> Output:
    """Return an account as shown on a page of its own: actor.defs#profileViewDetailed."""
    details = {
        "createdAt": facts.created_at,
        "indexedAt": None if facts.indexed_at is None else instant_text(facts.indexed_at),
        "tracksCount": facts.tracks_count,
        "albumsCount": facts.albums_count,
        "playlistsCount": facts.playlists_count,
        "likesGivenCount": facts.likes_given_count,
        "playsCount": facts.plays_count,
    }
    return profile_view(actor, state) | present(details)


def avatar_url(actor: ActorRow, state: State) -> str | None:
    """Return where a picture of the account can be seen: as its own profile says, or else the one at Bluesky."""
    return (
        state.places.image(AVATAR, actor.did, actor.avatar_cid)
        or state.places.believed(actor.avatar_url)
        or state.places.image(AVATAR, actor.did, actor.bluesky_avatar_cid)
    )
