"""index.getRecordStatus: what became of a record, and of the audio that it names."""

from appview.lookup import did_of, path_of
from appview.media.blob_rows import load_sound
from appview.media.external import load_external
from appview.service import Context
from appview.status import audio_of, record_status
from appview.views.index import record_status_view
from appview.views.playback import audio_status, external_status
from appview.xrpc.call import Output
from atprotocol.syntax.at_uri import parse_at_uri

_WITH_AUDIO = ("accepted", "flagged")


async def get_record_status(context: Context) -> Output:
    """Return whether a record is indexed, and if not, why; and how far its audio is known."""
    text = context.call.text("uri")
    uri = parse_at_uri(text)
    did = await did_of(context.connection, uri.authority)
    if did is None:
        return record_status_view(text, None)
    path = path_of(uri)
    status = await record_status(context.connection, context.asker, did, path)
    audio = None
    if status is not None and status.verdict in _WITH_AUDIO:
        cid, url = await audio_of(context.connection, did, path)
        if cid is not None:
            audio = audio_status(await load_sound(context.connection, cid))
        elif url is not None and (found := await load_external(context.connection, url)) is not None:
            audio = external_status(found)
    return record_status_view(text, status, audio)
