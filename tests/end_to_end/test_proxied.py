"""Through the reference PDS to the appview and back: viewers by their own host's word, and what they wrote in what they read."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from account import Account
from postgres import PostgresForTests
from proxied_stage import GUARD_SECONDS, TRACK, Stage, brief, staged, track

pytestmark = pytest.mark.xdist_group("local-network")
LATEST = "fm.plyr.feed.getLatest"
REQUEST_SYNC = "fm.plyr.index.requestSync"


@dataclass
class People:
    """One account that publishes, one that we never heard of."""

    artist: Account
    stranger: Account


@pytest.fixture(scope="module")
async def stage(postgres: PostgresForTests, migrated: str) -> AsyncIterator[Stage]:
    async with staged(postgres.create_database(template=migrated)) as stage:
        yield stage


@pytest.fixture(scope="module")
async def people(stage: Stage) -> People:
    net = stage.net
    return People(await net.create_account("artist.pds1.test"), await net.create_account("stranger.pds1.test"))


async def test_what_was_written_is_read_once_the_answer_says_its_rev(stage: Stage, people: People) -> None:
    for title in ("First", "Second", "Third"):
        written = await people.artist.create_record(TRACK, track(title))
        assert written.rev is not None
        async with asyncio.timeout(GUARD_SECONDS):
            while True:
                response = await stage.through(people.artist, LATEST)
                assert response.status_code == 200, response.text
                rev = response.headers.get("atproto-repo-rev")
                titles = [view["title"] for view in response.json()["tracks"]]
                if rev is not None and rev >= written.rev:
                    break
                await asyncio.sleep(0.02)
        assert title in titles
        assert rev == written.rev
    latest = await people.artist.query("com.atproto.sync.getLatestCommit", did=people.artist.did)
    assert rev == latest["rev"]


async def test_a_viewer_that_is_not_indexed_is_known_by_the_directory(stage: Stage, people: People) -> None:
    response = await stage.through(people.stranger, LATEST)
    assert response.status_code == 200
    assert "atproto-repo-rev" not in response.headers


async def test_errors_and_procedures_come_through_the_host(stage: Stage, people: People) -> None:
    assert brief(await stage.through(people.artist, LATEST, params={"limit": "0"})) == (400, "InvalidRequest")
    assert brief(await stage.through(people.artist, "fm.plyr.feed.getNothing")) == (501, "MethodNotImplemented")
    missing = await stage.through(people.artist, "fm.plyr.feed.getTrack", params={"uri": f"at://{people.artist.did}/{TRACK}/x"})  # fmt: skip
    assert brief(missing) == (400, "TrackNotFound")
    nonsense = await stage.through(people.artist, LATEST, headers={"atproto-accept-labelers": "a;;"})
    assert brief(nonsense) == (400, "InvalidRequest")
    for status in ("queued", "alreadyQueued"):
        # The host signs each call anew, so the second is no replay.
        asked = await stage.through(people.artist, REQUEST_SYNC, "POST", json={"did": people.stranger.did})
        assert (asked.status_code, asked.json()) == (200, {"status": status})
    head = await stage.through(people.artist, LATEST, "HEAD")
    assert head.status_code == 200


@pytest.mark.parametrize("fragment", ["", "#plyr_appview"])
async def test_a_token_of_the_host_is_good_for_its_method_alone(stage: Stage, people: People, fragment: str) -> None:
    token = await stage.token(people.artist, aud=stage.did + fragment, lxm=LATEST)
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["aud"] == stage.did + fragment
    assert {"iss", "lxm", "iat", "exp", "jti"} <= claims.keys()
    for _ in range(2):
        response = await stage.direct(LATEST, token)
        assert response.status_code == 200, response.text
        assert response.headers["cache-control"] == "private, no-store"
    other = await stage.direct("fm.plyr.index.getStats", token)
    assert brief(other) == (401, "BadJwtLexiconMethod")
    assert other.headers["www-authenticate"].startswith("Bearer ")


async def test_tokens_that_are_not_for_this_are_refused(stage: Stage, people: People) -> None:
    unbound = await stage.token(people.artist, aud=stage.did)
    assert brief(await stage.direct(LATEST, unbound)) == (401, "BadJwtLexiconMethod")
    elsewhere = await stage.token(people.artist, aud=f"{stage.did}#plyr_labeler", lxm=LATEST)
    assert brief(await stage.direct(LATEST, elsewhere)) == (401, "BadJwtAudience")
    # A session's own token is one of the host's, however well it is signed.
    assert (await stage.direct(LATEST, people.artist.access_jwt)).status_code == 401


async def test_a_long_token_calls_a_procedure_once(stage: Stage, people: People) -> None:
    expiry = str(int(time.time()) + 3500)
    token = await stage.token(people.artist, aud=stage.did, lxm=REQUEST_SYNC, exp=expiry)
    body = {"did": "did:web:nobody.example.com"}
    assert brief(await stage.direct(REQUEST_SYNC, token, "POST", json=body)) == (200, None)
    assert brief(await stage.direct(REQUEST_SYNC, token, "POST", json=body)) == (401, "InvalidToken")
