"""What a labeler says at present, page by page: com.atproto.label.queryLabels for everything that it ever labeled.

Labels are handed on as the maps that were signed; nothing is decoded or verified here. That the labeler does not know the
query, or not in this form, is told apart from all other failures, which mean: try again.
Source: https://atproto.com/specs/label#label-distribution
"""

from collections.abc import AsyncIterator

from atprotocol.data_model import Json, Value, from_json
from atprotocol.errors import EncodingError, NetworkError, QueryRefused
from atprotocol.net.http import BoundedClient
from atprotocol.net.repos import error_of, xrpc_url
from atprotocol.syntax.did import DID

METHOD = "com.atproto.label.queryLabels"
PAGE_LIMIT = 250
# A label's subject alone may have 8 kB.
MAX_PAGE_BYTES = 5_000_000
_PASSING = frozenset((408, 425, 429))


async def query_labels(client: BoundedClient, labeler: str, source: DID) -> AsyncIterator[list[Value]]:
    """Yield the labels of a source that the labeler at this origin gives, page by page.

    What is no JSON of the data model comes as None. Raises QueryRefused, or NetworkError, also when the cursor stands still.
    """
    cursor: str | None = None
    while True:
        asked = {"uriPatterns": "*", "sources": source, "limit": str(PAGE_LIMIT)}
        url = xrpc_url(labeler, METHOD, **(asked if cursor is None else asked | {"cursor": cursor}))
        response = await client.get(url, max_bytes=MAX_PAGE_BYTES)
        if response.status != 200:
            if response.status == 501 or (400 <= response.status < 500 and response.status not in _PASSING):
                raise QueryRefused(f"{url}: status {response.status} {error_of(response.body)[0]}".rstrip())
            wait = response.retry_after_seconds
            raise NetworkError(f"{url}: status {response.status}", retry_after_seconds=wait)
        answer = response.json()
        labels = answer.get("labels") if isinstance(answer, dict) else None
        following = answer.get("cursor") if isinstance(answer, dict) else None
        if not isinstance(labels, list):
            raise NetworkError(f"{url}: no `labels` in the answer")
        if following is not None and (not isinstance(following, str) or following == cursor):
            raise NetworkError(f"{url}: the cursor does not move")
        # Some say where to go on from even behind the last page.
        if labels:
            yield [_value(label) for label in labels]
        if not labels or not following:
            return
        cursor = following


def _value(label: Json) -> Value:
    try:
        return from_json(label)
    except EncodingError:
        return None
