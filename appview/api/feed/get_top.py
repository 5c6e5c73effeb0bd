"""feed.getTop: what was liked or played most in a period."""

from appview.api.tracks import page_of_tracks
from appview.api.words import known_word
from appview.feeds.ranked import ranked
from appview.service import Context
from appview.visibility import Seen
from appview.xrpc.call import Output

_PERIODS = ("day", "week", "month", "year", "all")
_MEASURES = ("likes", "plays")


async def get_top(context: Context) -> Output:
    """Return a page of the tracks with the most likes, or plays, of a period that ends now."""
    call = context.call
    ranking = f"{known_word(call, 'by', _MEASURES)}:{known_word(call, 'period', _PERIODS)}"
    page = await ranked(context.connection, context.asker, ranking, call.integer("limit"), call.after())
    return await page_of_tracks(context, page, Seen.DISCOVERY)
