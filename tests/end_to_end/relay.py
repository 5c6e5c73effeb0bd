"""A small relay for tests: fans several hosts' firehoses into one, in the test's own event loop.

Like a Sync v1.1 relay it numbers events anew, keeps them for replay from a cursor, and passes on only what
comes from the host that an account's DID document names now. It answers listReposByCollection, listRepos,
listHosts, getRepoStatus and getRepo (by redirect). It checks neither signatures nor trees: an indexer must.
"""

import asyncio
import contextlib
import http
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import libipld
from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import WebSocketException
from websockets.http11 import Request, Response

SUBSCRIBE = "com.atproto.sync.subscribeRepos"
RECONNECT_SECONDS = 0.1
Answer = tuple[int, dict[str, Any], dict[str, str]]


@dataclass(slots=True)
class Event:
    """One event as the relay sends it: its kind (`#commit`), its payload and the frame's bytes."""

    kind: str
    body: dict[str, Any]
    frame: bytes

    @property
    def did(self) -> str:
        """Return whose event it is."""
        return str(self.body.get("repo") or self.body["did"])


class Relay:
    """The relay's whole state, open to a test's eyes; `events[i]` has seq i + 1."""

    def __init__(self, plc_url: str, hosts: list[str], client: httpx.AsyncClient) -> None:
        """Name the directory and the hosts, each by its origin."""
        self.port = 0
        self.events: list[Event] = []
        self.is_closing = False
        self.sent: Counter[int] = Counter()  # by seq, to all consumers
        self.hosts: dict[str, dict[str, Any]] = {host: {"seq": 0, "dropped": 0, "status": "idle"} for host in hosts}
        self.repos: dict[str, dict[str, Any]] = {}
        self._plc_url = plc_url
        self._client = client
        self._grown = asyncio.Condition()
        self._homes: dict[str, str | None] = {}
        self._paths: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self._consumers: set[ServerConnection] = set()

    @property
    def url(self) -> str:
        """Return the relay's origin."""
        return f"http://localhost:{self.port}"

    @property
    def firehose_url(self) -> str:
        """Return where to subscribe."""
        return f"ws://localhost:{self.port}/xrpc/{SUBSCRIBE}"

    async def wait_for(self, happened: Callable[[list[Event]], bool], timeout_seconds: float = 15) -> None:
        """Wait until the events so far satisfy a condition. Raises TimeoutError."""
        async with asyncio.timeout(timeout_seconds), self._grown:
            await self._grown.wait_for(lambda: happened(self.events))

    async def close(self) -> None:
        """Let every consumer go: the server waits for what still talks to one."""
        self.is_closing = True
        async with self._grown:
            self._grown.notify_all()
        await self.disconnect_consumers()

    async def disconnect_consumers(self) -> None:
        """Drop everyone who listens, as a relay that restarts does."""
        for consumer in list(self._consumers):
            consumer.transport.abort()

    async def follow(self, host: str) -> None:
        """Follow one host for ever, from where it was last heard."""
        state = self.hosts[host]
        while True:
            url = f"{host.replace('http', 'ws', 1)}/xrpc/{SUBSCRIBE}?cursor={state['seq']}"
            # What fails here is an outage of the host, which tests cause on purpose.
            with contextlib.suppress(OSError, EOFError, WebSocketException, httpx.HTTPError):
                async with connect(url, max_size=None, proxy=None) as stream:
                    state["status"] = "active"
                    async for frame in stream:
                        await self._receive(host, frame if isinstance(frame, bytes) else frame.encode())
            state["status"] = "offline"
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _receive(self, host: str, frame: bytes) -> None:
        head, body = libipld.decode_dag_cbor_multi(frame)
        if head["op"] != 1 or "seq" not in body:
            return
        did, host_seq = body.get("repo") or body["did"], body["seq"]
        if await self._home(did) == host or await self._home(did, fresh=True) == host:
            await self._emit(head, body, did)
        else:
            self.hosts[host]["dropped"] += 1
        self.hosts[host]["seq"] = host_seq

    async def _home(self, did: str, *, fresh: bool = False) -> str | None:
        if fresh or did not in self._homes:
            response = await self._client.get(f"{self._plc_url}/{did}")
            services = response.json()["service"] if response.status_code == 200 else []
            named = (service["serviceEndpoint"] for service in services if service["id"].endswith("#atproto_pds"))
            self._homes[did] = next(named, None)
        return self._homes[did]

    async def _emit(self, head: dict[str, Any], body: dict[str, Any], did: str) -> None:
        kind = head["t"]
        if kind == "#identity":
            await self._home(did, fresh=True)
        elif kind in ("#commit", "#sync"):
            self.repos.setdefault(did, {"active": True})["rev"] = body["rev"]
        elif kind == "#account":
            self.repos.setdefault(did, {}).update(active=body["active"], status=body.get("status"))
        for operation in body.get("ops", ()):
            paths = self._paths[operation["path"].split("/", 1)[0]][did]
            (paths.discard if operation["action"] == "delete" else paths.add)(operation["path"])
        body["seq"] = len(self.events) + 1
        frame = libipld.encode_dag_cbor(head) + libipld.encode_dag_cbor(body)
        self.events.append(Event(kind, body, frame))
        async with self._grown:
            self._grown.notify_all()

    def answer(self, _: ServerConnection, request: Request) -> Response | None:
        """Answer an HTTP request, or let a subscription through."""
        url = urlsplit(request.path)
        method = url.path.removeprefix("/xrpc/")
        if method == SUBSCRIBE:
            return None
        status, body, extra = self._answer(method, dict(parse_qsl(url.query)), request.path)
        content = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(content)), "Connection": "close"}
        return Response(status, http.HTTPStatus(status).phrase, Headers(headers | extra), content)

    def _answer(self, method: str, asked: dict[str, str], path: str) -> Answer:
        did = asked.get("did", "")
        match method:
            case "com.atproto.sync.listReposByCollection":
                holders = self._paths[asked["collection"]].items()
                dids = sorted(holder for holder, paths in holders if paths and self.repos.get(holder, {}).get("active"))
                start, limit = int(asked.get("cursor", 0)), int(asked.get("limit", 500))
                following = {"cursor": str(start + limit)} if start + limit < len(dids) else {}
                return 200, {"repos": [{"did": one} for one in dids[start : start + limit]]} | following, {}
            case "com.atproto.sync.listRepos":
                repos = [
                    {"did": one, "rev": state.get("rev", ""), "head": "", "active": state["active"]}
                    for one, state in self.repos.items()
                    if "active" in state
                ]
                return 200, {"repos": repos}, {}
            case "com.atproto.sync.listHosts":
                return (
                    200,
                    {"hosts": [{"hostname": urlsplit(host).netloc, **state} for host, state in self.hosts.items()]},
                    {},
                )
            case "com.atproto.sync.getRepoStatus" if did in self.repos:
                known = {name: value for name, value in self.repos[did].items() if value is not None}
                return 200, {"did": did} | known, {}
            case "com.atproto.sync.getRepo" if self._homes.get(did):
                return 302, {}, {"Location": f"{self._homes[did]}{path}"}
            case "com.atproto.sync.getRepo" | "com.atproto.sync.getRepoStatus":
                return 400, {"error": "RepoNotFound", "message": did}, {}
        return 404, {"error": "NotFound", "message": method}, {}

    async def stream(self, consumer: ServerConnection) -> None:
        """Send events to one consumer: those after its cursor, then new ones for ever."""
        request = consumer.request
        asked = dict(parse_qsl(urlsplit(request.path).query)) if request else {}
        sent = int(asked["cursor"]) if "cursor" in asked else len(self.events)
        if sent > len(self.events):
            error = {"error": "FutureCursor", "message": "Cursor in the future."}
            await consumer.send(libipld.encode_dag_cbor({"op": -1}) + libipld.encode_dag_cbor(error))
            return
        self._consumers.add(consumer)
        try:
            while not self.is_closing:
                while sent < len(self.events):
                    await consumer.send(self.events[sent].frame)
                    sent += 1
                    self.sent[sent] += 1
                await self._growth_beyond(sent)
        finally:
            self._consumers.discard(consumer)

    async def _growth_beyond(self, seen: int) -> None:
        async with self._grown:
            await self._grown.wait_for(lambda: len(self.events) > seen or self.is_closing)


@asynccontextmanager
async def relay(plc_url: str, hosts: list[str]) -> AsyncIterator[Relay]:
    """Run a relay over these hosts for the length of a block, from the beginning of each one's history."""
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        running = Relay(plc_url, hosts, client)
        async with serve(running.stream, "127.0.0.1", 0, process_request=running.answer, max_size=None) as server:
            running.port = _port(server)
            following = [asyncio.create_task(running.follow(host)) for host in hosts]
            try:
                yield running
            finally:
                await running.close()
                for task in following:
                    task.cancel()
                results = await asyncio.gather(*following, return_exceptions=True)
        failures = [result for result in results if isinstance(result, Exception)]
        if failures:
            raise failures[0]


def _port(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])
