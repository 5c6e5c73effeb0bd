from typing import Any

from seeds import Seeds
from xrpc_client import XrpcClient

METHOD = "library.searchLists"


async def _names(client: XrpcClient, q: str, **parameters: Any) -> list[str]:
    return [view["name"] for view in (await client.answer(METHOD, q=q, **parameters))["lists"]]


async def test_a_list_is_found_by_its_name(client: XrpcClient, seeds: Seeds) -> None:
    account = await seeds.account()
    track = await seeds.track(account, title="Night")
    for name in ("Nihgt", "Midnight", "One night", "Night", "Night train", None, ""):
        fields = {} if name is None else {"name": name}
        await seeds.track_list(account, [track], listType="playlist", description="night", **fields)
    expected = ["Night", "Night train", "One night", "Midnight", "Nihgt"]
    assert await _names(client, "night") == expected
    pages = await client.pages(METHOD, "lists", 2, q="night")
    assert [view["name"] for page in pages for view in page] == expected
    [view] = (await client.answer(METHOD, q="night train"))["lists"]
    assert (view["creator"]["did"], view["itemCount"], view["purpose"]) == (account.did, 1, "playlist")


async def test_a_type_chooses_and_may_be_one_that_nobody_knows(client: XrpcClient, seeds: Seeds) -> None:
    account = await seeds.account()
    for name, purpose in (("Love one", "album"), ("Love two", "playlist"), ("Love three", "x'\\ & y"), ("Love", None)):
        await seeds.track_list(account, [], name=name, **({} if purpose is None else {"listType": purpose}))
    assert await _names(client, "love") == ["Love", "Love three", "Love two", "Love one"]
    assert await _names(client, "love", purpose="album") == ["Love one"]
    assert await _names(client, "love", purpose="x'\\ & y") == ["Love three"]
    assert await _names(client, "love", purpose="alb") == []
    assert await _names(client, "love", purpose="\0") == []


async def test_hidden_lists_are_not_found_and_do_not_shorten_a_page(client: XrpcClient, seeds: Seeds) -> None:
    account = await seeds.account()
    for number in range(3):
        await seeds.track_list(account, [], name=f"Mix {number}")
        await seeds.track_list(await seeds.account(active=False), [], name="Mix inactive")
        await seeds.take_down((await seeds.track_list(account, [], name="Mix down")).uri)
    pages = await client.pages(METHOD, "lists", 2, q="mix")
    assert [[view["name"] for view in page] for page in pages] == [["Mix 2", "Mix 1"], ["Mix 0"]]


async def test_a_text_that_says_nothing_finds_nothing(client: XrpcClient, seeds: Seeds) -> None:
    await seeds.track_list(await seeds.account(), [], name="Mix")
    assert await client.answer(METHOD, q="\0 ") == {"lists": []}
    assert await client.error(METHOD) == (400, "InvalidRequest")
