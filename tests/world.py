"""A small network of real signed bytes, for tests: accounts, repositories, commits with proofs, CARs, frames.

Independent of the project on purpose: it imports nothing of ours, builds trees bottom-up from sorted keys,
encodes with cbor2 and signs with `cryptography`, so that a shared mistake is unlikely. Deterministic from its
seed. A record is a dictionary whose links are `link(cid)` tags; CIDs are 36 bytes.
"""

import base64
import hashlib
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Record = dict[str, Any]
Write = tuple[str, str, Record | None]  # (action, path, record)

START_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
ORDERS = {
    "P-256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "K-256": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
}
CURVES: dict[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "K-256": ec.SECP256K1()}
CODECS = {"P-256": b"\x80\x24", "K-256": b"\xe7\x01"}
BASE32_SORT = "234567abcdefghijklmnopqrstuvwxyz"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def encode(value: Any) -> bytes:
    """Return canonical DAG-CBOR (cbor2 sorts keys length first, as DAG-CBOR wants)."""
    return cbor2.dumps(value, canonical=True)


def cid_of(content: bytes, codec: int = 0x71) -> bytes:
    """Return the binary CIDv1 of a block."""
    return bytes((1, codec, 0x12, 0x20)) + hashlib.sha256(content).digest()


def cid_text(cid: bytes) -> str:
    """Return a CID's base32 text."""
    return "b" + base64.b32encode(cid).decode().lower().rstrip("=")


def cid_from_text(text: str) -> bytes:
    """Return the CID in a base32 text."""
    return base64.b32decode(text[1:].upper() + "=" * (-len(text[1:]) % 8))


def link(cid: bytes) -> cbor2.CBORTag:
    """Return a link to a CID, as it stands in records and frames."""
    return cbor2.CBORTag(42, b"\0" + cid)


def blob(content: bytes, mime_type: str) -> Record:
    """Return a blob reference to these bytes."""
    return {"$type": "blob", "ref": link(cid_of(content, 0x55)), "mimeType": mime_type, "size": len(content)}


def tid(microseconds: int, clock: int = 0) -> str:
    """Return the TID of a time."""
    number = (microseconds << 10) | clock
    return "".join(BASE32_SORT[(number >> shift) & 31] for shift in range(60, -1, -5))


def varint(number: int) -> bytes:
    """Return an unsigned varint."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def car(root: bytes | None, blocks: Mapping[bytes, bytes] | Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a CAR v1 of these blocks, in the given order; with a root or none."""
    header = encode({"roots": [link(root)] if root is not None else [], "version": 1})
    pairs = blocks.items() if isinstance(blocks, Mapping) else blocks
    return varint(len(header)) + header + b"".join(varint(len(cid) + len(block)) + cid + block for cid, block in pairs)


# --- keys ---------------------------------------------------------------------------------------------------------


@dataclass
class Key:
    """A signing key."""

    curve: str
    secret: int

    @property
    def private(self) -> ec.EllipticCurvePrivateKey:
        return ec.derive_private_key(self.secret, CURVES[self.curve])

    @property
    def multikey(self) -> str:
        point = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        number = int.from_bytes(CODECS[self.curve] + point, "big")
        text = ""
        while number:
            number, digit = divmod(number, 58)
            text = BASE58[digit] + text
        return "z" + text

    def sign(self, content: bytes, high_s: bool = False) -> bytes:
        """Return the 64-byte signature; high_s makes the malleable twin that must be refused."""
        r, s = decode_dss_signature(self.private.sign(content, ec.ECDSA(hashes.SHA256())))
        order = ORDERS[self.curve]
        low = min(s, order - s)
        return r.to_bytes(32, "big") + ((order - low) if high_s else low).to_bytes(32, "big")


# --- trees --------------------------------------------------------------------------------------------------------


def height(key: bytes) -> int:
    """Return the height of a tree key: leading zero bits of its hash, in pairs."""
    bits = "".join(f"{byte:08b}" for byte in hashlib.sha256(key).digest())
    return (len(bits) - len(bits.lstrip("0"))) // 2


@dataclass
class Tree:
    """A tree built whole from sorted keys; `paths` tells which nodes lie on the way to a key."""

    root: bytes
    blocks: dict[bytes, bytes]
    children: dict[bytes, tuple[list[bytes], list[bytes | None]]]

    def path_to(self, key: bytes) -> list[bytes]:
        """Return the CIDs of the nodes from the root to where the key is or would be."""
        way, cid = [], self.root
        while True:
            way.append(cid)
            keys, links = self.children[cid]
            if key in keys:
                return way
            below = links[sum(1 for other in keys if other < key)]
            if below is None:
                return way
            cid = below


def build_tree(records: Mapping[str, bytes]) -> Tree:
    """Return the tree of these record CIDs by path."""
    items = sorted((path.encode(), cid) for path, cid in records.items())
    heights = {key: height(key) for key, _ in items}
    tree = Tree(b"", {}, {})

    def build(part: list[tuple[bytes, bytes]], level: int) -> bytes | None:
        if not part:
            return None
        groups: list[list[tuple[bytes, bytes]]] = [[]]
        own: list[tuple[bytes, bytes]] = []
        for item in part:
            if heights[item[0]] == level:
                own.append(item)
                groups.append([])
            else:
                groups[-1].append(item)
        return node(own, [build(group, level - 1) for group in groups])

    def node(own: list[tuple[bytes, bytes]], links: list[bytes | None]) -> bytes:
        entries = []
        previous = b""
        for (key, value), below in zip(own, links[1:], strict=True):
            shared = 0
            while shared < min(len(previous), len(key)) and previous[shared] == key[shared]:
                shared += 1
            entries.append({"p": shared, "k": key[shared:], "v": link(value), "t": link(below) if below else None})
            previous = key
        block = encode({"l": link(links[0]) if links[0] else None, "e": entries})
        cid = cid_of(block)
        tree.blocks[cid] = block
        tree.children[cid] = ([key for key, _ in own], links)
        return cid

    top = max(heights.values(), default=0)
    tree.root = build(items, top) or node([], [None])
    return tree


# --- accounts and the world ---------------------------------------------------------------------------------------


@dataclass
class Commit:
    """One commit of a repository, with everything that a frame needs."""

    cid: bytes
    block: bytes
    rev: str
    since: str | None
    data: bytes
    prev_data: bytes | None
    operations: list[dict[str, Any]]
    blocks: dict[bytes, bytes]


@dataclass
class Account:
    """An account with its key, its host and its repository."""

    world: "World"
    did: str
    handle: str
    key: Key
    pds: str
    records: dict[str, Record] = field(default_factory=dict)
    tree: Tree = field(default_factory=lambda: build_tree({}))
    rev: str | None = None
    head: bytes = b""
    head_block: bytes = b""
    active: bool = True
    status: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the account's DID document."""
        return {
            "@context": ["https://www.w3.org/ns/did/v1"],
            "id": self.did,
            "alsoKnownAs": [f"at://{self.handle}"],
            "verificationMethod": [
                {
                    "id": f"{self.did}#atproto",
                    "type": "Multikey",
                    "controller": self.did,
                    "publicKeyMultibase": self.key.multikey,
                }
            ],
            "service": [{"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": self.pds}],
        }

    def sign_commit(self, data: bytes, rev: str, key: Key | None = None) -> tuple[bytes, bytes]:
        """Return (cid, block) of a signed commit object."""
        unsigned = {"did": self.did, "version": 3, "data": link(data), "rev": rev, "prev": None}
        block = encode(unsigned | {"sig": (key or self.key).sign(encode(unsigned))})
        return cid_of(block), block

    def commit(self, writes: list[Write]) -> Commit:
        """Apply writes as one commit and return it; the blocks hold new nodes, covering proofs and records."""
        before = {path: cid_of(encode(record)) for path, record in self.records.items()}
        known = dict(before)
        operations = []
        new_records: dict[bytes, bytes] = {}
        for action, path, record in writes:
            cid = None
            if record is not None:
                block = encode(record)
                cid = cid_of(block)
                new_records[cid] = block
                self.records[path] = record
            else:
                del self.records[path]
            operation = {"action": action, "path": path, "cid": link(cid) if cid else None}
            if path in known:
                operation["prev"] = link(known[path])
            if cid:
                known[path] = cid
            operations.append(operation)
        old_tree, self.tree = (
            self.tree,
            build_tree({path: cid_of(encode(record)) for path, record in self.records.items()}),
        )
        rev, since, prev_data = self.world.tid(), self.rev, old_tree.root if self.rev else None
        self.head, self.head_block = self.sign_commit(self.tree.root, rev)
        self.rev = rev
        blocks = {self.head: self.head_block}
        blocks |= {cid: block for cid, block in self.tree.blocks.items() if cid not in old_tree.blocks}
        ordered = sorted(path.encode() for path in self.records)
        for _, path, _ in writes:
            key = path.encode()
            neighbours = [
                *[other for other in ordered if other < key][-1:],
                key,
                *[other for other in ordered if other > key][:1],
            ]
            for each in neighbours:
                blocks |= {cid: self.tree.blocks[cid] for cid in self.tree.path_to(each)}
        blocks |= new_records
        return Commit(self.head, self.head_block, rev, since, self.tree.root, prev_data, operations, blocks)

    def export(self) -> bytes:
        """Return the whole repository as a CAR."""
        blocks = {self.head: self.head_block} | self.tree.blocks
        blocks |= {cid_of(block): block for block in (encode(record) for record in self.records.values())}
        return car(self.head, blocks)


@dataclass
class World:
    """Accounts, a clock that only moves when told, and the numbering of one event stream."""

    seed: int = 0
    now_us: int = START_US
    seq: int = 0
    accounts: dict[str, Account] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def tid(self) -> str:
        """Return the next TID; time moves by a millisecond."""
        self.now_us += 1000
        return tid(self.now_us)

    def key(self, curve: str | None = None) -> Key:
        """Return a new signing key."""
        curve = curve or self.random.choice(["K-256", "P-256"])
        return Key(curve, self.random.randrange(1, ORDERS["P-256"] >> 1))

    def account(
        self,
        *,
        pds: str = "https://pds.example.com",
        did: str | None = None,
        curve: str | None = None,
        handle: str | None = None,
    ) -> Account:
        """Return a new account with an empty repository (no commit yet)."""
        number = len(self.accounts)
        if did is None:
            digest = hashlib.sha256(f"{self.seed}/{number}".encode()).digest()
            did = "did:plc:" + base64.b32encode(digest).decode().lower()[:24]
        account = Account(self, did, handle or f"user{number}.world.test", self.key(curve), pds)
        self.accounts[did] = account
        return account

    def time(self) -> str:
        """Return the world's time as an event states it."""
        seconds, rest = divmod(self.now_us, 1_000_000)
        days, second = divmod(seconds - START_US // 1_000_000, 86_400)
        assert days < 28, "the world's calendar is one February short"
        return (
            f"2026-01-{days + 1:02d}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{rest // 1000:03d}Z"
        )

    # frames: each takes the next seq

    def frame(self, kind: str, payload: Mapping[str, Any]) -> bytes:
        """Return a frame of this kind with the next seq."""
        self.seq += 1
        return encode({"op": 1, "t": kind}) + encode({"seq": self.seq, "time": self.time(), **payload})

    def commit_frame(self, account: Account, commit: Commit, /, **changed: Any) -> bytes:
        """Return the #commit frame of a commit; keyword arguments replace payload fields, to tell lies."""
        payload: dict[str, Any] = {
            "repo": account.did,
            "commit": link(commit.cid),
            "rev": commit.rev,
            "since": commit.since,
            "blocks": car(commit.cid, commit.blocks),
            "ops": commit.operations,
            "blobs": [],
            "rebase": False,
            "tooBig": False,
        }
        if commit.prev_data is not None:
            payload["prevData"] = link(commit.prev_data)
        return self.frame("#commit", payload | changed)

    def sync_frame(self, account: Account, /, **changed: Any) -> bytes:
        """Return a #sync frame of the account's present head."""
        payload = {
            "did": account.did,
            "rev": account.rev,
            "blocks": car(account.head, {account.head: account.head_block}),
        }
        return self.frame("#sync", payload | changed)

    def identity_frame(self, account: Account) -> bytes:
        """Return an #identity frame."""
        return self.frame("#identity", {"did": account.did, "handle": account.handle})

    def account_frame(self, account: Account, active: bool, status: str | None = None) -> bytes:
        """Return an #account frame."""
        return self.frame("#account", {"did": account.did, "active": active} | ({"status": status} if status else {}))


def error_frame(error: str, message: str | None = None) -> bytes:
    """Return an error frame."""
    return encode({"op": -1}) + encode({"error": error, "message": message or error})


def info_frame(name: str) -> bytes:
    """Return an #info frame."""
    return encode({"op": 1, "t": "#info"}) + encode({"name": name})
