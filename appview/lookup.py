"""From what a client wrote to the numbers of it: handles, DIDs and AT-URIs.

A handle names an account only while it is verified, and of several the one verified last. Nothing here
looks at visibility: a number of something hidden leads nowhere, as its rows are then judged.
"""

from collections.abc import Sequence

import asyncpg

from atprotocol.syntax.at_identifier import AtIdentifier, is_did, parse_at_identifier
from atprotocol.syntax.at_uri import AtUri, parse_at_uri

_DIDS_OF_HANDLES = """
    SELECT DISTINCT ON (r.handle) r.handle, a.did
    FROM network.repos r
    JOIN network.actors a ON a.actor_id = r.actor_id
    WHERE r.handle = ANY($1::text[]) AND r.handle_verified_at IS NOT NULL
    ORDER BY r.handle, r.handle_verified_at DESC
"""
_ACTOR_ID = "SELECT actor_id FROM network.actors WHERE did = $1"
_ACTOR_IDS = "SELECT did, actor_id FROM network.actors WHERE did = ANY($1::text[])"
_URI_IDS = """
    SELECT asked.number - 1 AS number, u.uri_id
    FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (did, path, number)
    JOIN network.actors a ON a.did = asked.did
    JOIN network.uris u ON u.actor_id = a.actor_id AND u.path = asked.path
"""


async def did_of(connection: asyncpg.Connection, identifier: AtIdentifier) -> str | None:
    """Return the DID of a DID or of a handle that is known."""
    return (await _dids_of(connection, [identifier]))[0]


async def actor_id_of(connection: asyncpg.Connection, identifier: str) -> int | None:
    """Return the number of an account by its DID or handle, None where it has none."""
    did = await did_of(connection, parse_at_identifier(identifier))
    return None if did is None else await connection.fetchval(_ACTOR_ID, did)


async def actor_ids_of(connection: asyncpg.Connection, identifiers: Sequence[str]) -> list[int | None]:
    """Return the numbers of accounts by their DIDs or handles in order, None for each that has none."""
    dids = await _dids_of(connection, [parse_at_identifier(identifier) for identifier in identifiers])
    rows = await connection.fetch(_ACTOR_IDS, [did for did in dids if did is not None])
    by_did = {row["did"]: row["actor_id"] for row in rows}
    return [None if did is None else by_did.get(did) for did in dids]


async def uri_ids_of(connection: asyncpg.Connection, uris: Sequence[str]) -> list[int | None]:
    """Return the numbers of AT-URIs in order, None for each that has none."""
    parsed = [parse_at_uri(uri) for uri in uris]
    dids = await _dids_of(connection, [uri.authority for uri in parsed])
    found: list[int | None] = [None] * len(uris)
    for row in await connection.fetch(_URI_IDS, dids, [path_of(uri) for uri in parsed]):
        found[row["number"]] = row["uri_id"]
    return found


async def uri_id_of(connection: asyncpg.Connection, uri: str) -> int | None:
    """Return the number of an AT-URI, None where it has none."""
    return (await uri_ids_of(connection, [uri]))[0]


def path_of(uri: AtUri) -> str:
    """Return collection and record key of a URI, empty where it names no record."""
    return "" if uri.record_key is None else f"{uri.collection}/{uri.record_key}"


async def _dids_of(connection: asyncpg.Connection, identifiers: Sequence[AtIdentifier]) -> list[str | None]:
    handles = {identifier.lower() for identifier in identifiers if not is_did(identifier)}
    by_handle: dict[str, str] = {}
    if handles:
        rows = await connection.fetch(_DIDS_OF_HANDLES, list(handles))
        by_handle = {row["handle"]: row["did"] for row in rows}
    return [str(each) if is_did(each) else by_handle.get(each.lower()) for each in identifiers]
