"""Tokens that were used: one for a procedure is good for one call.

Kept in memory until they have expired, as hashes, within a bound for each issuer and over all: beyond it no further
token is taken, because one that is forgotten could be used again. Each process keeps its own: behind several
of them a token may be used once at each.
"""

import hashlib
from dataclasses import dataclass, field

_DIGEST_BYTES = 16


@dataclass(slots=True)
class UsedTokens:
    """What was used and has not expired. Times are in seconds since 1970."""

    maximum: int = 200_000
    maximum_by_issuer: int = 1000
    _expiry_of: dict[bytes, dict[bytes, float]] = field(default_factory=dict)
    _count: int = 0

    def take(self, issuer: str, token_id: str, expires_at: float, now: float) -> bool:
        """Remember a use and tell whether it is the first.

        Raises FullOfTokens.
        """
        by, which = _digest(issuer), _digest(token_id)
        own = self._expiry_of.get(by, {})
        if own.get(which, now) > now:
            return False
        if len(own) >= self.maximum_by_issuer:
            self._forget_expired(by, now)
        if self._count >= self.maximum:
            for each in list(self._expiry_of):
                self._forget_expired(each, now)
        own = self._expiry_of.setdefault(by, {})
        if len(own) >= self.maximum_by_issuer or self._count >= self.maximum:
            raise FullOfTokens
        if which not in own:
            self._count += 1
        own[which] = expires_at
        return True

    def _forget_expired(self, issuer: bytes, now: float) -> None:
        before = self._expiry_of.pop(issuer, {})
        after = {which: expires_at for which, expires_at in before.items() if expires_at > now}
        self._count += len(after) - len(before)
        if after:
            self._expiry_of[issuer] = after


class FullOfTokens(Exception):
    """No more tokens can be remembered now."""


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()
