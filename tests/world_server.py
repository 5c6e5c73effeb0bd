"""The HTTP and WebSocket side of the test world, on a real socket: directory, PDS and relay in one server.

Serves what the world's accounts are at that moment: DID documents, repositories, statuses, handles, and the frames that
were sent so far with replay from a cursor. What the network does wrong is told by attributes.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

import world
from aiohttp import web


class WorldServer:
    """A server for one world."""

    def __init__(self, network: world.World) -> None:
        """Serve this world once started."""
        self.world = network
        self.frames: list[tuple[int, bytes]] = []
        self.requests: Counter[str] = Counter()
        self.snapshots: dict[str, bytes] = {}  # a stale repository that is served instead of the present one
        self.told_revs: dict[str, str] = {}  # what is said of the latest commit instead of its own rev
        self.down: set[str] = set()  # names of endpoints that answer 503
        self.tombstoned: set[str] = set()
        self.is_pds = False
        self.refuses_streams = False
        self.sparse = False  # whether parts of repositories are served; the following is about these
        self.withheld: set[bytes] = set()  # blocks that are not found, and left out of proofs
        self.left_out: set[bytes] = set()  # blocks that are left out of answers without a word
        self.forged: dict[bytes, bytes] = {}  # other contents under the CIDs of blocks
        self.refusals: dict[str, tuple[int, str, str]] = {}  # by name of the method: status, error, message
        self.answered: Callable[[str], None] = lambda _: None  # called with the name once an answer is made
        self.port = 0
        self._new = asyncio.Condition()
        self._sockets: set[web.WebSocketResponse] = set()
        self._blocks: dict[str, tuple[bytes, dict[bytes, bytes]]] = {}
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Return the server's origin."""
        return f"http://localhost:{self.port}"

    async def start(self) -> None:
        """Listen on a free port of the loopback interface."""
        app = web.Application()
        app.router.add_get("/xrpc/{nsid}", self._xrpc)
        app.router.add_get("/{did}", self._document)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr, attr-defined]

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._runner is not None:
            await self._runner.cleanup()

    def disconnect(self) -> None:
        """Drop every event stream."""
        for socket in list(self._sockets):
            transport = socket._req.transport if socket._req is not None else None
            if transport is not None:
                transport.abort()

    async def send(self, *frames: bytes) -> None:
        """Append frames, whose seq is the world's last, to the stream."""
        first = self.world.seq - len(frames) + 1
        self.frames += [(first + index, raw) for index, raw in enumerate(frames)]
        async with self._new:
            self._new.notify_all()

    async def _document(self, request: web.Request) -> web.Response:
        self.requests["plc"] += 1
        did = request.match_info["did"]
        if "plc" in self.down:
            return web.Response(status=503)
        if did in self.tombstoned or did not in self.world.accounts:
            return web.json_response({"message": "not registered"}, status=410 if did in self.tombstoned else 404)
        return web.json_response(self.world.accounts[did].document())

    async def _xrpc(self, request: web.Request) -> web.StreamResponse:
        nsid = request.match_info["nsid"]
        name = nsid.rpartition(".")[2]
        self.requests[name] += 1
        if name in self.down:
            return web.json_response({"error": "Unavailable", "message": "down"}, status=503)
        if name in self.refusals:
            status, error, message = self.refusals[name]
            return web.json_response({"error": error, "message": message}, status=status, headers={"Retry-After": "7"})
        handler = getattr(self, f"_{name}", None) if self.sparse or name not in ("getRecord", "getBlocks") else None
        if handler is None:
            return web.json_response({"error": "MethodNotImplemented", "message": nsid}, status=501)
        response: web.StreamResponse = await handler(request)
        self.answered(name)
        return response

    def _account(self, request: web.Request) -> world.Account | web.Response:
        account = self.world.accounts.get(request.query.get("did", ""))
        if account is None or account.status == "deleted":
            return web.json_response({"error": "RepoNotFound", "message": "no such repo"}, status=400)
        return account

    def _active(self, request: web.Request) -> world.Account | web.Response:
        account = self._account(request)
        if isinstance(account, web.Response) or account.active:
            return account
        return web.json_response(
            {"error": f"Repo{(account.status or 'deactivated').title()}", "message": ""}, status=400
        )

    async def _describeServer(self, _: web.Request) -> web.Response:  # noqa: N802
        if not self.is_pds:
            return web.json_response({"error": "MethodNotImplemented", "message": ""}, status=501)
        return web.json_response({"did": "did:web:localhost", "availableUserDomains": [".world.test"]})

    async def _getRepo(self, request: web.Request) -> web.Response:  # noqa: N802
        account = self._active(request)
        if isinstance(account, web.Response):
            return account
        content = self.snapshots.get(account.did) or account.export()
        return web.Response(body=content, content_type="application/vnd.ipld.car")

    async def _getLatestCommit(self, request: web.Request) -> web.Response:  # noqa: N802
        account = self._account(request)
        if isinstance(account, web.Response):
            return account
        if not account.active:
            return web.json_response(
                {"error": f"Repo{(account.status or 'deactivated').title()}", "message": ""}, status=400
            )
        rev = self.told_revs.get(account.did, account.rev)
        return web.json_response({"cid": world.cid_text(account.head), "rev": rev})

    def _blocks_of(self, account: world.Account) -> dict[bytes, bytes]:
        """Return what there is of a repository at this moment; a commit does away with what it replaces."""
        head, blocks = self._blocks.get(account.did, (b"", {}))
        if head != account.head:
            records = [world.encode(record) for record in account.records.values()]
            blocks = {account.head: account.head_block} | account.tree.blocks
            blocks |= {world.cid_of(block): block for block in records}
            self._blocks[account.did] = account.head, blocks
        return blocks

    def _car(self, account: world.Account, root: bytes | None, cids: list[bytes]) -> web.Response:
        blocks = self._blocks_of(account)
        pairs = [(cid, self.forged.get(cid, blocks[cid])) for cid in cids if cid not in self.withheld | self.left_out]
        return web.Response(body=world.car(root, pairs), content_type="application/vnd.ipld.car")

    async def _getRecord(self, request: web.Request) -> web.Response:  # noqa: N802
        account = self._active(request)
        if isinstance(account, web.Response):
            return account
        if account.did in self.snapshots:
            # More than the proof, so nothing else is asked for.
            return web.Response(body=self.snapshots[account.did], content_type="application/vnd.ipld.car")
        path = f"{request.query['collection']}/{request.query['rkey']}"
        record = account.records.get(path)
        cids = [account.head, *account.tree.path_to(path.encode())]
        cids += [world.cid_of(world.encode(record))] if record is not None else []
        return self._car(account, account.head, cids)

    async def _getBlocks(self, request: web.Request) -> web.Response:  # noqa: N802
        account = self._active(request)
        if isinstance(account, web.Response):
            return account
        cids = [world.cid_from_text(text) for text in request.query.getall("cids")]
        missing = [cid for cid in cids if cid not in self._blocks_of(account) or cid in self.withheld]
        if missing:
            message = f"Could not find cids: {','.join(map(world.cid_text, missing))}"
            return web.json_response({"error": "InvalidRequest", "message": message}, status=400)
        return self._car(account, None, cids)

    async def _getRepoStatus(self, request: web.Request) -> web.Response:  # noqa: N802
        account = self._account(request)
        if isinstance(account, web.Response):
            return account
        body = {"did": account.did, "active": account.active}
        return web.json_response(body | ({"rev": account.rev} if account.active else {"status": account.status}))

    async def _resolveHandle(self, request: web.Request) -> web.Response:  # noqa: N802
        for account in self.world.accounts.values():
            if account.handle == request.query["handle"]:
                return web.json_response({"did": account.did})
        return web.json_response({"error": "HandleNotFound", "message": ""}, status=400)

    async def _listReposByCollection(self, request: web.Request) -> web.Response:  # noqa: N802
        collection = request.query["collection"]
        found = sorted(
            did
            for did, account in self.world.accounts.items()
            if any(path.startswith(f"{collection}/") for path in account.records)
        )
        return web.json_response({"repos": [{"did": did} for did in found]})

    async def _subscribeRepos(self, request: web.Request) -> web.StreamResponse:  # noqa: N802
        if self.refuses_streams:
            return web.json_response({"error": "MethodNotImplemented", "message": ""}, status=501)
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        cursor = int(request.query.get("cursor", self.frames[-1][0] if self.frames else 0))
        if self.frames and cursor > self.frames[-1][0]:
            await socket.send_bytes(world.error_frame("FutureCursor"))
            await socket.close()
            return socket
        self._sockets.add(socket)
        try:
            await self._stream(socket, cursor)
        except ConnectionError:
            pass
        finally:
            self._sockets.discard(socket)
        return socket

    async def _stream(self, socket: web.WebSocketResponse, cursor: int) -> None:
        sent = 0
        while not socket.closed:
            while sent < len(self.frames):
                seq, raw = self.frames[sent]
                sent += 1
                if seq > cursor:
                    await socket.send_bytes(raw)
            async with self._new:
                if sent == len(self.frames):
                    await self._new.wait()
