from typing import Any

from running_appview import Appview
from seeds import Seeds, Written
from xrpc_client import XrpcClient

from appview.tags import COUNTED

METHOD = "feed.getTags"


async def _tags(client: XrpcClient, **parameters: Any) -> list[tuple[str, int]]:
    return [(view["tag"], view["trackCount"]) for view in (await client.answer(METHOD, **parameters))["tags"]]


async def test_tags_come_in_the_order_of_their_letters_with_how_many_tracks_have_each(
    client: XrpcClient, seeds: Seeds
) -> None:
    account = await seeds.account()
    for tags in (["techno", "Ambient"], ["ambient", "drone"], ["ambient", "東京"], ["Äther"], [], [" ", "!"]):
        await seeds.track(account, tags=tags)
    expected = [("!", 1), ("ambient", 3), ("Äther", 1), ("drone", 1), ("techno", 1), ("東京", 1)]
    assert await _tags(client) == expected
    for limit in (1, 2, 6, 7):
        pages = await client.pages(METHOD, "tags", limit)
        assert [(view["tag"], view["trackCount"]) for page in pages for view in page] == expected
        assert len(pages) == -(-6 // limit)


async def test_a_beginning_chooses_and_the_whole_tag_comes_first(client: XrpcClient, seeds: Seeds) -> None:
    account = await seeds.account()
    await seeds.track(account, tags=["Ambient Drone", "ambient", "amber", "drum & bass", "東京", "東"])
    assert await _tags(client, q="amb") == [("amber", 1), ("ambient", 1), ("Ambient Drone", 1)]
    assert await _tags(client, q="AMBIENT") == [("ambient", 1), ("Ambient Drone", 1)]
    assert await _tags(client, q="Drum&B") == [("drum & bass", 1)]
    assert await _tags(client, q="東") == [("東", 1), ("東京", 1)]
    for q in ("drone", "%", "_", " ", "\0", "z"):
        assert await client.answer(METHOD, q=q) == {"tags": []}, q


async def test_a_tag_is_shown_as_most_tracks_write_it(client: XrpcClient, seeds: Seeds) -> None:
    account = await seeds.account()
    for tag in ("lofi", "LoFi", "LoFi", "LOFI"):
        await seeds.track(account, tags=[tag, "x"])
    assert await _tags(client, q="lofi") == [("LoFi", 4)]
    assert await _tags(client, q="x") == [("x", 4)]


async def test_of_what_is_not_listed_neither_count_nor_tag_nor_spelling_is_told(
    appview: Appview, client: XrpcClient, seeds: Seeds
) -> None:
    shown, hidden = await seeds.account(), await seeds.account()
    await seeds.track(shown, tags=["Shared"])
    await seeds.track(shown, tags=["SHARED", "secret a"], visibility="unlisted")
    for account in (hidden, await seeds.account(active=False)):
        for _ in range(2):
            await seeds.track(account, tags=["SHARED", "secret b"])
    await seeds.take_down(hidden.did)
    await seeds.take_down((await seeds.track(shown, tags=["shared", "secret c"])).uri)
    assert await client.answer(METHOD) == {"tags": [{"tag": "Shared", "trackCount": 1}]}
    for q in ("s", "secret"):
        assert len(await _tags(client, q=q)) == (q == "s")


async def test_a_page_is_filled_past_tags_that_only_hidden_tracks_have(client: XrpcClient, seeds: Seeds) -> None:
    shown, hidden = await seeds.account(), await seeds.account(active=False)
    for number in range(9):
        await seeds.track(hidden, tags=[f"a{number}"])
    await seeds.track(shown, tags=["b", "c", "d"])
    answers, cursor = [], {}
    while True:
        answer = await client.answer(METHOD, limit=2, **cursor)
        answers.append([view["tag"] for view in answer["tags"]])
        if "cursor" not in answer:
            break
        cursor = {"cursor": answer["cursor"]}
    assert [tag for answer in answers for tag in answer] == ["b", "c", "d"]
    assert len(answers) <= 3


async def test_counting_ends_somewhere(appview: Appview) -> None:
    track: Written = await appview.seeds.track(await appview.seeds.account(), tags=["x"])
    for table, columns in (("tracks", "title, artist, created_at, file_type, visibility, tags, actor_id, uri, sort_at"), ("track_tags", "tag_key, tag")):  # fmt: skip
        await appview.seeds.execute(
            f"INSERT INTO network.{table} (uri_id, {columns}) SELECT n, {columns} FROM network.{table}, generate_series(1000, 3000) n WHERE uri_id = $1",
            track.uri_id,
        )
    assert await _tags(appview.client) == [("x", COUNTED)]


async def test_nothing_that_stays_is_lost_or_repeated_between_pages(appview: Appview) -> None:
    seeds = appview.seeds
    account = await seeds.account()
    tracks = {name: await seeds.track(account, tags=[name]) for name in "bdfhjlnp"}
    seen, cursor, gone = [], {}, set()
    for new, old in zip("aceimo", "bdjlhp", strict=True):
        answer = await appview.client.answer(METHOD, limit=1, **cursor)
        seen += [view["tag"] for view in answer["tags"]]
        cursor = {"cursor": answer["cursor"]}
        await seeds.track(account, tags=[new])
        await seeds.delete(tracks[old])
        gone.add(old)
    while cursor:
        answer = await appview.client.answer(METHOD, limit=1, **cursor)
        seen += [view["tag"] for view in answer["tags"]]
        cursor = {"cursor": answer["cursor"]} if "cursor" in answer else {}
    assert len(seen) == len(set(seen))
    assert set(tracks) - gone <= set(seen)
