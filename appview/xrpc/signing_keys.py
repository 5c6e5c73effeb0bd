"""The keys with which accounts sign: from memory, from the index, from the directory, in this order.

What a stranger names is looked up at somebody's cost, so index and directory are asked within limits: for each client
address and over all, and again for a key that was known only once in a while for each account. Keys are kept for
minutes, within a bound. The clock is the caller's; each process keeps its own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from appview.xrpc.errors import RATE_LIMIT_EXCEEDED, UpstreamFailure, XrpcError
from appview.xrpc.rate_limit import MethodLimits, RateLimits, Window
from atprotocol.errors import IdentityNotFound, IdentityUnavailable
from atprotocol.syntax.did import DID

KEEP_SECONDS = 300
# An account that was just made may be asked for a moment too early.
KEEP_MISSING_SECONDS = 30
# Counted by client address: a host asks for many accounts. First those that memory does not hold, then those that the
# index does not know either.
UNSEEN_LIMITS = MethodLimits(by_address=(Window(3000, 300),))
LOOKUP_LIMITS = MethodLimits(by_address=(Window(300, 300),), in_total=(Window(3000, 300),))
# Counted by account.
REFRESH_LIMITS = MethodLimits(by_address=(Window(1, 60),), in_total=(Window(60, 60),))
_UNSEEN = "unseen"
_LOOKUP = "lookup"
_REFRESH = "refresh"


class ResolveKey(Protocol):
    """The directory, as it is asked for an account's key as it is now."""

    async def __call__(self, did: DID) -> str | None:
        """Return the did:key text that the DID document names, None when it names none.

        Raises IdentityNotFound (conclusive) or IdentityUnavailable (try again).
        """
        ...


async def no_directory(did: DID) -> str | None:
    """Resolve nothing: for servers that have no way to the network."""
    raise IdentityUnavailable(f"there is no directory to ask for {did[:120]}")


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was found and until when it counts."""

    key: str | None
    until: float


@dataclass(slots=True)
class SigningKeys:
    """Keys by DID, as did:key texts. `known` is the index: None where it has no key; times in seconds since 1970."""

    known: Callable[[DID], Awaitable[str | None]]
    resolve: ResolveKey
    maximum: int = 50_000
    limits: RateLimits = field(
        default_factory=lambda: RateLimits(
            (), {_UNSEEN: UNSEEN_LIMITS, _LOOKUP: LOOKUP_LIMITS, _REFRESH: REFRESH_LIMITS}
        )
    )
    _kept: dict[DID, _Kept] = field(default_factory=dict)
    _under_way: dict[DID, asyncio.Task[str | None]] = field(default_factory=dict)

    async def key_of(self, did: DID, address: str | None, now: float) -> str | None:
        """Return an account's key, None when there is no such account or it has none.

        `address` is the client's. Raises XrpcError: 502 when the directory does not answer, 429 beyond the limits.
        """
        kept = self._kept.get(did)
        if kept is not None and now < kept.until:
            return kept.key
        self._count(_UNSEEN, address, now)
        key = await self.known(did)
        if key is not None:
            return self._keep(did, key, now)
        if did not in self._under_way:
            self._count(_LOOKUP, address, now)
        return await self._look_up(did, now)

    async def changed_key_of(self, did: DID, tried: str, now: float) -> str | None:
        """Return an account's key when it is another than the one that was tried; None when it is not.

        None too while the directory has been asked often enough. Raises XrpcError (502) when it does not answer.
        """
        kept = self._kept.get(did)
        key = kept.key if kept is not None and now < kept.until else tried
        if key == tried:
            if did not in self._under_way:
                allowance = self.limits.take(_REFRESH, did, now)
                if allowance is not None and not allowance.is_allowed:
                    return None
            key = await self._look_up(did, now)
        return None if key == tried else key

    def _count(self, what: str, address: str | None, now: float) -> None:
        allowance = self.limits.take(what, address, now)
        if allowance is not None and not allowance.is_allowed:
            message = "Too many accounts that are not known here asked at once"
            raise XrpcError(429, RATE_LIMIT_EXCEEDED, message, allowance.headers(now))

    async def _look_up(self, did: DID, now: float) -> str | None:
        """Ask the directory, sharing a lookup that is under way."""
        task = self._under_way.get(did)
        if task is None:
            task = asyncio.create_task(self._ask(did, now))
            self._under_way[did] = task
            task.add_done_callback(lambda done: self._finished(did, done))
        # One client's leaving must not take the answer from the others.
        return await asyncio.shield(task)

    def _finished(self, did: DID, task: asyncio.Task[str | None]) -> None:
        del self._under_way[did]
        if not task.cancelled():
            task.exception()  # Nobody may be left to hear of it.

    async def _ask(self, did: DID, now: float) -> str | None:
        try:
            return self._keep(did, await self.resolve(did), now)
        except IdentityNotFound:
            return self._keep(did, None, now)
        except IdentityUnavailable as error:
            wait = error.retry_after_seconds
            raise UpstreamFailure("The directory that has the issuer's key does not answer", wait) from error

    def _keep(self, did: DID, key: str | None, now: float) -> str | None:
        self._kept.pop(did, None)
        if len(self._kept) >= self.maximum:
            # What was put in first goes first.
            del self._kept[next(iter(self._kept))]
        self._kept[did] = _Kept(key, now + (KEEP_MISSING_SECONDS if key is None else KEEP_SECONDS))
        return key
