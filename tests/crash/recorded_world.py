"""A long recorded history of a small network: every frame of its stream, and what every host said after each of them.

Deterministic from its seed, held in memory. Accounts live for a stretch of the stream and then fall silent, a few at
every moment: the last word of an account is what nothing later would repair, so a loss anywhere shows. Whatever two runs
may rightly see differently is avoided: every account ends active with its last state told, or deleted.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import world
from drawn_records import RecordDrawer

OWN = ("fm.plyr.track", "fm.plyr.like", "fm.plyr.comment", "fm.plyr.list", "fm.plyr.actor.profile")
INDEXED = (*OWN, "app.bsky.actor.profile", "app.bsky.graph.follow")
LIVING = 60
STRANGERS = 6
COMMITS_OF_A_LIFE = (4, 36)
RECORDS_LIMIT = 24


@dataclass(frozen=True, slots=True)
class State:
    """What an account's host and the directory say of it from one moment on."""

    handle: str
    document: dict[str, Any]
    active: bool
    status: str | None
    rev: str | None
    head: bytes
    head_block: bytes
    tree: world.Tree
    records: dict[str, world.Record]

    def blocks(self) -> dict[bytes, bytes]:
        """Return every block of the repository."""
        encoded = (world.encode(record) for record in self.records.values())
        return {self.head: self.head_block} | self.tree.blocks | {world.cid_of(block): block for block in encoded}


@dataclass
class RecordedWorld:
    """The frames by seq, the states by account and moment, and what people asked of the indexer."""

    frames: list[tuple[int, bytes]] = field(default_factory=list)
    states: dict[str, list[tuple[int, State]]] = field(default_factory=dict)
    # Found by nobody who asks the relay: only a request leads to them.
    unlisted: set[str] = field(default_factory=set)
    requests: list[tuple[int, str]] = field(default_factory=list)
    takedowns: list[tuple[int, str]] = field(default_factory=list)
    tracked: set[str] = field(default_factory=set)
    happened: Counter[str] = field(default_factory=Counter)

    @property
    def last_seq(self) -> int:
        """Return the seq of the last frame that can be read."""
        return self.frames[-1][0]

    def state(self, did: str, seq: int) -> State | None:
        """Return what is said of an account once the stream has been told up to this seq."""
        history = self.states.get(did, [])
        index = bisect_right(history, seq, key=lambda each: each[0])
        return history[index - 1][1] if index else None

    def expected_records(self) -> set[tuple[str, bytes]]:
        """Return (URI, CID) of every record that must be indexed in the end, from the repositories alone."""
        found = set()
        for did in self.tracked:
            final = self.states[did][-1][1]
            if final.active:
                for path, record in final.records.items():
                    if path.partition("/")[0] in INDEXED:
                        found.add((f"at://{did}/{path}", world.cid_of(world.encode(record))))
        return found


@dataclass
class _Life:
    """One account while it takes part."""

    account: world.Account
    commits_left: int
    is_ours: bool = False
    inactive_for: int = 0
    # Something happened that no frame has told: another commit must follow before it falls silent.
    owes_a_word: bool = False


class _Story:
    """Lets things happen, one after another."""

    def __init__(self, seed: int, frame_count: int, pds: str) -> None:
        self.world = world.World(seed)
        self.random = self.world.random
        self.recorded = RecordedWorld()
        self.frame_count = frame_count
        self.pds = pds
        self.living: list[_Life] = []
        self.strangers = [_Life(self.account(), 1_000_000) for _ in range(STRANGERS)]
        self.known: list[tuple[world.Account, world.Commit]] = []
        self.drawer = RecordDrawer(self.random)

    # --- the record of it ------------------------------------------------------------------------------------------

    def account(self) -> world.Account:
        account = self.world.account(pds=self.pds)
        self.keep(account)
        return account

    def keep(self, account: world.Account, seq: int | None = None) -> None:
        """Remember what is said of the account from now on, or from the frame that is about to be sent."""
        state = State(
            account.handle,
            account.document(),
            account.active,
            account.status,
            account.rev,
            account.head,
            account.head_block,
            account.tree,
            dict(account.records),
        )
        self.recorded.states.setdefault(account.did, []).append((self.world.seq if seq is None else seq, state))

    def send(self, account: world.Account, raw: bytes) -> None:
        self.recorded.frames.append((self.world.seq, raw))
        self.keep(account)
        self.world.now_us += self.random.randrange(2_000_000)

    # --- records ----------------------------------------------------------------------------------------------------

    def draw(self) -> tuple[str, world.Record]:
        key = world.tid(self.world.now_us, self.random.randrange(1024))
        return self.drawer.draw(key, list(self.world.accounts))

    def writes(self, life: _Life, *, ours: bool = True) -> list[world.Write]:
        """Return writes that are possible one after another; a stranger's are none of our business."""
        account, writes = life.account, list[world.Write]()
        present = {path: world.cid_of(world.encode(record)) for path, record in account.records.items()}
        for _ in range(self.random.choice([1, 1, 1, 2, 3, 4])):
            path, record = self.draw()
            dice = self.random.random()
            if present and (dice < 0.22 or len(present) > RECORDS_LIMIT):
                path = self.random.choice(sorted(present))
                writes.append(("delete", path, None))
                del present[path]
                if dice < 0.05:  # the same path comes again in the same commit
                    other, record = self.draw()
                    if other.partition("/")[0] != path.partition("/")[0]:
                        continue
                else:
                    continue
            elif present and dice < 0.4:
                same = [each for each in sorted(present) if each.partition("/")[0] == path.partition("/")[0]]
                path = self.random.choice(same) if same else path
            if not ours and path.partition("/")[0] in OWN:
                path, record = f"app.bsky.feed.like/{path.partition('/')[2]}", {"$type": "app.bsky.feed.like"}
            cid = world.cid_of(world.encode(record))
            if present.get(path) == cid:
                continue
            writes.append(("update" if path in present else "create", path, record))
            present[path] = cid
            if path.startswith("fm.plyr.track/"):
                self.drawer.subjects.append((account.did, path, cid))
        return writes

    # --- what happens ------------------------------------------------------------------------------------------------

    def commit(self, life: _Life, writes: list[world.Write]) -> None:
        commit = life.account.commit(writes)
        self.send(life.account, self.world.commit_frame(life.account, commit))
        self.known.append((life.account, commit))
        life.owes_a_word = False

    def begin(self) -> None:
        """Let somebody new appear; some are strangers for a while before they are ours."""
        life = _Life(self.account(), self.random.randrange(*COMMITS_OF_A_LIFE))
        for _ in range(self.random.choice([0, 0, 0, 2])):
            self.commit(life, self.writes(life, ours=False))
        self.living.append(life)
        self.join(life)

    def join(self, life: _Life) -> None:
        """Let an account make its first record of ours, which makes it tracked."""
        writes = [write for write in self.writes(life) if write[2] is not None and write[1].partition("/")[0] in OWN]
        key = world.tid(self.world.now_us)
        first = self.drawer.track("first")
        self.commit(life, [("create", f"fm.plyr.track/{key}", first)] if not writes else writes[:1])
        self.recorded.tracked.add(life.account.did)
        life.is_ours = True

    def retire(self, life: _Life) -> None:
        """Let an account fall silent: nothing later will repair what is lost of its last word."""
        if life.inactive_for:
            life.inactive_for = 0
            self.activate(life)
        if life.owes_a_word:
            self.commit(life, self.writes(life))
        self.living.remove(life)
        self.recorded.happened["retire"] += 1

    def activate(self, life: _Life) -> None:
        life.account.active, life.account.status = True, None
        self.send(life.account, self.world.account_frame(life.account, True))

    def step(self) -> None:
        """Let one thing happen."""
        if len(self.living) < LIVING:
            self.begin()
            self.recorded.happened["begin"] += 1
            return
        life = self.random.choice(self.living)
        account = life.account
        if life.inactive_for:
            life.inactive_for -= 1
            if life.inactive_for == 0:
                self.recorded.happened["activate"] += 1
                self.activate(life)
            return
        if life.commits_left <= 0:
            self.retire(life)
            return
        kind = self.random.choices(
            ["commit", "empty", "miss", "sync", "identity", "rotate", "rotate-silently", "rename", "deactivate",
             "delete", "replay", "forge", "stranger"],
            [700, 15, 30, 20, 20, 12, 6, 10, 15, 5, 25, 4, 60],
        )[0]  # fmt: skip
        is_early = len(self.recorded.frames) < 0.6 * self.frame_count
        if kind == "forge" and (not is_early or life.commits_left < 3):
            return
        self.recorded.happened[kind] += 1
        life.commits_left -= 1
        match kind:
            case "commit":
                self.commit(life, self.writes(life))
            case "empty":
                self.commit(life, [])
            case "miss":
                account.commit(self.writes(life))
                self.keep(account)
                life.owes_a_word = True
            case "sync":
                if self.random.random() < 0.5:
                    account.commit(self.writes(life))
                self.send(account, self.world.sync_frame(account))
                life.owes_a_word = False
            case "identity":
                self.send(account, self.world.identity_frame(account))
            case "rotate":
                # Until the next commit the repository is signed with the old key: whoever fetches it anew must wait.
                account.key = self.world.key()
                self.send(account, self.world.identity_frame(account))
                life.owes_a_word = True
            case "rotate-silently":
                account.key = self.world.key()
                self.keep(account)
                life.owes_a_word = True
            case "rename":
                account.handle = f"renamed{self.world.seq}.world.test"
                self.send(account, self.world.identity_frame(account))
            case "deactivate":
                account.active = False
                account.status = self.random.choice(["deactivated", "suspended", "takendown"])
                life.inactive_for, life.owes_a_word = self.random.randrange(1, 8), True
                self.send(account, self.world.account_frame(account, False, account.status))
            case "delete":
                account.active, account.status = False, "deleted"
                self.living.remove(life)
                self.send(account, self.world.account_frame(account, False, "deleted"))
            case "replay":
                self.replay()
            case "forge":
                self.forge(life)
            case "stranger":
                stranger = self.random.choice(self.strangers)
                self.commit(stranger, self.writes(stranger, ours=False))

    def replay(self) -> None:
        """Let an old commit come once more, under a new seq."""
        account, commit = self.random.choice(self.known[-300:])
        raw = self.world.commit_frame(account, commit)
        self.recorded.frames.append((self.world.seq, raw))

    def forge(self, life: _Life) -> None:
        """Let somebody without the key speak for the account."""
        thief = replace(life.account, key=self.world.key(), records=dict(life.account.records))
        raw = self.world.commit_frame(thief, thief.commit(self.writes(_Life(thief, 1))))
        self.recorded.frames.append((self.world.seq, raw))
        life.owes_a_word = True

    def garbage(self) -> None:
        """Let something come that is no frame at all."""
        self.world.seq += 1
        self.recorded.frames.append((self.world.seq, b"\xff\xff this is no frame"))
        self.recorded.happened["garbage"] += 1

    def tell(self) -> RecordedWorld:
        """Tell the whole story."""
        recorded = self.recorded
        for number in range(12):  # those who were there before the stream was listened to
            life = _Life(self.account(), 0)
            for _ in range(3):
                life.account.commit([write for write in self.writes(life) if write[2] is not None])
            life.account.commit([("create", f"fm.plyr.track/{world.tid(self.world.now_us)}", self.drawer.track("old"))])
            self.keep(life.account)
            recorded.tracked.add(life.account.did)
            if number % 3 == 0:
                recorded.unlisted.add(life.account.did)
                recorded.requests.append((self.frame_count * (number + 1) // 16, life.account.did))
        marks = iter(sorted({self.frame_count // 3, self.frame_count * 2 // 3}))
        mark = next(marks, None)
        while len(recorded.frames) < self.frame_count:
            self.step()
            if mark is not None and len(recorded.frames) >= mark:
                self.garbage()
                mark = next(marks, None)
        for life in list(self.living):
            self.retire(life)
        self.commit(self.strangers[0], self.writes(self.strangers[0], ours=False))
        for number, did in enumerate(self._some_tracked()):
            recorded.takedowns.append((self.frame_count * (number + 1) // 8, did))
            if number % 2:
                recorded.requests.append((self.frame_count * (number + 1) // 7, did))
        return recorded

    def _some_tracked(self) -> Iterator[str]:
        """Return a few accounts that stay and are there from early on, for the operator to act on."""
        old = [
            did
            for did, history in self.recorded.states.items()
            if did in self.recorded.tracked and history[-1][1].active
        ]
        yield from old[:: max(1, len(old) // 5)][:5]


def record_world(seed: int, frame_count: int, pds: str) -> RecordedWorld:
    """Return a history of at least so many frames, of accounts that all live on this host."""
    return _Story(seed, frame_count, pds).tell()
