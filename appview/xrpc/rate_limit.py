"""How often somebody may ask: fixed windows, counted in memory, bounded.

Somebody is an account that proved itself, or else a client address; the two have windows of their own. Windows begin
at multiples of their length, so all counts of one are forgotten at once and memory is that of one window's askers;
beyond a bound new ones go uncounted. Each process counts for itself. The clock is the caller's. The fence against a
flood stands in front of us; this one is for manners.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_IPV6_NETWORK_BITS = 64
_EVERYBODY = "*"


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` points in every `seconds`; a request is one, or as many as its method weighs."""

    limit: int
    seconds: int


@dataclass(frozen=True, slots=True)
class MethodLimits:
    """A method's own windows, beside the general ones: for each asker, and for all together; every request is one."""

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
        account_windows: Sequence[Window] | None = None,
        points: Mapping[str, int] | None = None,
        maximum_addresses: int = 100_000,
    ) -> None:
        """Take the windows of every address, those of every account, and those that methods (by NSID) have besides.

        Accounts have the windows of addresses when they have none of their own. `points` is what a method weighs.
        """
        self._of_addresses = [_Counts(window) for window in windows]
        self._of_accounts = [_Counts(window) for window in (windows if account_windows is None else account_windows)]
        self._by_asker: dict[str, list[_Counts]] = {}
        self._in_total: dict[str, list[_Counts]] = {}
        for nsid, limits in (methods or {}).items():
            self._by_asker[nsid] = [_Counts(window) for window in limits.by_address]
            self._in_total[nsid] = [_Counts(window) for window in limits.in_total]
        self._points = points or {}
        self._maximum = maximum_addresses

    def take(self, nsid: str | None, asker: str | None, now: float, *, is_account: bool = False) -> Allowance | None:
        """Count a request and return what is left; None when nothing limits it.

        `asker` is a client address or an account's DID, None when it is not known: then only the limits for all
        together hold. A refused request is not counted.
        """
        weight = self._points.get(nsid, 1) if nsid is not None else 1
        counts: list[tuple[_Counts, str, int]] = []
        if asker is not None:
            counts += [(count, asker, weight) for count in (self._of_accounts if is_account else self._of_addresses)]
            counts += [(count, asker, 1) for count in self._by_asker.get(nsid or "", ())]
        counts += [(count, _EVERYBODY, 1) for count in self._in_total.get(nsid or "", ())]
        if not counts:
            return None
        for count, _, _ in counts:
            count.turn(now)
        refusing = [(count, key, cost) for count, key, cost in counts if count.left(key) < cost]
        if not refusing:
            for count, key, cost in counts:
                if key in count.used or len(count.used) < self._maximum:
                    count.used[key] = count.used.get(key, 0) + cost
        if refusing:
            # The last to open again is the one to wait for.
            tightest, key, _ = max(refusing, key=lambda each: each[0].reset_at())
        else:
            tightest, key, _ = min(counts, key=lambda each: (each[0].left(each[1]), -each[0].reset_at()))
        return Allowance(
            is_allowed=not refusing,
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
