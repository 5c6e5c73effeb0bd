"""Who asks, as the server sees it over HTTP: proved, anonymous, or refused before anything else is done."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from made_up_accounts import MadeUpAccount, MadeUpDirectory, key_of, unknown
from made_up_methods import ALICE, AUDIENCES, BOB, NOW, SERVER, SERVICE, authenticator, client_of

from appview.xrpc.auth import Authenticator
from appview.xrpc.rate_limit import MethodLimits, RateLimits, Window
from appview.xrpc.replays import UsedTokens
from appview.xrpc.server import XrpcServer
from appview.xrpc.signing_keys import KEEP_MISSING_SECONDS, KEEP_SECONDS, SigningKeys
from atprotocol.errors import IdentityUnavailable
from atprotocol.syntax.did import DID

NOW_SECONDS = NOW.timestamp()
WHO, SAVE, POKE = "com.example.who", "com.example.save", "com.example.poke"
SOMEBODY = DID("did:plc:cccccccccccccccccccccccc")


def server(directory: MadeUpDirectory | None = None, **changes: Any) -> XrpcServer:
    return replace(SERVER, **{"authenticator": authenticator(directory), **changes})


def brief(response: httpx.Response) -> tuple[int, Any]:
    return response.status_code, response.json().get("error")


async def whoami(on: XrpcServer, account: MadeUpAccount, **claims: Any) -> httpx.Response:
    """Ask who one is."""
    return await client_of(on).get("who", headers=account.authorization(WHO, NOW_SECONDS, **claims))


@pytest.mark.parametrize("account", [ALICE, BOB])
@pytest.mark.parametrize("audience", sorted(AUDIENCES))
async def test_an_account_that_proves_itself_is_a_viewer(account: MadeUpAccount, audience: str) -> None:
    response = await whoami(server(), account, aud=audience)
    assert (response.status_code, response.json()) == (200, {"did": account.did})


async def test_nobody_is_anonymous_and_the_word_bearer_has_no_case() -> None:
    client = client_of(server())
    assert (await client.get("who")).json() == {}
    token = ALICE.token(WHO, NOW_SECONDS)
    for scheme in ("bearer", "BEARER", "Bearer "):
        assert (await client.get("who", headers={"Authorization": f"{scheme} {token}"})).json() == {"did": ALICE.did}


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("", "MissingJwt"),
        ("Bearer", "MissingJwt"),
        ("Bearer ", "MissingJwt"),
        ("Basic YWxpY2U6c2VjcmV0", "MissingJwt"),
        ("DPoP {token}", "MissingJwt"),
        ("{token}", "MissingJwt"),
        ("Bearer x", "BadJwt"),
        ("Bearer {token} x", "BadJwt"),
        ("Bearer {token},{token}", "BadJwt"),
        ("Bearer {token}x", "BadJwt"),
        ("Bearer é", "BadJwt"),
    ],
)
async def test_what_is_sent_is_verified_or_refused_and_never_taken_for_anonymous(value: str, error: str) -> None:
    header = value.format(token=ALICE.token(WHO, NOW_SECONDS)).encode("latin-1")
    response = await client_of(server()).get("who", headers=[(b"Authorization", header)])
    assert brief(response) == (401, error)
    assert response.headers["www-authenticate"].startswith("Bearer error=")
    assert "WWW-Authenticate" in response.headers["access-control-expose-headers"]
    assert response.headers["cache-control"] == "no-store"
    assert ALICE.did not in response.text + response.headers["www-authenticate"]


async def test_two_headers_are_none() -> None:
    headers = [("Authorization", f"Bearer {ALICE.token(WHO, NOW_SECONDS)}") for _ in range(2)]
    assert brief(await client_of(server()).get("who", headers=headers)) == (401, "MissingJwt")


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"lxm": SAVE}, "BadJwtLexiconMethod"),
        ({"lxm": "com.example.Who"}, "BadJwtLexiconMethod"),
        ({"lxm": None}, "BadJwtLexiconMethod"),
        ({"aud": "did:web:other.example.com#thing"}, "BadJwtAudience"),
        ({"iss": f"{ALICE.did}#atproto_labeler"}, "BadJwtIss"),
        ({"exp": int(NOW_SECONDS) - 60}, "JwtExpired"),
        ({"iss": BOB.did}, "BadJwtSignature"),
        ({"header": {"typ": "at+jwt"}}, "BadJwtType"),
    ],
)
async def test_a_token_for_something_else_is_refused(claims: dict[str, Any], error: str) -> None:
    response = await whoami(server(), ALICE, **claims)
    assert brief(response) == (401, error)
    assert response.headers["www-authenticate"].startswith('Bearer error="invalid_token", error_description="')


async def test_a_token_is_for_a_method_in_any_case_of_its_authority() -> None:
    headers = ALICE.authorization(WHO, NOW_SECONDS)
    response = await client_of(server()).request("GET", "/xrpc/COM.Example.who", headers=headers)
    assert response.json() == {"did": ALICE.did}


async def test_the_order_is_parameters_then_who_asks_then_the_body_then_the_limit() -> None:
    client = client_of(server(limiter=RateLimits([Window(100, 60)], account_windows=[Window(1, 60)])))
    bad = {"Authorization": "Bearer bad"}
    assert (await client.get("echo", {"limit": 0}, headers=bad)).json()["message"].startswith("Parameter limit")
    assert brief(await client.get("echo", headers=bad | {"atproto-accept-labelers": ";"})) == (400, "InvalidRequest")
    for arguments in ({"json": {}}, {"content": b"{"}, {"content": b" " * 10_000}, {"content": b"x", "headers": {"Content-Encoding": "zstd"}}):  # fmt: skip
        headers = bad | arguments.pop("headers", {})
        refused = await client.request("POST", f"/xrpc/{SAVE}", headers=headers, **arguments)
        assert brief(refused) == (401, "BadJwt")
    for _ in range(3):
        good = ALICE.authorization(SAVE, NOW_SECONDS)
        assert brief(await client.post("save", {}, headers=good)) == (400, "InvalidRequest")
    statuses = [(await client.post("save", {"name": "a"}, headers=ALICE.authorization(SAVE, NOW_SECONDS))).status_code for _ in range(2)]  # fmt: skip
    assert statuses == [200, 429]


async def test_what_no_token_is_needed_for_takes_no_notice_of_one() -> None:
    client, bad = client_of(server()), {"Authorization": "Bearer bad"}
    assert (await client.request("OPTIONS", f"/xrpc/{WHO}", headers=bad)).status_code == 204
    assert (await client.request("GET", "/xrpc/_health", headers=bad)).status_code == 200
    assert brief(await client.get("unknown", headers=bad)) == (501, "MethodNotImplemented")
    assert brief(await client.request("PUT", f"/xrpc/{WHO}", headers=bad)) == (405, "InvalidRequest")


async def test_an_answer_to_a_viewer_is_kept_by_nobody() -> None:
    client = client_of(server())
    anonymous = await client.get("who")
    assert anonymous.headers["cache-control"].startswith("public")
    headers = ALICE.authorization(WHO, NOW_SECONDS) | {"If-None-Match": f"{anonymous.headers['etag']}, *"}
    response = await client.get("who", headers=headers)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "private, no-store"
    assert "etag" not in response.headers
    assert response.headers["atproto-repo-rev"] == "3mabcdefghijk"
    assert response.headers["vary"] == anonymous.headers["vary"]
    saved = await client.post("save", {"name": "a"}, headers=ALICE.authorization(SAVE, NOW_SECONDS))
    assert saved.headers["cache-control"] == "private, no-store"
    head = await client.request("HEAD", f"/xrpc/{WHO}", headers=ALICE.authorization(WHO, NOW_SECONDS))
    assert (head.headers["cache-control"], head.headers["atproto-repo-rev"]) == ("private, no-store", "3mabcdefghijk")


async def test_accounts_are_counted_apart_wherever_they_come_from() -> None:
    limits = RateLimits([Window(1, 60)], account_windows=[Window(2, 60)])
    on = server(limiter=limits)
    here, there = client_of(on), client_of(on, "192.0.2.2")

    async def status(client: Any, account: MadeUpAccount | None) -> int:
        headers = {} if account is None else account.authorization(WHO, NOW_SECONDS)
        code: int = (await client.get("who", headers=headers)).status_code
        return code

    assert [await status(here, ALICE), await status(there, ALICE), await status(here, ALICE)] == [200, 200, 429]
    assert [await status(here, BOB), await status(here, BOB), await status(there, BOB)] == [200, 200, 429]
    assert [await status(here, None), await status(here, None), await status(there, None)] == [200, 429, 200]


async def test_whoever_guesses_is_counted_by_its_address() -> None:
    client = client_of(server(limiter=RateLimits([Window(2, 60)])))
    answers = [await client.get("who", headers={"Authorization": "Bearer guess"}) for _ in range(3)]
    assert [brief(answer) for answer in answers] == [(401, "BadJwt"), (401, "BadJwt"), (429, "RateLimitExceeded")]
    assert answers[0].headers["ratelimit-remaining"] == "1"
    assert (await client.get("who", headers=ALICE.authorization(WHO, NOW_SECONDS))).status_code == 200


# --- keys


class Index:
    """What the index knows."""

    def __init__(self, **keys: str) -> None:
        self.keys = keys
        self.asked = 0

    async def __call__(self, did: DID) -> str | None:
        self.asked += 1
        return self.keys.get(did)


class Moved:
    """A clock."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> Any:
        return self.now

    def move(self, seconds: float) -> None:
        self.now = self.now.fromtimestamp(self.now.timestamp() + seconds, self.now.tzinfo)


class Stage:
    """A server that looks keys up, and the clock that its accounts write tokens by."""

    def __init__(self, directory: MadeUpDirectory, index: Callable[[DID], Awaitable[str | None]] = unknown, **keys: Any) -> None:  # fmt: skip
        self.clock = Moved()
        self.keys = SigningKeys(index, directory, **keys)
        self.server = replace(SERVER, clock=self.clock, authenticator=Authenticator(AUDIENCES, self.keys))

    async def ask(self, account: MadeUpAccount, address: str = "192.0.2.1") -> httpx.Response:
        headers = account.authorization(WHO, self.clock().timestamp())
        return await client_of(self.server, address).get("who", headers=headers)

    async def told(self, account: MadeUpAccount, address: str = "192.0.2.1") -> tuple[int, Any]:
        return brief(await self.ask(account, address))


def rotated(account: MadeUpAccount, number: int = 99) -> MadeUpAccount:
    """Return an account with another key."""
    return MadeUpAccount(account.did, key_of(number, account.key.curve), account.audience, count=1000)


async def test_the_index_is_asked_before_the_directory_and_both_once_in_minutes() -> None:
    directory, index = MadeUpDirectory.of([ALICE, BOB]), Index(**{ALICE.did: ALICE.key.public_key.did_key})
    stage = Stage(directory, index)
    for _ in range(3):
        assert [await stage.told(ALICE), await stage.told(BOB)] == [(200, None), (200, None)]
    assert (directory.asked, index.asked) == ([BOB.did], 2)
    stage.clock.move(KEEP_SECONDS)
    assert [await stage.told(ALICE), await stage.told(BOB)] == [(200, None), (200, None)]
    assert (directory.asked, index.asked) == ([BOB.did, BOB.did], 4)


async def test_a_token_that_is_wrong_in_itself_has_nobody_asked() -> None:
    directory, index = MadeUpDirectory.of([ALICE]), Index()
    stage = Stage(directory, index)
    for claims in ({"aud": "did:web:x"}, {"lxm": SAVE}, {"exp": 1}, {"jti": None}, {"header": {"kid": "#other"}}):
        headers = ALICE.authorization(WHO, NOW_SECONDS, **claims)
        assert (await client_of(stage.server).get("who", headers=headers)).status_code == 401
    assert (directory.asked, index.asked) == ([], 0)


@pytest.mark.parametrize("is_indexed", [True, False])
async def test_a_key_that_rotated_is_asked_for_again(is_indexed: bool) -> None:
    directory = MadeUpDirectory.of([ALICE])
    index = Index(**({ALICE.did: ALICE.key.public_key.did_key} if is_indexed else {}))
    stage = Stage(directory, index)
    assert await stage.told(ALICE) == (200, None)
    renewed = rotated(ALICE)
    directory.keys[ALICE.did] = renewed.key.public_key.did_key
    assert await stage.told(renewed) == (200, None)
    assert directory.asked == [ALICE.did] * (1 if is_indexed else 2)
    assert await stage.told(renewed) == (200, None)
    # The old key is of no use from then on, and does not have the directory asked at once.
    assert await stage.told(ALICE) == (401, "BadJwtSignature")
    assert len(directory.asked) == (1 if is_indexed else 2)


async def test_a_key_may_rotate_to_the_other_curve() -> None:
    directory = MadeUpDirectory.of([ALICE])
    stage = Stage(directory)
    assert await stage.told(ALICE) == (200, None)
    renewed = MadeUpAccount(ALICE.did, key_of(5, "P-256"), SERVICE)
    directory.keys[ALICE.did] = renewed.key.public_key.did_key
    assert await stage.told(renewed) == (200, None)


async def test_a_key_that_did_not_change_is_not_tried_again_and_not_asked_for_all_the_time() -> None:
    directory = MadeUpDirectory.of([ALICE])
    stage = Stage(directory)
    forger = rotated(ALICE)
    for _ in range(20):
        assert await stage.told(forger) == (401, "BadJwtSignature")
    assert directory.asked == [ALICE.did] * 2  # to have a key at all, and once more
    assert await stage.told(ALICE) == (200, None)
    stage.clock.move(60)
    assert await stage.told(forger) == (401, "BadJwtSignature")
    assert directory.asked == [ALICE.did] * 3


async def test_whoever_forges_an_account_s_tokens_does_not_keep_it_out_once_its_key_has_rotated() -> None:
    directory = MadeUpDirectory.of([ALICE])
    stage = Stage(directory)
    forger, renewed = rotated(ALICE, 98), rotated(ALICE, 99)
    assert await stage.told(forger) == (401, "BadJwtSignature")
    directory.keys[ALICE.did] = renewed.key.public_key.did_key
    assert await stage.told(renewed) == (401, "BadJwtSignature")  # for a minute
    stage.clock.move(60)
    assert await stage.told(forger) == (401, "BadJwtSignature")
    assert await stage.told(renewed) == (200, None)


async def test_second_looks_are_bounded_over_all_accounts() -> None:
    forgers = [MadeUpAccount(DID(f"did:web:a{number}.example.com"), key_of(2), SERVICE) for number in range(100)]
    directory = MadeUpDirectory({each.did: key_of(1).public_key.did_key for each in forgers})
    stage = Stage(directory, Index(**directory.keys))  # type: ignore[arg-type]
    assert {await stage.told(forger) for forger in forgers} == {(401, "BadJwtSignature")}
    assert len(directory.asked) == 60
    # That nobody is looked up again keeps nobody out whose key is known.
    assert await stage.told(MadeUpAccount(forgers[99].did, key_of(1), SERVICE)) == (200, None)


async def test_accounts_that_are_made_up_have_the_directory_asked_only_so_often() -> None:
    directory = MadeUpDirectory()
    limits = RateLimits((), {"lookup": MethodLimits(by_address=(Window(2, 300),), in_total=(Window(5, 300),))})
    stage = Stage(directory, limits=limits)
    made_up = [MadeUpAccount(DID(f"did:web:a{number}.example.com"), key_of(1), SERVICE) for number in range(8)]
    assert [await stage.told(account, "192.0.2.1") for account in made_up[:4]] == [(401, "BadJwtIss")] * 2 + [(429, "RateLimitExceeded")] * 2  # fmt: skip
    assert [await stage.told(account, f"192.0.2.{number}") for number, account in enumerate(made_up[2:], 2)] == [(401, "BadJwtIss")] * 3 + [(429, "RateLimitExceeded")] * 3  # fmt: skip
    assert len(directory.asked) == 5
    refused = await stage.ask(made_up[7], "192.0.2.99")
    assert int(refused.headers["retry-after"]) > 0
    # What was found out costs nobody anything.
    assert await stage.told(made_up[0], "192.0.2.1") == (401, "BadJwtIss")


async def test_the_index_is_asked_for_accounts_that_are_made_up_only_so_often_too() -> None:
    index = Index()
    limits = RateLimits((), {"unseen": MethodLimits(by_address=(Window(2, 300),))})
    stage = Stage(MadeUpDirectory(), index, limits=limits)
    made_up = [MadeUpAccount(DID(f"did:web:a{number}.example.com"), key_of(1), SERVICE) for number in range(4)]
    assert [(await stage.told(account))[0] for account in made_up] == [401, 401, 429, 429]
    assert index.asked == 2
    assert await stage.told(made_up[3], "192.0.2.2") == (401, "BadJwtIss")


async def test_an_account_that_is_not_there_is_asked_for_again_soon() -> None:
    directory = MadeUpDirectory()
    stage = Stage(directory)
    for _ in range(3):
        assert await stage.told(ALICE) == (401, "BadJwtIss")
    assert directory.asked == [ALICE.did]
    directory.keys[ALICE.did] = ALICE.key.public_key.did_key
    stage.clock.move(KEEP_MISSING_SECONDS)
    assert await stage.told(ALICE) == (200, None)


async def test_an_account_without_a_key_proves_nothing() -> None:
    assert await Stage(MadeUpDirectory({ALICE.did: None})).told(ALICE) == (401, "BadJwtIss")


@pytest.mark.parametrize("is_indexed", [True, False])
@pytest.mark.parametrize(("wait", "told"), [(None, "5"), (17.2, "18"), (1e9, "3600"), (0.0, "1")])
async def test_a_directory_that_does_not_answer_is_neither_our_failure_nor_the_client_s(
    is_indexed: bool, wait: float | None, told: str
) -> None:
    directory = MadeUpDirectory(error=IdentityUnavailable("secret host", retry_after_seconds=wait))
    index = Index(**({ALICE.did: key_of(9).public_key.did_key} if is_indexed else {}))
    response = await Stage(directory, index).ask(ALICE)
    assert brief(response) == (502, "UpstreamFailure")
    assert response.headers["retry-after"] == told
    assert "secret" not in response.text


async def test_those_who_ask_at_once_share_a_lookup() -> None:
    directory = MadeUpDirectory.of([ALICE])
    gate = asyncio.Event()
    directory.before_answer = gate.wait  # type: ignore[assignment]
    stage = Stage(directory, Index(**{ALICE.did: key_of(9).public_key.did_key}))
    asking = [asyncio.create_task(stage.told(ALICE)) for _ in range(5)]
    while not directory.asked:
        await asyncio.sleep(0)
    for _ in range(50):
        await asyncio.sleep(0)
    # One who goes away takes the answer from nobody.
    asking[0].cancel()
    gate.set()
    assert await asyncio.gather(*asking[1:]) == [(200, None)] * 4
    assert directory.asked == [ALICE.did]


async def test_keys_are_kept_within_a_bound() -> None:
    accounts = [MadeUpAccount(DID(f"did:web:a{number}.example.com"), key_of(1), SERVICE) for number in range(4)]
    directory = MadeUpDirectory.of(accounts)
    stage = Stage(directory, maximum=2)
    for account in (*accounts, *accounts[2:], accounts[0]):
        assert await stage.told(account) == (200, None)
    assert directory.asked == [account.did for account in (*accounts, accounts[0])]


# --- replays


async def test_a_token_of_a_procedure_is_good_for_one_call_and_one_of_a_query_for_several() -> None:
    client = client_of(server())
    poke = ALICE.authorization(POKE, NOW_SECONDS)
    assert (await client.request("POST", f"/xrpc/{POKE}", headers=poke)).status_code == 200
    again = await client.request("POST", f"/xrpc/{POKE}", headers=poke)
    assert brief(again) == (401, "InvalidToken")
    assert again.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    # Two accounts may choose the same number.
    same = BOB.authorization(POKE, NOW_SECONDS, jti="one"), ALICE.authorization(POKE, NOW_SECONDS, jti="one")
    for headers in same:
        assert (await client.request("POST", f"/xrpc/{POKE}", headers=headers)).status_code == 200
    who = ALICE.authorization(WHO, NOW_SECONDS)
    for _ in range(3):
        assert (await client.get("who", headers=who)).status_code == 200


async def test_a_call_whose_body_is_refused_has_used_its_token() -> None:
    client = client_of(server())
    headers = ALICE.authorization(SAVE, NOW_SECONDS)
    assert brief(await client.post("save", {}, headers=headers)) == (400, "InvalidRequest")
    assert brief(await client.post("save", {"name": "a"}, headers=headers)) == (401, "InvalidToken")


async def test_a_token_that_proves_nothing_uses_nothing_up() -> None:
    client = client_of(server())
    forged = rotated(ALICE).authorization(POKE, NOW_SECONDS, jti="one")
    assert brief(await client.request("POST", f"/xrpc/{POKE}", headers=forged)) == (401, "BadJwtSignature")
    good = ALICE.authorization(POKE, NOW_SECONDS, jti="one")
    assert (await client.request("POST", f"/xrpc/{POKE}", headers=good)).status_code == 200


async def test_a_used_token_is_remembered_as_long_as_it_would_be_accepted() -> None:
    clock = Moved()
    on = server(clock=clock)
    headers = ALICE.authorization(POKE, NOW_SECONDS)
    client = client_of(on)
    assert (await client.request("POST", f"/xrpc/{POKE}", headers=headers)).status_code == 200
    clock.move(119)
    assert brief(await client.request("POST", f"/xrpc/{POKE}", headers=headers)) == (401, "InvalidToken")
    clock.move(1)
    assert brief(await client.request("POST", f"/xrpc/{POKE}", headers=headers)) == (401, "JwtExpired")


async def test_what_cannot_be_remembered_is_not_accepted() -> None:
    clock = Moved()
    used = UsedTokens(maximum=3, maximum_by_issuer=2)
    on = server(clock=clock, authenticator=replace(authenticator(), used=used))

    async def poke(account: MadeUpAccount) -> tuple[int, Any]:
        headers = account.authorization(POKE, clock().timestamp())
        return brief(await client_of(on).request("POST", f"/xrpc/{POKE}", headers=headers))

    full = (503, "NotEnoughResources")
    assert [await poke(ALICE) for _ in range(3)] == [(200, None), (200, None), full]
    assert [await poke(BOB) for _ in range(2)] == [(200, None), full]
    clock.move(120)
    assert [await poke(BOB), await poke(ALICE)] == [(200, None), (200, None)]


def test_remembering_is_exact_whatever_is_forgotten() -> None:
    used = UsedTokens(maximum=10, maximum_by_issuer=3)
    for now in range(100):
        assert used.take(f"did:web:a{now % 4}", str(now), now + 5.0, now)
        assert not used.take(f"did:web:a{now % 4}", str(now), now + 5.0, now + 4.9)
    assert used.take("did:web:a0", "96", 200.0, 101.5)
