"""The network, our programs on it, and accounts whose own host, the reference PDS, carries their calls to us."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from account import Account, Written
from local_network import Network, network
from relay import relay
from running_plyr import RunningPlyr, plyr_up

GUARD_SECONDS = 60
TRACK, LIKE, FOLLOW = "fm.plyr.track", "fm.plyr.like", "app.bsky.graph.follow"
CREATED_AT = "2026-01-01T00:00:00Z"


@dataclass
class Stage:
    """The network, our programs on it, and the service's DID."""

    net: Network
    plyr: RunningPlyr

    @property
    def did(self) -> str:
        """Return the service's DID."""
        return f"did:web:localhost%3A{self.plyr.port}"

    @property
    def proxy(self) -> str:
        """Return what a client says in `atproto-proxy`."""
        return f"{self.did}#plyr_appview"

    async def through(self, account: Account, method: str, verb: str = "GET", **arguments: Any) -> httpx.Response:
        """Call a method of ours through an account's PDS."""
        headers = {"Authorization": f"Bearer {account.access_jwt}", "atproto-proxy": self.proxy}
        headers |= arguments.pop("headers", {})
        return await self.net.http.request(verb, f"{account.pds.url}/xrpc/{method}", headers=headers, **arguments)

    async def asked(self, account: Account, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the output of a query that succeeds through an account's PDS."""
        response = await self.through(account, method, params=parameters)
        assert response.status_code == 200, response.text
        output: dict[str, Any] = response.json()
        return output

    async def asked_until(
        self, account: Account, method: str, until: Callable[[dict[str, Any]], bool], **parameters: Any
    ) -> dict[str, Any]:
        """Ask through an account's PDS until the output is as it is wanted, and return it."""
        async with asyncio.timeout(GUARD_SECONDS):
            while not until(output := await self.asked(account, method, **parameters)):
                await asyncio.sleep(0.05)
        return output

    async def has_read(self, account: Account, rev: str | None) -> None:
        """Wait as a client does: until an answer to the account says the rev of what it wrote, or a later one."""
        assert rev is not None
        async with asyncio.timeout(GUARD_SECONDS):
            while True:
                response = await self.through(account, "fm.plyr.index.getStats")
                assert response.status_code == 200, response.text
                if response.headers.get("atproto-repo-rev", "") >= rev:
                    return
                await asyncio.sleep(0.05)

    async def publish(self, account: Account, title: str, **fields: Any) -> Written:
        """Publish a track with sound, and wait until its artist reads it."""
        sound = await account.upload_blob(f"the sound of {title}".encode(), "audio/mpeg")
        written = await account.create_record(TRACK, track(title, audioBlob=sound, **fields))
        await self.has_read(account, written.rev)
        return written

    async def token(self, account: Account, **claims: str) -> str:
        """Return a token that the account's PDS signs."""
        token: str = (await account.query("com.atproto.server.getServiceAuth", **claims))["token"]
        return token

    async def direct(self, method: str, token: str, verb: str = "GET", **arguments: Any) -> httpx.Response:
        """Call a method of ours with a token."""
        headers = {"Authorization": f"Bearer {token}"}
        return await self.net.http.request(verb, f"{self.plyr.url}/xrpc/{method}", headers=headers, **arguments)


def brief(response: httpx.Response) -> tuple[int, Any]:
    """Return status and error."""
    return response.status_code, response.json().get("error")


def track(title: str, **fields: Any) -> dict[str, Any]:
    """Return a record of a track."""
    return {"$type": TRACK, "title": title, "artist": "A", "fileType": "mp3", "createdAt": CREATED_AT, **fields}


@asynccontextmanager
async def staged(database_url: str) -> AsyncIterator[Stage]:
    """Run one PDS, a relay that crawls it, and our programs."""
    async with (
        network(pds=1) as net,
        relay(net.plc_url, [net.pds[0].url]) as hub,
        plyr_up(net, hub, database_url) as plyr,
    ):
        yield Stage(net, plyr)
