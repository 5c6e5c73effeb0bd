"""Directory, host and relay of a recorded world in one server, which tells the history as far as it is let.

Every answer is the state as of the last frame that was sent to anybody, so a snapshot is never older than a frame, and
comes at another rev in each run. What was sent is sent again from any cursor. Frames are let out by `release`.
"""

import asyncio
import json
from bisect import bisect_right
from collections import Counter

import world
from aiohttp import web
from recorded_world import RecordedWorld, State

BURST_FRAMES = 8


class RecordedUpstream:
    """A server on a free port of the loopback interface; one recorded world after the other, told from its beginning."""

    def __init__(self) -> None:
        """Serve nothing until `tell`."""
        self.port = 0
        self.sent_seq = 0
        self.requests: Counter[str] = Counter()
        # How many frames went out since `delivered` was last set to 0, repetitions included.
        self.delivered = 0
        self.followers = 0
        # Frames go out in small bursts with pauses, so that not all of them lie in some buffer before the first is read.
        self.burst_seconds = 0.01
        self._recorded = RecordedWorld()
        self._seqs: list[int] = []
        self._released = 0
        self._moved = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Return the server's origin."""
        return f"http://localhost:{self.port}"

    @property
    def released_seq(self) -> int:
        """Return the seq of the last frame that may go out."""
        return self._seqs[self._released - 1] if self._released else 0

    @property
    def is_all_sent(self) -> bool:
        """Tell whether everybody could have heard everything."""
        return bool(self._seqs) and self.sent_seq == self._seqs[-1]

    async def start(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_get("/xrpc/{nsid}", self._xrpc)
        app.router.add_get("/{did}", self._document)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._runner is not None:
            await self._runner.cleanup()

    def tell(self, recorded: RecordedWorld) -> None:
        """Begin this world's history, with nothing sent; nobody may be connected."""
        self._recorded = recorded
        self._seqs = [seq for seq, _ in recorded.frames]
        self._released = self.sent_seq = self.delivered = 0
        self.requests.clear()

    async def release(self, count: int) -> None:
        """Let so many more frames go out."""
        self._released = min(len(self._seqs), self._released + count)
        async with self._moved:
            self._moved.notify_all()

    async def delivered_at_least(self, count: int) -> None:
        """Wait until so many frames went out."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.delivered >= count)

    async def followed(self) -> None:
        """Wait until somebody follows the stream."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.followers > 0)

    # --- the stream ------------------------------------------------------------------------------------------------

    async def _subscribe(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        asked = request.query.get("cursor")
        index = bisect_right(self._seqs, int(asked)) if asked is not None else self._released
        self.followers += 1
        reading = asyncio.create_task(self._read_to_the_end(socket))
        try:
            while not socket.closed:
                async with self._moved:
                    self._moved.notify_all()
                    while index >= self._released and not socket.closed:
                        await self._moved.wait()
                for seq, raw in self._recorded.frames[index : min(self._released, index + BURST_FRAMES)]:
                    # The hosts are as far as the stream before anybody hears of it.
                    self.sent_seq = max(self.sent_seq, seq)
                    await socket.send_bytes(raw)
                    index += 1
                    self.delivered += 1
                await asyncio.sleep(self.burst_seconds)
        except ConnectionError:
            pass
        finally:
            self.followers -= 1
            reading.cancel()
        return socket

    async def _read_to_the_end(self, socket: web.WebSocketResponse) -> None:
        async for _ in socket:
            pass
        async with self._moved:
            self._moved.notify_all()

    # --- what directory, host and relay answer ---------------------------------------------------------------------

    def _state(self, did: str) -> State | None:
        return self._recorded.state(did, self.sent_seq)

    async def _document(self, request: web.Request) -> web.Response:
        did = request.match_info["did"]
        state = self._state(did)
        self.requests["document"] += 1
        if state is None or (state.status == "deleted" and _has_tombstone(did)):
            return web.json_response({"message": "not registered"}, status=404 if state is None else 410)
        return web.json_response(state.document)

    async def _xrpc(self, request: web.Request) -> web.StreamResponse:
        nsid = request.match_info["nsid"]
        name = nsid.rpartition(".")[2]
        self.requests[name] += 1
        match name:
            case "subscribeRepos":
                return await self._subscribe(request)
            case "listReposByCollection":
                return self._list_repos(request.query["collection"])
            case "resolveHandle":
                return self._resolve(request.query["handle"])
            case "getRepo" | "getRepoStatus" | "getLatestCommit" | "getBlocks" | "getRecord":
                return self._repo(name, request)
        return _error("MethodNotImplemented", nsid, 501)

    def _repo(self, name: str, request: web.Request) -> web.Response:
        did = request.query.get("did", "")
        state = self._state(did)
        if state is None or state.status == "deleted":
            return _error("RepoNotFound", did)
        if name == "getRepoStatus":
            rest = {"rev": state.rev} if state.active else {"status": state.status}
            return web.json_response({"did": did, "active": state.active, **rest})
        if not state.active:
            return _error(f"Repo{(state.status or 'deactivated').title()}", did)
        blocks = state.blocks()
        match name:
            case "getLatestCommit":
                return web.json_response({"cid": world.cid_text(state.head), "rev": state.rev})
            case "getBlocks":
                by_text = {world.cid_text(cid): cid for cid in blocks}
                wanted = [by_text.get(text) for text in request.query.getall("cids")]
                if None in wanted:
                    return _error("BlockNotFound", did)
                blocks = {cid: blocks[cid] for cid in wanted if cid is not None}
            case "getRecord":
                path = f"{request.query['collection']}/{request.query['rkey']}"
                kept = {state.head, *state.tree.path_to(path.encode())}
                if path in state.records:
                    kept.add(world.cid_of(world.encode(state.records[path])))
                blocks = {cid: block for cid, block in blocks.items() if cid in kept}
        return web.Response(body=world.car(state.head, blocks), content_type="application/vnd.ipld.car")

    def _list_repos(self, collection: str) -> web.Response:
        found = []
        for did in sorted(self._recorded.states.keys() - self._recorded.unlisted):
            state = self._state(did)
            if state and state.active and any(path.startswith(f"{collection}/") for path in state.records):
                found.append({"did": did})
        return web.json_response({"repos": found})

    def _resolve(self, handle: str) -> web.Response:
        for did in self._recorded.states:
            state = self._state(did)
            if state is not None and state.handle == handle:
                return web.json_response({"did": did})
        return _error("HandleNotFound", handle)


def _has_tombstone(did: str) -> bool:
    """Tell whether the directory too says that a deleted account is gone: of every other one."""
    return did[-1] < "n"


def _error(error: str, message: str, status: int = 400) -> web.Response:
    return web.Response(
        text=json.dumps({"error": error, "message": message}), status=status, content_type="application/json"
    )
