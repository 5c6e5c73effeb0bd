"""Fixed windows: what is counted, told and forgotten, and whose address it is."""

from typing import Any

import pytest

from appview.xrpc.rate_limit import Allowance, MethodLimits, RateLimits, Window, client_address

METHOD = "com.example.ask"


def test_requests_beyond_the_limit_wait_for_the_next_window() -> None:
    limits = RateLimits([Window(2, 60)])
    taken = [limits.take(METHOD, "192.0.2.1", 1200.0 + second) for second in (0, 1, 2, 59.9, 60)]
    assert [allowance is not None and allowance.is_allowed for allowance in taken] == [True, True, False, False, True]
    second, third = taken[1], taken[2]
    assert second is not None
    assert third is not None
    assert second.headers(1201.0) == {
        "RateLimit-Limit": "2",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": "1260",
        "RateLimit-Policy": "2;w=60",
    }
    assert third.headers(1202.7)["Retry-After"] == "58"


def test_the_tightest_of_several_windows_is_told() -> None:
    limits = RateLimits([Window(2, 10), Window(3, 1000)])
    told = [limits.take(METHOD, "192.0.2.1", second) for second in (0.0, 1.0, 10.0, 11.0)]
    assert [allowance and (allowance.policy, allowance.remaining, allowance.is_allowed) for allowance in told] == [
        ("2;w=10", 1, True),
        ("2;w=10", 0, True),
        ("3;w=1000", 0, True),
        ("3;w=1000", 0, False),
    ]


def test_addresses_are_counted_apart() -> None:
    limits = RateLimits([Window(1, 60)])
    assert [limits.take(METHOD, f"192.0.2.{number}", 0.0).is_allowed for number in (1, 2, 1)] == [True, True, False]  # type: ignore[union-attr]


def test_a_method_has_limits_of_its_own_for_each_address_and_for_all_together() -> None:
    limits = RateLimits([Window(100, 60)], {METHOD: MethodLimits((Window(2, 60),), (Window(3, 60),))})

    def take(address: str | None, nsid: str = METHOD) -> bool:
        allowance = limits.take(nsid, address, 0.0)
        return allowance is None or allowance.is_allowed

    assert [take("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert [take("192.0.2.2") for _ in range(2)] == [True, False]
    assert not take(None)
    assert take("192.0.2.2", "com.example.other")
    assert take(None, "com.example.other")


def test_a_refused_request_is_not_counted() -> None:
    limits = RateLimits([Window(10, 60)], {METHOD: MethodLimits((Window(1, 60),))})
    for _ in range(20):
        limits.take(METHOD, "192.0.2.1", 0.0)
    allowance = limits.take("com.example.other", "192.0.2.1", 0.0)
    assert allowance is not None
    assert allowance.remaining == 8


def test_memory_is_bounded_and_addresses_beyond_the_bound_are_let_through() -> None:
    limits = RateLimits([Window(1, 60)], maximum_addresses=2)
    for number in range(100):
        assert limits.take(METHOD, f"192.0.2.{number}", 0.0).is_allowed  # type: ignore[union-attr]
    assert not limits.take(METHOD, "192.0.2.1", 0.0).is_allowed  # type: ignore[union-attr]
    assert limits.take(METHOD, "192.0.2.99", 0.0).is_allowed  # type: ignore[union-attr]


def _taken(limits: RateLimits, *arguments: Any, **named: Any) -> Allowance:
    allowance = limits.take(*arguments, **named)
    assert allowance is not None
    return allowance


def test_accounts_have_windows_of_their_own() -> None:
    limits = RateLimits([Window(1, 60)], account_windows=[Window(2, 60), Window(3, 600)])
    assert _taken(limits, METHOD, "192.0.2.1", 0.0).policy == "1;w=60"
    told = [_taken(limits, METHOD, "did:web:a", second, is_account=True) for second in (0.0, 1.0, 2.0, 60.0, 61.0)]
    assert [(each.is_allowed, each.policy) for each in told] == [
        (True, "2;w=60"),
        (True, "2;w=60"),
        (False, "2;w=60"),
        (True, "3;w=600"),
        (False, "3;w=600"),
    ]
    # Without windows of their own they have those of addresses, counted apart.
    same = RateLimits([Window(1, 60)])
    assert [_taken(same, METHOD, "a", 0.0, is_account=flag).is_allowed for flag in (True, False, True)] == [True, True, False]  # fmt: skip


def test_a_method_may_weigh_more_than_a_point() -> None:
    limits = RateLimits([Window(5, 60)], {METHOD: MethodLimits((Window(10, 60),))}, points={METHOD: 2})
    told = [_taken(limits, nsid, "192.0.2.1", 0.0) for nsid in (METHOD, METHOD, METHOD, "com.example.other", METHOD)]
    assert [(each.is_allowed, each.remaining) for each in told] == [(True, 3), (True, 1), (False, 1), (True, 0), (False, 0)]  # fmt: skip
    # Its own windows count calls, however much each weighs.
    own = RateLimits([], {METHOD: MethodLimits((Window(2, 60),))}, points={METHOD: 2})
    assert [_taken(own, METHOD, "192.0.2.1", 0.0).is_allowed for _ in range(3)] == [True, True, False]


def test_of_several_windows_that_refuse_the_last_to_open_is_told() -> None:
    limits = RateLimits([Window(3, 1000), Window(2, 10)], points={METHOD: 2})
    assert _taken(limits, METHOD, "192.0.2.1", 0.0).is_allowed
    refused = _taken(limits, METHOD, "192.0.2.1", 1.0)
    assert (refused.is_allowed, refused.policy, refused.remaining) == (False, "3;w=1000", 1)
    assert refused.headers(1.0)["Retry-After"] == "999"


@pytest.mark.parametrize(
    ("peer", "forwarded", "hops", "address"),
    [
        ("192.0.2.1", [], 0, "192.0.2.1"),
        ("192.0.2.1", ["203.0.113.9"], 0, "192.0.2.1"),
        ("192.0.2.1", ["203.0.113.9"], 1, "203.0.113.9"),
        ("192.0.2.1", ["198.51.100.7, 203.0.113.9"], 1, "203.0.113.9"),
        ("192.0.2.1", ["198.51.100.7, 203.0.113.9"], 2, "198.51.100.7"),
        ("192.0.2.1", ["198.51.100.7", "203.0.113.9"], 2, "198.51.100.7"),
        ("192.0.2.1", ["203.0.113.9"], 2, "192.0.2.1"),
        ("192.0.2.1", ["unknown"], 1, "192.0.2.1"),
        ("192.0.2.1", [""], 1, "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", [], 0, "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", [], 0, "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", [], 0, "192.0.2.1"),
        ("fe80::1%eth0", [], 0, "fe80::/64"),
        ("192.0.2.1", ["[2001:db8::1]"], 1, "2001:db8::/64"),
        (None, [], 0, None),
        ("a socket", [], 0, None),
    ],
)
def test_the_address_is_what_the_outermost_trusted_proxy_saw(
    peer: str | None, forwarded: list[str], hops: int, address: str | None
) -> None:
    assert client_address(peer, forwarded, hops) == address
