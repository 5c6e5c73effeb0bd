"""index.getRecordStatus: what became of a record."""

from appview.lookup import did_of, path_of
from appview.service import Context
from appview.status import record_status
from appview.views.index import record_status_view
from appview.xrpc.call import Output
from atprotocol.syntax.at_uri import parse_at_uri


async def get_record_status(context: Context) -> Output:
    """Return whether a record is indexed, and if not, why."""
    text = context.call.text("uri")
    uri = parse_at_uri(text)
    did = await did_of(context.connection, uri.authority)
    status = None if did is None else await record_status(context.connection, context.asker, did, path_of(uri))
    return record_status_view(text, status)
