"""Our part of a repository: it is what a check of the whole finds, or it is not taken."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import world
from harness import track
from world_server import WorldServer

from atprotocol.errors import EncodingError, NetworkError, PartialTree, RepoGone, RepoUnavailable
from atprotocol.net.addresses import Policy
from atprotocol.net.http import BoundedClient
from atprotocol.syntax.did import DID
from indexer.fetching import Fetched, RealNetwork
from indexer.snapshot import Snapshot, read_snapshot
from indexer.sparse import LackingHosts, NotSparse, SparseFetch, SparseLimits, fetch_sparse

OURS = frozenset({"a.b.profile", "a.b.track", "a.c.list"})
POST = {"$type": "a.b.post", "text": "x" * 200}
PARTS = ("getRecord", "getBlocks")


def rkey(number: int) -> str:
    return f"3mbd3542k{number:04d}".replace("0", "o").replace("1", "i").replace("8", "e").replace("9", "n")


def foreign(count: int, collection: str = "a.b.post") -> list[world.Write]:
    return [("create", f"{collection}/{rkey(number)}", POST | {"text": str(number)}) for number in range(count)]


def ours(count: int, collection: str = "a.b.track") -> list[world.Write]:
    return [("create", f"{collection}/{rkey(number)}", track(f"{collection} {number}")) for number in range(count)]


@pytest.fixture
async def server() -> AsyncIterator[WorldServer]:
    server = WorldServer(world.World(9))
    server.sparse = True
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(server: WorldServer) -> AsyncIterator[BoundedClient]:
    async with BoundedClient(Policy(frozenset({("localhost", server.port)}), allow_http=True)) as opened:
        yield opened


class Host:
    """One account on the server, read in parts and whole."""

    def __init__(self, server: WorldServer, client: BoundedClient, folder: Path) -> None:
        self.server, self.client, self.folder = server, client, folder
        self.account = server.world.account(pds=server.url)

    @property
    def did(self) -> DID:
        return DID(self.account.did)

    async def parts(self, limits: SparseLimits | None = None) -> SparseFetch:
        return await fetch_sparse(self.client, self.server.url, self.did, OURS, limits)

    def whole(self) -> Snapshot:
        path = self.folder / "repo.car"
        path.write_bytes(self.account.export())
        return read_snapshot(path, OURS)

    def network(self, **settings: object) -> RealNetwork:
        return RealNetwork(self.client, None, OURS, max_repo_bytes=10_000_000, **settings)  # type: ignore[arg-type]

    async def fetch(self, network: RealNetwork) -> Fetched:
        return await network.fetch(self.server.url, self.did)

    def sign(self, tree: world.Tree) -> None:
        """Sign whatever stands in a tree as the account's head."""
        self.account.tree = tree
        self.account.rev = self.server.world.tid()
        self.account.head, self.account.head_block = self.account.sign_commit(tree.root, self.account.rev)


@pytest.fixture
def host(server: WorldServer, client: BoundedClient, tmp_path: Path) -> Host:
    return Host(server, client, tmp_path)


@pytest.mark.parametrize(
    "writes",
    [
        [],
        foreign(50),
        ours(1),
        ours(60),
        [*foreign(300), *ours(20), *ours(5, "a.c.list"), ("create", "a.b.profile/self", track("me"))],
        [*ours(8), *ours(8, "a.b.trackx"), *ours(8, "a.b.track.x"), *ours(8, "a.b.track0"), *ours(8, "a.b.trac")],
        [
            ("create", f"a.b.track/{key}", track(key))
            for key in ("-", "0", "self", "~", "zzzzzzzzz", ":", "a.b-c_d~e:f")
        ],
        # The same content under several keys is one block.
        [("create", f"a.b.track/{rkey(number)}", track("the same")) for number in range(10)],
    ],
    ids=["empty", "foreign only", "one", "ours only", "some", "neighbours", "keys at the edges", "same content"],
)
async def test_a_part_is_what_the_whole_holds_of_it(host: Host, writes: list[world.Write]) -> None:
    host.account.commit(writes)

    assert (await host.parts()).snapshot == host.whole()


async def test_a_part_follows_what_is_deleted_and_changed(host: Host) -> None:
    host.account.commit([*foreign(200), *ours(12)])
    host.account.commit([("delete", f"a.b.track/{rkey(number)}", None) for number in range(0, 12, 2)])
    host.account.commit([("update", f"a.b.track/{rkey(3)}", track("changed"))])

    fetched = await host.parts()

    assert fetched.snapshot == host.whole()
    assert len(fetched.snapshot.records) == 6


async def test_a_part_costs_a_fraction_of_the_bytes_and_few_requests(host: Host) -> None:
    host.account.commit([*foreign(2000), *ours(10)])

    fetched = await host.parts()

    assert fetched.snapshot == host.whole()
    assert fetched.size_bytes < len(host.account.export()) / 20
    assert fetched.requests == sum(host.server.requests[name] for name in PARTS) <= 8


async def test_no_block_is_asked_for_twice(host: Host) -> None:
    host.account.commit([*foreign(200), *ours(200)])

    fetched = await host.parts()

    # Two proofs share the way from the root; all else comes once.
    assert fetched.size_bytes < len(host.account.export())
    assert fetched.requests <= 2 + len(host.account.tree.blocks) / 80 + 6 + 200 / 80


# --- a repository that changes meanwhile ------------------------------------------------------------------------------


def change_after(host: Host, method: str, times: int) -> list[str]:
    """Change a record after so many answers of a method; return the list of the revs that come of it."""
    tree = host.account.tree
    proved = {cid for name in OURS for cid in tree.path_to(f"{name}/self".encode())}
    # In a node that no proof of another key brings along.
    tracks = [path for path in host.account.records if path.startswith("a.b.track/")]
    path = next(path for path in tracks if tree.path_to(path.encode())[-1] not in proved)
    revs: list[str] = []

    def write(answered: str) -> None:
        if answered == method and len(revs) < times:
            revs.append(host.account.commit([("update", path, track(str(len(revs))))]).rev)

    host.server.answered = write
    return revs


@pytest.mark.parametrize("method", PARTS)
@pytest.mark.parametrize("times", [1, 2])
async def test_a_write_meanwhile_leads_to_the_new_head_or_the_old_one_but_to_no_mixture(
    host: Host, method: str, times: int
) -> None:
    host.account.commit([*foreign(100), *ours(30)])
    before = host.whole()
    revs = change_after(host, method, times)

    snapshot = (await host.parts()).snapshot

    assert len(revs) == times
    assert snapshot == (host.whole() if snapshot.commit.rev == revs[-1] else before)


async def test_what_two_heads_share_is_asked_for_once(host: Host) -> None:
    host.account.commit([*foreign(100), *ours(600)])
    undisturbed = await host.parts()
    change_after(host, "getRecord", 1)

    disturbed = await host.parts()

    assert disturbed.snapshot == host.whole()
    assert disturbed.size_bytes < 1.5 * undisturbed.size_bytes


async def test_a_repository_that_never_rests_is_given_up(host: Host) -> None:
    host.account.commit([*foreign(100), *ours(30)])
    change_after(host, "getRecord", 1000)

    with pytest.raises(NotSparse, match="again and again"):
        await host.parts()
    assert host.server.requests["getRecord"] == 2 * (1 + SparseLimits().restarts)


# --- hosts that lie or leave out --------------------------------------------------------------------------------------


@pytest.mark.parametrize("silently", [True, False])
@pytest.mark.parametrize("what", ["node", "record"])
async def test_a_block_that_the_host_does_not_give_is_missed(host: Host, what: str, silently: bool) -> None:
    host.account.commit([*foreign(100), *ours(30)])
    below = [cid for cid, (keys, _) in host.account.tree.children.items() if keys and keys[0] > b"a.b.track/"]
    lost = {"node": below[0], "record": world.cid_of(world.encode(host.account.records[f"a.b.track/{rkey(7)}"]))}[what]
    (host.server.left_out if silently else host.server.withheld).add(lost)

    with pytest.raises(NotSparse, match="lacks blocks"):
        await host.parts()


@pytest.mark.parametrize("what", ["commit", "root", "record"])
async def test_a_block_that_is_another_is_noticed(host: Host, what: str) -> None:
    host.account.commit([*foreign(100), *ours(30)])
    record = world.encode(host.account.records[f"a.b.track/{rkey(7)}"])
    cid = {"commit": host.account.head, "root": host.account.tree.root, "record": world.cid_of(record)}[what]
    host.server.forged[cid] = world.encode(track("forged"))

    with pytest.raises(NotSparse, match="cannot be read: a block does not hash"):
        await host.parts()


def with_children_swapped(tree: world.Tree) -> world.Tree:
    """Return a tree whose hashes are right and in whose root two subtrees have changed places."""
    node = world.cbor2.loads(tree.blocks[tree.root])
    links = [node["l"], *(entry["t"] for entry in node["e"])]
    first, second = [index for index, link in enumerate(links) if link is not None][-2:]
    links[first], links[second] = links[second], links[first]
    node["l"] = links[0]
    for entry, link in zip(node["e"], links[1:], strict=True):
        entry["t"] = link
    block = world.encode(node)
    root = world.cid_of(block)
    children = tree.children | {root: (tree.children[tree.root][0], [link and link.value[1:] for link in links])}
    return world.Tree(root, tree.blocks | {root: block}, children)


async def test_a_subtree_that_was_put_where_nobody_looks_is_noticed(host: Host) -> None:
    host.account.commit([*foreign(100), *ours(100), *foreign(100, "a.d.post")])
    host.sign(with_children_swapped(host.account.tree))

    with pytest.raises(EncodingError):
        await host.parts()
    with pytest.raises(EncodingError):
        host.whole()


async def test_a_proof_that_begins_with_no_commit_is_none(host: Host) -> None:
    host.account.commit(ours(3))
    host.account.head_block = world.encode({"not": "a commit"})
    host.account.head = world.cid_of(host.account.head_block)

    with pytest.raises(NotSparse, match="no commit"):
        await host.parts()


# --- limits -----------------------------------------------------------------------------------------------------------


async def test_a_repository_that_is_mostly_ours_is_not_fetched_in_parts(host: Host) -> None:
    host.account.commit(ours(200))

    with pytest.raises(NotSparse, match="more than 150"):
        await host.parts(SparseLimits(blocks=150))
    with pytest.raises(NotSparse, match="allowed"):
        await host.parts(SparseLimits(size_bytes=20_000))
    assert (await host.parts()).snapshot == host.whole()


async def test_a_host_that_draws_out_its_answers_is_to_be_tried_again(host: Host) -> None:
    host.account.commit(ours(3))

    with pytest.raises(RepoUnavailable):
        await host.parts(SparseLimits(seconds=0))


async def test_without_collections_nothing_is_asked(host: Host) -> None:
    with pytest.raises(NotSparse):
        await fetch_sparse(host.client, host.server.url, host.did, frozenset())
    assert not host.server.requests


def test_a_host_without_the_methods_is_remembered_for_a_while_and_not_with_too_many_others() -> None:
    now = [0.0]
    lacking = LackingHosts(lambda: now[0], seconds=10, limit=2)
    lacking.add("a")
    now[0] = 9.0
    lacking.add("b")
    assert "a" in lacking
    now[0] = 10.0
    assert "a" not in lacking
    assert "b" in lacking
    for host in ("c", "b", "d"):
        lacking.add(host)
    assert [host for host in "abcd" if host in lacking] == ["b", "d"]
    lacking = LackingHosts(lambda: now[0], seconds=10, limit=3)
    for host in ("a", "b", "c", "b"):
        lacking.add(host)
    assert [host for host in "abc" if host in lacking] == ["a", "b", "c"]


# --- in parts or whole ------------------------------------------------------------------------------------------------


async def test_a_repository_comes_in_parts_where_the_host_gives_them(host: Host) -> None:
    host.account.commit([*foreign(300), *ours(5)])

    fetched = await host.fetch(host.network())

    assert (fetched.snapshot, fetched.is_sparse, fetched.why_whole) == (host.whole(), True, None)
    assert fetched.requests == sum(host.server.requests.values())
    assert host.server.requests["getRepo"] == 0


async def test_whole_is_the_choice_of_whoever_wants_no_parts(host: Host) -> None:
    host.account.commit(ours(5))

    fetched = await host.fetch(host.network(fetch="whole"))

    assert (fetched.snapshot, fetched.is_sparse, fetched.requests) == (host.whole(), False, 1)
    assert dict(host.server.requests) == {"getRepo": 1}


@pytest.mark.parametrize("method", PARTS)
async def test_a_host_without_the_methods_is_not_asked_for_parts_again_until_an_hour_has_passed(
    host: Host, method: str
) -> None:
    host.account.commit([*foreign(50), *ours(20)])
    host.server.refusals[method] = (501, "MethodNotImplemented", "")
    now = [0.0]
    network = host.network(clock=lambda: now[0])

    fetched = [await host.fetch(network) for _ in range(3)]

    assert all(each.snapshot == host.whole() and not each.is_sparse for each in fetched)
    assert [each.why_whole is not None for each in fetched] == [True, False, False]
    assert host.server.requests["getRepo"] == 3
    assert host.server.requests[method] == 1
    now[0] = 3600.0
    host.server.refusals.clear()
    assert (await host.fetch(network)).is_sparse


def lose_a_record(host: Host) -> None:
    host.server.withheld.add(world.cid_of(world.encode(host.account.records[f"a.b.track/{rkey(7)}"])))


def forge_a_record(host: Host) -> None:
    host.server.forged[world.cid_of(world.encode(host.account.records[f"a.b.track/{rkey(7)}"]))] = b"\xa0"


def keep_writing(host: Host) -> None:
    change_after(host, "getRecord", 1000)


def prove_no_absence(host: Host) -> None:
    host.server.refusals["getRecord"] = (400, "RecordNotFound", "")


@pytest.mark.parametrize("fault", [lose_a_record, forge_a_record, keep_writing, prove_no_absence])
async def test_whatever_is_wrong_with_the_parts_of_one_repository_leaves_the_whole(
    host: Host, fault: Callable[[Host], None]
) -> None:
    host.account.commit([*foreign(100), *ours(30)])
    network = host.network()
    fault(host)

    for _ in range(2):
        fetched = await host.fetch(network)
        assert (fetched.snapshot, fetched.is_sparse) == (host.whole(), False)
        assert fetched.why_whole is not None


async def test_a_record_that_a_host_has_nowhere_makes_the_repository_partial(host: Host) -> None:
    host.account.commit([*foreign(100), *ours(30)])
    lose_a_record(host)
    (lost,) = host.server.withheld
    blocks = {cid: block for cid, block in host.server._blocks_of(host.account).items() if cid != lost}
    host.server.snapshots[host.account.did] = world.car(host.account.head, blocks)

    with pytest.raises(PartialTree):
        await host.fetch(host.network())


@pytest.mark.parametrize(("status", "reason"), [("deactivated", "RepoDeactivated"), ("deleted", "RepoNotFound")])
async def test_a_repository_that_is_gone_is_not_asked_for_twice(host: Host, status: str, reason: str) -> None:
    host.account.commit(ours(3))
    host.account.active, host.account.status = False, status

    with pytest.raises(RepoGone) as caught:
        await host.fetch(host.network())
    assert caught.value.reason == reason
    assert dict(host.server.requests) == {"getRecord": 1}


@pytest.mark.parametrize("method", PARTS)
async def test_a_host_whose_parts_fail_is_asked_for_the_whole_the_next_time(host: Host, method: str) -> None:
    host.account.commit([*foreign(100), *ours(30)])
    host.server.down.add(method)
    network = host.network()
    with pytest.raises(NetworkError):
        await host.fetch(network)

    assert len((await host.fetch(network)).snapshot.records) == 30
    assert host.server.requests["getRepo"] == 1


@pytest.mark.parametrize("method", PARTS)
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_host_that_is_overloaded_is_not_asked_for_more(host: Host, method: str, status: int) -> None:
    host.account.commit([*foreign(100), *ours(30)])
    host.server.refusals[method] = (status, "RateLimitExceeded", "")

    with pytest.raises(NetworkError) as caught:
        await host.fetch(host.network())
    assert caught.value.retry_after_seconds == 7
    assert host.server.requests["getRepo"] == 0
