"""What it costs to fetch our part of a busy account's repository, against fetching all of it from the same host.

The host is a process of its own that has both answers ready. Both ways end with the same verified snapshot; they take
turns, once without and once with the waiting for each answer that a distant host means.
"""

import asyncio
import logging
import random
import statistics
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import world
from aiohttp import web
from world_server import WorldServer

from atprotocol.lexicon.catalog import Catalog
from atprotocol.net.addresses import Policy
from atprotocol.net.directory import Directory
from atprotocol.net.http import BoundedClient
from atprotocol.syntax.did import DID
from bench.load import in_a_process
from indexer.fetching import Fetched, RealNetwork
from indexer.records import RecordReader

ROOT = Path(__file__).resolve().parents[1]
NAMESPACE = "fm.plyr"
FOREIGN, OURS = 20_000, 20
FOREIGN_MIX = {"app.bsky.feed.like": 12, "app.bsky.feed.post": 4, "app.bsky.feed.repost": 2, "app.bsky.graph.follow": 2}
ROUNDS = 5
DISTANT_SECONDS = 0.1


class _Host(WorldServer):
    """Serves the one account, whose export it keeps; what comes to its address is answered late."""

    def __init__(self, network: world.World) -> None:
        super().__init__(network)
        self.sparse = True
        (account,) = network.accounts.values()
        self._export = account.export()
        self._blocks_of(account)

    async def _xrpc(self, request: web.Request) -> web.StreamResponse:
        # By the name of this machine it is near, by its address far away.
        if request.host.startswith("127."):
            await asyncio.sleep(DISTANT_SECONDS)
        return await super()._xrpc(request)

    async def _getRepo(self, _: web.Request) -> web.Response:  # noqa: N802
        return web.Response(body=self._export, content_type="application/vnd.ipld.car")


def _account(network: world.World, url: str = "http://localhost") -> world.Account:
    """Return an account with a signed repository of all those records."""
    chance = random.Random(7)
    account = network.account(pds=url)
    names = chance.choices(list(FOREIGN_MIX), list(FOREIGN_MIX.values()), k=FOREIGN)
    for name in names:
        record = {"$type": name, "createdAt": "2026-01-01T00:00:00.000Z", "subject": {"uri": network.tid() * 4}}
        text = "x" * int(chance.lognormvariate(4.5, 0.7)) if name.endswith("post") else ""
        account.records[f"{name}/{network.tid()}"] = record | ({"text": text} if text else {"cid": network.tid() * 4})
    for number in range(OURS):
        kind = "track" if number % 2 else "like"
        record = {"$type": f"{NAMESPACE}.{kind}", "title": f"Track {number}", "createdAt": "2026-01-01T00:00:00.000Z"}
        account.records[f"{NAMESPACE}.{kind}/{network.tid()}"] = record
    account.records["app.bsky.actor.profile/self"] = {"$type": "app.bsky.actor.profile", "displayName": "Somebody"}
    account.tree = world.build_tree({path: world.cid_of(world.encode(each)) for path, each in account.records.items()})
    account.rev = network.tid()
    account.head, account.head_block = account.sign_commit(account.tree.root, account.rev)
    return account


def _serve(ready: Connection) -> None:
    logging.disable(logging.INFO)

    async def serve() -> None:
        network = world.World()
        account = _account(network)
        server = _Host(network)
        await server.start()
        ready.send((server.port, account.did))
        await asyncio.Event().wait()

    asyncio.run(serve())


async def _measure(port: int, did: DID) -> dict[str, Any]:
    collections = RecordReader(Catalog.load(ROOT / "lexicons"), NAMESPACE).collections
    near, distant = f"http://localhost:{port}", f"http://127.0.0.1:{port}"
    policy = Policy(frozenset({("localhost", port), ("127.0.0.1", port)}), allow_http=True)
    figures: dict[str, Any] = {"foreign_records": FOREIGN, "our_records": OURS, "collections": len(collections)}
    async with BoundedClient(policy) as client:
        directory = Directory(client, near, allow_http=True)
        ways = {
            "sparse": RealNetwork(client, directory, collections, max_repo_bytes=100_000_000),
            "whole": RealNetwork(client, directory, collections, max_repo_bytes=100_000_000, fetch="whole"),
        }
        try:
            # Once for nothing: connections, and the process that reads what is large.
            first = {name: await way.fetch(near, did) for name, way in ways.items()}
            _check(first)
            for name, fetched in first.items():
                figures |= {f"{name}_bytes": fetched.size_bytes, f"{name}_requests": fetched.requests}
            figures["ratio_of_bytes"] = round(first["sparse"].size_bytes / first["whole"].size_bytes, 4)
            for place, pds in (("near", near), ("distant", distant)):
                took: dict[str, list[float]] = {name: [] for name in ways}
                for _ in range(ROUNDS):
                    for name, way in ways.items():
                        started = time.perf_counter()
                        await way.fetch(pds, did)
                        took[name].append(time.perf_counter() - started)
                median = {name: statistics.median(seconds) for name, seconds in took.items()}
                figures |= {f"{name}_{place}_ms": round(1000 * seconds, 1) for name, seconds in median.items()}
                figures[f"ratio_of_time_{place}"] = round(median["sparse"] / median["whole"], 3)
        finally:
            for way in ways.values():
                way.close()
    return figures


def _check(fetched: dict[str, Fetched]) -> None:
    sparse, whole = fetched["sparse"], fetched["whole"]
    if sparse.snapshot != whole.snapshot or not sparse.is_sparse or len(whole.snapshot.records) != OURS + 1:
        raise RuntimeError(f"not the repository that is to be measured: {sparse.why_whole}")


def backfill() -> dict[str, Any]:
    """Measure bytes, requests and time of both ways."""
    with in_a_process(_serve) as host:
        port, did = host.recv()
        return asyncio.run(_measure(port, DID(did)))
