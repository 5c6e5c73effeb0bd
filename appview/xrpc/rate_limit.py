"""How often an address may ask: fixed windows, counted in memory, bounded.

Windows begin at multiples of their length, so all counts of one are forgotten at once and memory is that of one
window's addresses; beyond a bound new addresses go uncounted. Each process counts for itself. The
clock is the caller's. The fence against a flood stands in front of us; this one is for manners.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_IPV6_NETWORK_BITS = 64
_EVERYBODY = "*"


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` requests in every `seconds`."""

    limit: int
    seconds: int


@dataclass(frozen=True, slots=True)
class MethodLimits:
    """A method's own windows, beside the general ones: for each address, and for all together."""

    by_address: tuple[Window, ...] = ()
    in_total: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the tightest window says after a request; `reset_at` in seconds since 1970."""

    is_allowed: bool
    limit: int
    remaining: int
    reset_at: int
    policy: str

    def headers(self, now: float) -> dict[str, str]:
        """Return the headers that tell a client, Retry-After among them when it must wait."""
        headers = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_at),
            "RateLimit-Policy": self.policy,
        }
        if not self.is_allowed:
            headers["Retry-After"] = str(max(1, self.reset_at - int(now)))
        return headers


@dataclass(slots=True)
class _Counts:
    """The counts of the present window by key."""

    window: Window
    number: int = -1
    used: dict[str, int] = field(default_factory=dict)

    def turn(self, now: float) -> None:
        number = int(now // self.window.seconds)
        if number != self.number:
            self.number, self.used = number, {}

    def left(self, key: str) -> int:
        return self.window.limit - self.used.get(key, 0)

    def reset_at(self) -> int:
        return (self.number + 1) * self.window.seconds


class RateLimits:
    """The counts of one process."""

    def __init__(
        self,
        windows: Sequence[Window],
        methods: Mapping[str, MethodLimits] | None = None,
        *,
        maximum_addresses: int = 100_000,
    ) -> None:
        """Take the windows of every address, and those that methods (by NSID) have besides."""
        self._general = [_Counts(window) for window in windows]
        self._by_address: dict[str, list[_Counts]] = {}
        self._in_total: dict[str, list[_Counts]] = {}
        for nsid, limits in (methods or {}).items():
            self._by_address[nsid] = [_Counts(window) for window in limits.by_address]
            self._in_total[nsid] = [_Counts(window) for window in limits.in_total]
        self._maximum = maximum_addresses

    def take(self, nsid: str | None, address: str | None, now: float) -> Allowance | None:
        """Count a request and return what is left; None when nothing limits it.

        `address` is None when it is not known: then only the limits for all together hold. A refused
        request is not counted.
        """
        counts: list[tuple[_Counts, str]] = []
        if address is not None:
            own = self._by_address.get(nsid, []) if nsid is not None else []
            counts += [(count, address) for count in (*self._general, *own)]
        if nsid is not None:
            counts += [(count, _EVERYBODY) for count in self._in_total.get(nsid, [])]
        if not counts:
            return None
        for count, _ in counts:
            count.turn(now)
        is_allowed = all(count.left(key) > 0 for count, key in counts)
        if is_allowed:
            for count, key in counts:
                if key in count.used or len(count.used) < self._maximum:
                    count.used[key] = count.used.get(key, 0) + 1
        # Of several that are used up, the last to open again is the one to wait for.
        tightest, key = min(counts, key=lambda each: (each[0].left(each[1]), -each[0].reset_at()))
        return Allowance(
            is_allowed=is_allowed,
            limit=tightest.window.limit,
            remaining=max(0, tightest.left(key)),
            reset_at=tightest.reset_at(),
            policy=f"{tightest.window.limit};w={tightest.window.seconds}",
        )


def client_address(peer: str | None, forwarded_for: Sequence[str], trusted_hops: int) -> str | None:
    """Return the address to count by: that which the outermost trusted proxy saw; of IPv6 its /64 network.

    `forwarded_for` are the values of X-Forwarded-For in order. With 0 trusted hops the header is ignored. Where
    it is too short or unreadable the peer is counted. None when there is no address at all.
    """
    claims = [claim.strip() for value in forwarded_for for claim in value.split(",")]
    if 0 < trusted_hops <= len(claims):
        claimed = _network_of(claims[-trusted_hops])
        if claimed is not None:
            return claimed
    return None if peer is None else _network_of(peer)


def _network_of(text: str) -> str | None:
    try:
        address = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), _IPV6_NETWORK_BITS), strict=False))
