"""index.requestSync: ask for a repository to be fetched, which is how one that no relay crawls gets in.

A row for each DID, which the indexer takes up. Strictly limited: by the caller's address and in total (the
server's rate limits), for each DID by a pause, and by how many may wait. The answer is the same for an account
that is hidden here.
"""

import re

from appview.service import Context
from appview.xrpc.call import Output
from appview.xrpc.errors import RATE_LIMIT_EXCEEDED, XrpcError

_INVALID_DID = "InvalidDid"
_RESOLVABLE = re.compile(r"did:plc:[a-z2-7]{24}|did:web:[a-zA-Z0-9.-]+(?:%3[Aa][0-9]{1,5})?")
# One that still waits keeps its turn.
_REQUEST = """
    WITH queued AS (
        INSERT INTO plyr.sync_requests AS r (did)
        SELECT $1 WHERE (SELECT count(*) FROM plyr.sync_requests WHERE taken_at IS NULL) < $3
        ON CONFLICT (did) DO UPDATE SET requested_at = now(), taken_at = NULL
            WHERE r.taken_at IS NOT NULL AND r.requested_at < now() - make_interval(secs => $2)
        RETURNING 1
    )
    SELECT
        EXISTS (SELECT FROM queued) AS is_queued,
        (SELECT count(*) FROM plyr.sync_requests WHERE taken_at IS NULL) >= $3 AS is_full,
        EXISTS (
            SELECT FROM plyr.sync_requests
            WHERE did = $1 AND (taken_at IS NULL OR requested_at >= now() - make_interval(secs => $2))
        ) AS is_recent
"""


async def request_sync(context: Context) -> Output:
    """Queue a DID, or say that it is queued already."""
    did, settings = str(context.call.body["did"]), context.settings
    if not _RESOLVABLE.fullmatch(did):
        raise XrpcError(400, _INVALID_DID, "The DID is of a method that cannot be resolved: did:plc and did:web can")
    row = await context.connection.fetchrow(
        _REQUEST, did, settings.sync_request_pause_seconds, settings.sync_request_backlog
    )
    if row["is_queued"]:
        return {"status": "queued"}
    if row["is_full"] and not row["is_recent"]:
        wait = {"Retry-After": str(settings.sync_request_pause_seconds)}
        raise XrpcError(429, RATE_LIMIT_EXCEEDED, "Too many requests are waiting already", wait)
    return {"status": "alreadyQueued"}
