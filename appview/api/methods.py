"""The table of methods: the name within the namespace, and the code that answers. One line for each."""

from collections.abc import Mapping
from typing import Final

from appview.api.actor.get_profile import get_profile
from appview.api.actor.get_profiles import get_profiles
from appview.api.actor.search_actors import search_actors
from appview.api.feed.get_activity import get_activity
from appview.api.feed.get_actor_likes import get_actor_likes
from appview.api.feed.get_actor_tracks import get_actor_tracks
from appview.api.feed.get_comments import get_comments
from appview.api.feed.get_for_you import get_for_you
from appview.api.feed.get_hot import get_hot
from appview.api.feed.get_latest import get_latest
from appview.api.feed.get_likes import get_likes
from appview.api.feed.get_playback import get_playback
from appview.api.feed.get_related import get_related
from appview.api.feed.get_tagged import get_tagged
from appview.api.feed.get_tags import get_tags
from appview.api.feed.get_timeline import get_timeline
from appview.api.feed.get_top import get_top
from appview.api.feed.get_track import get_track
from appview.api.feed.get_tracks import get_tracks
from appview.api.feed.record_play import record_play
from appview.api.feed.search_tracks import search_tracks
from appview.api.index.get_record_status import get_record_status
from appview.api.index.get_repo_status import get_repo_status
from appview.api.index.get_stats import get_stats
from appview.api.index.request_sync import request_sync
from appview.api.index.resolve_legacy_id import resolve_legacy_id
from appview.api.library.get_actor_lists import get_actor_lists
from appview.api.library.get_list import get_list
from appview.api.library.get_lists import get_lists
from appview.api.library.get_lists_with_track import get_lists_with_track
from appview.api.library.search_lists import search_lists
from appview.service import MethodOf

REQUEST_SYNC: Final = "index.requestSync"
RECORD_PLAY: Final = "feed.recordPlay"

# What answers nobody but signed-in viewers.
VIEWERS_ONLY: Final = frozenset(("feed.getForYou", "feed.getTimeline"))

METHODS: Final[Mapping[str, MethodOf]] = {
    "actor.getProfile": get_profile,
    "actor.getProfiles": get_profiles,
    "actor.searchActors": search_actors,
    "feed.getActivity": get_activity,
    "feed.getActorLikes": get_actor_likes,
    "feed.getActorTracks": get_actor_tracks,
    "feed.getComments": get_comments,
    "feed.getForYou": get_for_you,
    "feed.getHot": get_hot,
    "feed.getLatest": get_latest,
    "feed.getLikes": get_likes,
    "feed.getPlayback": get_playback,
    "feed.getRelated": get_related,
    "feed.getTagged": get_tagged,
    "feed.getTags": get_tags,
    "feed.getTimeline": get_timeline,
    "feed.getTop": get_top,
    "feed.getTrack": get_track,
    "feed.getTracks": get_tracks,
    RECORD_PLAY: record_play,
    "feed.searchTracks": search_tracks,
    "index.getRecordStatus": get_record_status,
    "index.getRepoStatus": get_repo_status,
    "index.getStats": get_stats,
    REQUEST_SYNC: request_sync,
    "index.resolveLegacyId": resolve_legacy_id,
    "library.getActorLists": get_actor_lists,
    "library.getList": get_list,
    "library.getLists": get_lists,
    "library.getListsWithTrack": get_lists_with_track,
    "library.searchLists": search_lists,
}
