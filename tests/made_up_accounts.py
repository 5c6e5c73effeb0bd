"""Accounts made up to call methods with: their keys, their tokens, and a directory of them."""

import base64
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from atprotocol.crypto import CurveName, PrivateKey, private_key_from_bytes
from atprotocol.errors import IdentityNotFound
from atprotocol.syntax.did import DID

ALGORITHMS: dict[CurveName, str] = {"P-256": "ES256", "K-256": "ES256K"}


def key_of(number: int, curve: CurveName = "K-256") -> PrivateKey:
    """Return the key of that number."""
    return private_key_from_bytes(curve, number.to_bytes(32, "big"))


def encoded(content: bytes | dict[str, Any]) -> str:
    """Return bytes, or an object as JSON, as a part of a token."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def signed(header: dict[str, Any] | bytes, claims: dict[str, Any] | bytes, key: PrivateKey) -> str:
    """Return a token of any content, signed by a key."""
    content = f"{encoded(header)}.{encoded(claims)}"
    return f"{content}.{encoded(key.sign(content.encode()))}"


@dataclass
class MadeUpAccount:
    """An account with a key, and tokens in its name as a host writes them."""

    did: DID
    key: PrivateKey
    audience: str
    count: int = 0

    def token(self, method: str, now: float, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Return a token for a method; claims of None are left out."""
        self.count += 1
        usual = {"iss": self.did, "aud": self.audience, "lxm": method, "iat": int(now), "exp": int(now) + 60, "jti": f"{self.count:032x}"}  # fmt: skip
        chosen = {name: value for name, value in (usual | claims).items() if value is not None}
        return signed({"typ": "JWT", "alg": ALGORITHMS[self.key.curve]} | (header or {}), chosen, self.key)

    def authorization(self, method: str, now: float, **claims: Any) -> dict[str, str]:
        """Return the header with a token for a method."""
        return {"Authorization": f"Bearer {self.token(method, now, **claims)}"}


@dataclass
class MadeUpDirectory:
    """Knows the keys that it was told, counts who asks, and fails when it is told to."""

    keys: dict[str, str | None] = field(default_factory=dict)
    error: Exception | None = None
    asked: list[str] = field(default_factory=list)
    before_answer: Callable[[], Awaitable[None]] | None = None

    @classmethod
    def of(cls, accounts: Iterable[MadeUpAccount]) -> "MadeUpDirectory":
        """Return a directory of these accounts."""
        return cls({account.did: account.key.public_key.did_key for account in accounts})

    async def __call__(self, did: DID) -> str | None:
        """Answer as the directory does."""
        self.asked.append(did)
        if self.before_answer is not None:
            await self.before_answer()
        if self.error is not None:
            raise self.error
        if did not in self.keys:
            raise IdentityNotFound(f"{did} is unknown")
        return self.keys[did]


async def unknown(did: DID) -> str | None:
    """Know no key: an empty index."""
    return None
