"""index.getRecordStatus, index.getRepoStatus, index.getStats and index.requestSync."""

from datetime import timedelta
from typing import Any

import pytest
from running_appview import Appview, StartAppview, within
from seeds import NOW, Account, Seeds
from xrpc_client import XrpcClient

from appview.xrpc.rate_limit import MethodLimits, Window

REV = "3mabcdefghijk"
PROBLEM = {"path": "/title", "rule": "maxLength", "message": "must be at most 256 bytes, is 300"}
DID = "did:plc:" + "a" * 24


async def _state(client: XrpcClient, uri: str) -> dict[str, Any]:
    answer = await client.answer("index.getRecordStatus", uri=uri)
    assert answer.pop("uri") == uri
    return answer


async def test_a_record_that_is_shown_is_indexed(client: XrpcClient, seeds: Seeds) -> None:
    account = await seeds.account()
    track = await seeds.track(account, at=NOW)
    like = await seeds.like(account, track, at=NOW)
    profile = await seeds.profile(account, source="bluesky")
    known = {"state": "indexed", "rev": REV, "indexedAt": "2026-11-22T10:00:00.000Z"}
    assert await _state(client, track.uri) == {**known, "cid": track.cid}
    assert await _state(client, track.uri.replace(account.did, account.handle)) == {**known, "cid": track.cid}
    assert await _state(client, like.uri) == {**known, "cid": like.cid}
    assert (await _state(client, profile.uri))["state"] == "indexed"


async def test_a_record_that_breaks_rules_is_told_which(client: XrpcClient, seeds: Seeds) -> None:
    account = await seeds.account()
    rejected = await seeds.record(account, "track", {}, verdict="rejected", problems=[PROBLEM])
    flagged = await seeds.record(account, "track", {}, verdict="flagged", problems=[PROBLEM])
    answer = await _state(client, rejected.uri)
    assert (answer["state"], answer["reasons"], answer["cid"]) == ("rejected", [PROBLEM], rejected.cid)
    answer = await _state(client, flagged.uri)
    assert (answer["state"], answer["reasons"]) == ("indexed", [{**PROBLEM, "severity": "flag"}])


@pytest.mark.parametrize(
    ("status", "cause", "told"),
    [
        ("synchronized", None, {"state": "unknown"}),
        ("desynchronized", "pds-unreachable", {"state": "pending", "cause": "pds-unreachable"}),
        ("too-large", "repo-too-large", {"state": "pending", "cause": "repo-too-large"}),
        ("error", None, {"state": "pending", "cause": "error"}),
    ],
)
async def test_a_record_that_is_not_here_waits_for_its_repository(
    client: XrpcClient, seeds: Seeds, status: str, cause: str | None, told: dict[str, str]
) -> None:
    account = await seeds.account(sync_status=status, cause=cause)
    deleted = await seeds.record(account, "track", {}, verdict="deleted")
    hidden = await seeds.track(account)
    await seeds.take_down(hidden.uri)
    never = f"at://{account.did}/fm.plyr.track/3zzzzzzzzzzzz"
    for uri in (never, deleted.uri, hidden.uri):
        assert await _state(client, uri) == told
    kept = await seeds.track(account)
    assert (await _state(client, kept.uri))["state"] == "indexed"


async def test_a_record_of_nobody_known_is_unknown(client: XrpcClient, seeds: Seeds) -> None:
    actor = await seeds.actor()
    for uri in (f"at://{actor.did}/fm.plyr.track/a", "at://did:plc:unknown/fm.plyr.track/a", "at://a.example.com/fm.plyr.track/a"):  # fmt: skip
        assert await _state(client, uri) == {"state": "unknown"}


async def test_a_repository_tells_how_far_it_is_known(client: XrpcClient, seeds: Seeds) -> None:
    account = await seeds.account(sync_status="desynchronized", cause="broken-chain")
    await seeds.execute("UPDATE network.repos SET retry_at = $2 WHERE actor_id = $1", account.actor_id, NOW + timedelta(hours=1))  # fmt: skip
    track = await seeds.track(account, at=NOW)
    await seeds.track(account, at=NOW - timedelta(days=1))
    await seeds.like(account, track, at=NOW - timedelta(days=1))
    await seeds.record(account, "comment", {}, verdict="rejected", problems=[PROBLEM], at=NOW - timedelta(days=1))
    await seeds.record(account, "like", {}, verdict="deleted")
    hidden = await seeds.track(account)
    await seeds.take_down(hidden.uri)
    assert await client.answer("index.getRepoStatus", did=account.did) == {
        "did": account.did,
        "state": "desynchronized",
        "cause": "broken-chain",
        "rev": REV,
        "recordCounts": [{"collection": "fm.plyr.like", "count": 1}, {"collection": "fm.plyr.track", "count": 2}],
        "rejectedCount": 1,
        "trackedAt": "2026-11-22T10:00:00.000Z",
        "synchronizedAt": "2026-11-22T10:00:00.000Z",
        "lastIndexedAt": "2026-11-22T10:00:00.000Z",
        "nextAttemptAt": "2026-11-22T11:00:00.000Z",
    }


async def test_a_repository_that_is_not_followed_is_unknown(client: XrpcClient, seeds: Seeds) -> None:
    empty = await seeds.account()
    assert (await client.answer("index.getRepoStatus", did=empty.did))["recordCounts"] == []
    for did in ((await seeds.actor()).did, "did:plc:unknown"):
        assert await client.answer("index.getRepoStatus", did=did) == {"did": did, "state": "unknown"}


async def test_an_empty_index_counts_nothing(client: XrpcClient) -> None:
    nothing = dict.fromkeys(("tracks", "likes", "comments", "lists", "profiles", "repos", "rejected"), 0)
    assert await client.answer("index.getStats") == {"totals": nothing, "upstreams": [], "repoStates": []}


async def test_the_index_tells_its_figures_and_how_far_behind_it_is(client: XrpcClient, seeds: Seeds) -> None:
    for status in ("synchronized", "synchronized", "error"):
        await seeds.account(sync_status=status)
    for collection, accepted, rejected in (("fm.plyr.track", 5, 1), ("fm.plyr.actor.profile", 2, 0), ("app.bsky.actor.profile", 9, 2)):  # fmt: skip
        await seeds.execute("INSERT INTO network.collection_totals VALUES ($1, $2, $3)", collection, accepted, rejected)
    for host, event_time in (("relay.example", NOW - timedelta(seconds=3.9)), ("slow.example", NOW - timedelta(seconds=70)), ("ahead.example", NOW + timedelta(seconds=5)), ("new.example", None)):  # fmt: skip
        await seeds.execute("INSERT INTO network.cursors VALUES ($1, 'subscribeRepos', 7, $2)", host, event_time)
    await seeds.execute("INSERT INTO network.cursors VALUES ('odd.example', 'subscribeRepos', 7, '-infinity')")
    answer = await client.answer("index.getStats")
    assert answer["totals"] == {"tracks": 5, "likes": 0, "comments": 0, "lists": 0, "profiles": 2, "repos": 3, "rejected": 3}  # fmt: skip
    assert answer["repoStates"] == [{"state": "error", "count": 1}, {"state": "synchronized", "count": 2}]
    assert answer["lagSeconds"] == 70
    assert {each["host"]: each.get("lagSeconds") for each in answer["upstreams"]} == {
        "ahead.example": 0,
        "new.example": None,
        "odd.example": None,
        "relay.example": 3,
        "slow.example": 70,
    }
    assert answer["upstreams"][3] == {"host": "relay.example", "cursor": 7, "lagSeconds": 3, "lastEventAt": "2026-11-22T09:59:56.100Z"}  # fmt: skip


async def _rows(seeds: Seeds) -> list[tuple[str, bool]]:
    rows = await seeds.connection.fetch(
        "SELECT did, taken_at IS NOT NULL AS taken FROM plyr.sync_requests ORDER BY did"
    )
    return [(row["did"], row["taken"]) for row in rows]


async def _ask(client: XrpcClient, did: str) -> tuple[int, str]:
    response = await client.post("index.requestSync", {"did": did})
    return response.status_code, response.json().get("status") or response.json()["error"]


async def test_a_request_waits_once_until_the_indexer_takes_it_and_a_pause_has_passed(
    client: XrpcClient, seeds: Seeds
) -> None:
    assert [await _ask(client, DID) for _ in range(2)] == [(200, "queued"), (200, "alreadyQueued")]
    assert await _rows(seeds) == [(DID, False)]
    await seeds.execute("UPDATE plyr.sync_requests SET requested_at = now() - interval '1 day'")
    before = await seeds.connection.fetchval("SELECT requested_at FROM plyr.sync_requests")
    assert await _ask(client, DID) == (200, "alreadyQueued")
    assert await seeds.connection.fetchval("SELECT requested_at FROM plyr.sync_requests") == before
    await seeds.execute("UPDATE plyr.sync_requests SET taken_at = now(), requested_at = now()")
    assert await _ask(client, DID) == (200, "alreadyQueued")
    await seeds.execute("UPDATE plyr.sync_requests SET requested_at = now() - interval '11 minutes'")
    assert await _ask(client, DID) == (200, "queued")
    assert await _rows(seeds) == [(DID, False)]


@pytest.mark.parametrize(
    ("did", "answer"),
    [
        ("did:web:artist.example.com", (200, "queued")),
        ("did:web:localhost%3A2583", (200, "queued")),
        ("did:plc:short", (400, "InvalidDid")),
        ("did:key:zQ3shunBKsXixLxKtC5qeSG9E4J5RkGN57im31pcTzbNQnm5w", (400, "InvalidDid")),
        ("did:web:example.com:user", (400, "InvalidDid")),
        ("artist.example.com", (400, "InvalidRequest")),
    ],
)
async def test_only_what_can_be_resolved_is_queued(
    client: XrpcClient, seeds: Seeds, did: str, answer: tuple[int, str]
) -> None:
    assert await _ask(client, did) == answer
    assert len(await _rows(seeds)) == (1 if answer[0] == 200 else 0)


async def test_only_so_many_requests_wait_whoever_asks(start_appview: StartAppview) -> None:
    appview = await start_appview(sync_request_backlog=2)
    dids = [DID[:-1] + letter for letter in "bcd"]
    assert [await _ask(appview.client, did) for did in dids] == [
        (200, "queued"),
        (200, "queued"),
        (429, "RateLimitExceeded"),
    ]
    assert await _ask(appview.client, dids[0]) == (200, "alreadyQueued")
    await appview.seeds.execute("UPDATE plyr.sync_requests SET taken_at = now()")
    assert await _ask(appview.client, dids[2]) == (200, "queued")


async def test_an_address_asks_rarely_and_all_together_not_often(start_appview: StartAppview, catalog: Any) -> None:
    limits = MethodLimits(by_address=(Window(2, 3600),), in_total=(Window(3, 3600),))
    appview = await start_appview(sync_request_limits=limits)
    other = XrpcClient(within(appview.app, "192.0.2.2"), catalog, "fm.plyr")
    assert [(await _ask(appview.client, DID))[0] for _ in range(3)] == [200, 200, 429]
    assert [(await _ask(other, DID))[0] for _ in range(2)] == [200, 429]
    assert (await appview.client.get("feed.getLatest")).status_code == 200
    appview.clock.move(3600)
    assert (await _ask(appview.client, DID))[0] == 200


async def test_a_hidden_account_is_queued_like_any_other(appview: Appview) -> None:
    hidden: Account = await appview.seeds.account(did=DID, takendown=True, active=False)
    await appview.seeds.take_down(hidden.did)
    assert await _ask(appview.client, hidden.did) == (200, "queued")
