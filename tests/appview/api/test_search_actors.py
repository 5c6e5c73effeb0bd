import random
from typing import Any

from running_appview import Appview
from seeds import Account, Seeds, blob
from xrpc_client import XrpcClient

METHOD = "actor.searchActors"


async def _dids(client: XrpcClient, q: str, **parameters: Any) -> list[str]:
    return [view["did"] for view in (await client.answer(METHOD, q=q, **parameters))["actors"]]


async def _named(seeds: Seeds, name: str, **arguments: Any) -> Account:
    account = await seeds.account(**arguments)
    await seeds.profile(account, displayName=name)
    return account


async def test_an_account_is_shown_with_what_it_says_of_itself(client: XrpcClient, seeds: Seeds) -> None:
    account = await seeds.account(handle="alice.example.com")
    await seeds.profile(account, displayName="Alice", bio="Plays", avatarBlob=blob("face", "image/png"))
    [view] = (await client.answer(METHOD, q="alice"))["actors"]
    assert view.pop("avatar").startswith("https://")
    assert view == {"did": account.did, "handle": "alice.example.com", "displayName": "Alice", "bio": "Plays"}


async def test_whole_names_come_first_be_they_handles_or_display_names(client: XrpcClient, seeds: Seeds) -> None:
    typing_error = await _named(seeds, "Alcie")
    part = await _named(seeds, "Malice")
    word = await _named(seeds, "Dear Alice")
    beginning = await seeds.account(handle="alice.example.com")
    whole = await _named(seeds, "Álice")
    assert await _dids(client, "alice") == [each.did for each in (whole, beginning, word, part, typing_error)]
    assert (await _dids(client, "alice.example.com"))[0] == beginning.did
    assert (await _dids(client, "@Alice.Example"))[0] == beginning.did
    assert beginning.did in await _dids(client, "a")
    pages = await client.pages(METHOD, "actors", 2, q="alice")
    assert [len(page) for page in pages] == [2, 2, 1]


async def test_of_one_name_the_account_that_was_known_first_comes_first(client: XrpcClient, seeds: Seeds) -> None:
    accounts = [await _named(seeds, "Famous") for _ in range(5)]
    assert await _dids(client, "famous") == [account.did for account in accounts]


async def test_a_handle_counts_while_it_is_verified(client: XrpcClient, seeds: Seeds) -> None:
    account = await seeds.account(handle="claimed.example.com", is_verified=False)
    assert await _dids(client, "claimed") == []
    await seeds.profile(account, displayName="Somebody")
    assert await _dids(client, "somebody") == [account.did]


async def test_the_own_display_name_counts_and_else_the_one_at_bluesky(client: XrpcClient, seeds: Seeds) -> None:
    account = await seeds.account()
    await seeds.profile(account, source="bluesky", displayName="Blue name")
    assert await _dids(client, "blue") == [account.did]
    own = await seeds.profile(account, displayName="Own name")
    assert await _dids(client, "own") == [account.did]
    assert await _dids(client, "blue") == []
    await seeds.delete(own)
    assert await _dids(client, "blue") == [account.did]


async def test_hidden_accounts_are_not_found_and_do_not_shorten_a_page(client: XrpcClient, seeds: Seeds) -> None:
    shown = []
    for _ in range(3):
        await _named(seeds, "Bob", active=False)
        shown.append((await _named(seeds, "Bob")).did)
        await seeds.take_down((await _named(seeds, "Bob")).did)
    pages = await client.pages(METHOD, "actors", 2, q="bob")
    assert [[view["did"] for view in page] for page in pages] == [shown[:2], shown[2:]]


async def test_a_text_that_says_nothing_finds_nobody(client: XrpcClient, seeds: Seeds) -> None:
    await _named(seeds, "Bob")
    assert await client.answer(METHOD, q=" \0") == {"actors": []}
    assert await client.error(METHOD, q="") == (400, "InvalidRequest")


async def test_nobody_who_stays_is_lost_or_repeated_between_pages(appview: Appview) -> None:
    chance, seeds = random.Random(5), appview.seeds
    names = ["Ann", "Anna", "Dear Ann", "Joanna"]
    present = [await _named(seeds, chance.choice(names)) for _ in range(15)]
    throughout, seen, cursor = {account.did for account in present}, [], {}
    while True:
        answer = await appview.client.answer(METHOD, q="ann", limit=2, **cursor)
        seen += [view["did"] for view in answer["actors"]]
        if "cursor" not in answer:
            break
        cursor = {"cursor": answer["cursor"]}
        await _named(seeds, chance.choice(names))
        gone = present.pop(chance.randrange(len(present)))
        await seeds.execute("UPDATE network.repos SET active = false WHERE actor_id = $1", gone.actor_id)
        throughout.discard(gone.did)
        if not present:
            break
    assert len(seen) == len(set(seen))
    assert throughout <= set(seen)
