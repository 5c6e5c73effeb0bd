"""index.getStats: how much is indexed, and how fresh it is."""

from appview.service import Context
from appview.status import stats
from appview.views.index import stats_view
from appview.xrpc.call import Output


async def get_stats(context: Context) -> Output:
    """Return the figures of the whole index."""
    return stats_view(await stats(context.connection), context.settings.namespace, context.call.called_at)
