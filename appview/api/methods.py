"""The table of methods: the name within the namespace, and the code that answers. One line for each."""

from collections.abc import Mapping
from typing import Final

from appview.api.actor.get_profile import get_profile
from appview.api.feed.get_actor_tracks import get_actor_tracks
from appview.api.feed.get_comments import get_comments
from appview.api.feed.get_latest import get_latest
from appview.api.feed.get_likes import get_likes
from appview.api.feed.get_track import get_track
from appview.api.feed.get_tracks import get_tracks
from appview.api.index.get_record_status import get_record_status
from appview.api.index.get_repo_status import get_repo_status
from appview.api.index.get_stats import get_stats
from appview.api.index.request_sync import request_sync
from appview.api.library.get_list import get_list
from appview.service import MethodOf

REQUEST_SYNC: Final = "index.requestSync"

METHODS: Final[Mapping[str, MethodOf]] = {
    "actor.getProfile": get_profile,
    "feed.getActorTracks": get_actor_tracks,
    "feed.getComments": get_comments,
    "feed.getLatest": get_latest,
    "feed.getLikes": get_likes,
    "feed.getTrack": get_track,
    "feed.getTracks": get_tracks,
    "index.getRecordStatus": get_record_status,
    "index.getRepoStatus": get_repo_status,
    "index.getStats": get_stats,
    REQUEST_SYNC: request_sync,
    "library.getList": get_list,
}
