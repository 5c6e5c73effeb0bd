"""Through the reference PDS to the appview and back: viewers by their own host's word, and what they wrote in what they read."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from account import Account
from local_network import Network, network
from postgres import PostgresForTests
from relay import relay
from running_plyr import RunningPlyr, plyr_up

pytestmark = pytest.mark.xdist_group("local-network")
GUARD_SECONDS = 60
TRACK = "fm.plyr.track"
LATEST = "fm.plyr.feed.getLatest"
REQUEST_SYNC = "fm.plyr.index.requestSync"


@dataclass
class Stage:
    """The network, our programs on it, and two accounts: one that publishes, one that we never heard of."""

    net: Network
    plyr: RunningPlyr
    artist: Account
    stranger: Account

    @property
    def did(self) -> str:
        """Return the service's DID."""
        return f"did:web:localhost%3A{self.plyr.port}"

    async def through(self, account: Account, method: str, verb: str = "GET", **arguments: Any) -> httpx.Response:
        """Call a method of ours through an account's PDS."""
        headers = {"Authorization": f"Bearer {account.access_jwt}", "atproto-proxy": f"{self.did}#plyr_appview"}
        headers |= arguments.pop("headers", {})
        return await self.net.http.request(verb, f"{account.pds.url}/xrpc/{method}", headers=headers, **arguments)

    async def token(self, account: Account, **claims: str) -> str:
        """Return a token that the account's PDS signs."""
        token: str = (await account.query("com.atproto.server.getServiceAuth", **claims))["token"]
        return token

    async def direct(self, method: str, token: str, verb: str = "GET", **arguments: Any) -> httpx.Response:
        """Call a method of ours with a token."""
        headers = {"Authorization": f"Bearer {token}"}
        return await self.net.http.request(verb, f"{self.plyr.url}/xrpc/{method}", headers=headers, **arguments)


def brief(response: httpx.Response) -> tuple[int, Any]:
    return response.status_code, response.json().get("error")


def track(title: str) -> dict[str, Any]:
    return {"$type": TRACK, "title": title, "artist": "A", "fileType": "mp3", "createdAt": "2026-01-01T00:00:00Z"}


@pytest.fixture(scope="module")
async def stage(postgres: PostgresForTests, migrated: str) -> AsyncIterator[Stage]:
    url = postgres.create_database(template=migrated)
    async with (
        network(pds=1) as net,
        relay(net.plc_url, [net.pds[0].url]) as hub,
        plyr_up(net, hub, url) as plyr,
    ):
        artist, stranger = await net.create_account("artist.pds1.test"), await net.create_account("stranger.pds1.test")
        yield Stage(net, plyr, artist, stranger)


async def test_what_was_written_is_read_once_the_answer_says_its_rev(stage: Stage) -> None:
    for title in ("First", "Second", "Third"):
        written = await stage.artist.create_record(TRACK, track(title))
        assert written.rev is not None
        async with asyncio.timeout(GUARD_SECONDS):
            while True:
                response = await stage.through(stage.artist, LATEST)
                assert response.status_code == 200, response.text
                rev = response.headers.get("atproto-repo-rev")
                titles = [view["title"] for view in response.json()["tracks"]]
                if rev is not None and rev >= written.rev:
                    break
                await asyncio.sleep(0.02)
        assert title in titles
        assert rev == written.rev
    latest = await stage.artist.query("com.atproto.sync.getLatestCommit", did=stage.artist.did)
    assert rev == latest["rev"]


async def test_a_viewer_that_is_not_indexed_is_known_by_the_directory(stage: Stage) -> None:
    response = await stage.through(stage.stranger, LATEST)
    assert response.status_code == 200
    assert "atproto-repo-rev" not in response.headers


async def test_errors_and_procedures_come_through_the_host(stage: Stage) -> None:
    assert brief(await stage.through(stage.artist, LATEST, params={"limit": "0"})) == (400, "InvalidRequest")
    assert brief(await stage.through(stage.artist, "fm.plyr.feed.getNothing")) == (501, "MethodNotImplemented")
    missing = await stage.through(stage.artist, "fm.plyr.feed.getTrack", params={"uri": f"at://{stage.artist.did}/{TRACK}/x"})  # fmt: skip
    assert brief(missing) == (400, "TrackNotFound")
    nonsense = await stage.through(stage.artist, LATEST, headers={"atproto-accept-labelers": "a;;"})
    assert brief(nonsense) == (400, "InvalidRequest")
    for status in ("queued", "alreadyQueued"):
        # The host signs each call anew, so the second is no replay.
        asked = await stage.through(stage.artist, REQUEST_SYNC, "POST", json={"did": stage.stranger.did})
        assert (asked.status_code, asked.json()) == (200, {"status": status})
    head = await stage.through(stage.artist, LATEST, "HEAD")
    assert head.status_code == 200


@pytest.mark.parametrize("fragment", ["", "#plyr_appview"])
async def test_a_token_of_the_host_is_good_for_its_method_alone(stage: Stage, fragment: str) -> None:
    token = await stage.token(stage.artist, aud=stage.did + fragment, lxm=LATEST)
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


async def test_tokens_that_are_not_for_this_are_refused(stage: Stage) -> None:
    unbound = await stage.token(stage.artist, aud=stage.did)
    assert brief(await stage.direct(LATEST, unbound)) == (401, "BadJwtLexiconMethod")
    elsewhere = await stage.token(stage.artist, aud=f"{stage.did}#plyr_labeler", lxm=LATEST)
    assert brief(await stage.direct(LATEST, elsewhere)) == (401, "BadJwtAudience")
    # A session's own token is one of the host's, however well it is signed.
    assert (await stage.direct(LATEST, stage.artist.access_jwt)).status_code == 401


async def test_a_long_token_calls_a_procedure_once(stage: Stage) -> None:
    expiry = str(int(time.time()) + 3500)
    token = await stage.token(stage.artist, aud=stage.did, lxm=REQUEST_SYNC, exp=expiry)
    body = {"did": "did:web:nobody.example.com"}
    assert brief(await stage.direct(REQUEST_SYNC, token, "POST", json=body)) == (200, None)
    assert brief(await stage.direct(REQUEST_SYNC, token, "POST", json=body)) == (401, "InvalidToken")
