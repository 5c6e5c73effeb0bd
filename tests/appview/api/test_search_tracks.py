import random
from datetime import timedelta
from typing import Any

import pytest
from running_appview import Appview
from seeds import NOW, Account, Seeds
from xrpc_client import XrpcClient

METHOD = "feed.searchTracks"


async def _titles(client: XrpcClient, q: str, **parameters: Any) -> list[str]:
    return [view["title"] for view in (await client.answer(METHOD, q=q, **parameters))["tracks"]]


async def _write(seeds: Seeds, *titles: str, account: Account | None = None, **fields: Any) -> None:
    """Write tracks with these titles, each newer than the one before."""
    account = account or await seeds.account()
    for title in titles:
        await seeds.track(account, title=title, **fields)


async def test_the_whole_name_comes_before_its_beginning_before_words_before_parts_before_typing_errors(
    client: XrpcClient, seeds: Seeds
) -> None:
    await _write(seeds, "Night", "Night train", "A night out", "Midnight", "Nihgt", "Day")
    await seeds.track(await seeds.account(), title="Other", artist="Night", album="Day", tags=["sun"])
    expected = ["Night", "Night train", "Other", "A night out", "Midnight", "Nihgt"]
    assert await _titles(client, "night") == expected
    assert await _titles(client, "night", limit=1) == ["Night"]
    for limit in (1, 2, 4, 6, 7):
        pages = await client.pages(METHOD, "tracks", limit, q="night")
        assert [view["title"] for page in pages for view in page] == expected
        assert all(pages)
        assert len(pages) == -(-6 // limit)


async def test_among_equals_the_newest_come_first_and_equal_times_are_ordered_by_uri(
    client: XrpcClient, seeds: Seeds
) -> None:
    account = await seeds.account()
    tracks = [await seeds.track(account, title=f"Love {number}", at=NOW - timedelta(microseconds=number // 3)) for number in range(10)]  # fmt: skip
    expected = [track.uri for track in sorted(tracks, key=lambda track: (track.sort_at, track.uri), reverse=True)]
    for limit in (1, 3, 9, 10, 11):
        pages = await client.pages(METHOD, "tracks", limit, q="love")
        assert [view["uri"] for page in pages for view in page] == expected
        assert len(pages) == -(-10 // limit)


async def test_title_artist_album_and_tags_are_searched_together(client: XrpcClient, seeds: Seeds) -> None:
    await _write(seeds, "Creep", artist="Radiohead", album="Pablo Honey", tags=["alternative rock"])
    for q in ("radiohead creep", "creep pablo", "honey", "rock creep", "radiohaed creep", "RADIO"):
        assert await _titles(client, q) == ["Creep"], q
    for q in ("radiohead blue", "creep creeper", "adio hony"):
        assert await _titles(client, q) == [], q


@pytest.mark.parametrize(
    ("title", "queries"),
    [
        ("Motörhead", ["motorhead", "MOTÖRHEAD", "motör", "Moto\u0308rhead"]),
        ("Straße", ["strasse", "STRASSE", "straße"]),
        ("Don’t “Stop”", ["don't stop", "don’t", "dont", "“stop”", '"stop"', "DON´T STOP"]),
        ("L'Amour", ["amour", "lamour", "l’amour"]),
        ("東京タワー", ["東", "京", "東京", "タワー", "京タワ", "東京タワー", "ﾀﾜｰ"]),
        ("ガンダム", ["ガ", "ンダ", "ガンダム"]),
        ("서울의 밤", ["서", "서울", "밤", "울의"]),
        ("Ночь Ёлка", ["ночь", "елка", "ЁЛКА", "н"]),
        ("สวัสดี", ["ส", "วั", "ดี"]),
        ("Fire 🔥", ["🔥", "fire 🔥", "🔥 fire"]),
        ("👩🏽‍🎤", ["👩", "👩‍🎤", "🎤"]),
        ("!!!", ["!!!", "!"]),
        ("100% _pure_ \\o/", ["100%", "100", "pure", "_pure_", "o", "\\o/"]),
        ("a\0b", ["a\0b", "a b", "b", "a\ufffdb"]),
        ("X", ["x", "X", "ｘ"]),
        ("Ab", ["a", "ab"]),
    ],
)
async def test_a_title_is_found_however_it_is_typed(
    client: XrpcClient, seeds: Seeds, title: str, queries: list[str]
) -> None:
    await _write(seeds, title, "Something quite different")
    for q in queries:
        response = await client.get(METHOD, {"q": q})
        assert response.status_code == 200, (q, response.text)
        assert [view["record"]["title"] for view in response.json()["tracks"]] == [title], q


@pytest.mark.parametrize(
    "q", ["%", "_", "\\", "%%", "a%", "_a", "'", "''", "'; DROP TABLE x", "&", "|", "!", "<->", ":*", "(", "a:*", "a & b", "\\'", "*", "$1", "{}", "%x", "~ lve", "= plain", "# tag"]
)  # fmt: skip
async def test_no_character_has_a_meaning_of_its_own(client: XrpcClient, seeds: Seeds, q: str) -> None:
    await _write(seeds, "Plain")
    await _write(seeds, "Tagged", tags=["tag"])
    assert await _titles(client, q) in ([], ["Plain"] if q == "= plain" else ["Tagged"] if q == "# tag" else [])


@pytest.mark.parametrize("q", [" ", "\0", "\ufffd", "\u200b", "\n\t "])
async def test_a_text_that_says_nothing_finds_nothing(client: XrpcClient, seeds: Seeds, q: str) -> None:
    await _write(seeds, "Something")
    assert await client.answer(METHOD, q=q) == {"tracks": []}


async def test_a_text_is_needed_and_has_a_limit(client: XrpcClient) -> None:
    assert await client.error(METHOD) == (400, "InvalidRequest")
    assert await client.error(METHOD, q="") == (400, "InvalidRequest")
    assert await client.error(METHOD, q="x" * 4001) == (400, "InvalidRequest")


@pytest.mark.parametrize("word", ["x" * 1000, "ab " * 330, "東" * 1000, "🔥" * 900, "love peace " * 90, "é" * 1000])
async def test_a_long_text_is_answered(client: XrpcClient, seeds: Seeds, word: str) -> None:
    await _write(seeds, word, "Other")
    assert await _titles(client, word) == [word.strip() if word.strip() == word else word]


async def test_a_tag_chooses_however_it_is_written(client: XrpcClient, seeds: Seeds) -> None:
    await _write(seeds, "Love one", tags=["Drum & Bass"])
    await _write(seeds, "Love two", tags=["drum", "bass"])
    await _write(seeds, "Two love", "Lvoe", tags=["drum & bass"])
    assert await _titles(client, "love", tag="DRUM & BASS") == ["Love one", "Two love", "Lvoe"]
    assert await _titles(client, "love", tag="drum") == ["Love two"]
    assert await _titles(client, "love", tag="'") == []
    assert await _titles(client, "love", tag=" ") == []


async def test_an_account_chooses_what_it_published(client: XrpcClient, seeds: Seeds) -> None:
    artist, other = await seeds.account(), await seeds.account()
    await _write(seeds, "My love", "Love", "Nothing", account=artist, tags=["a"])
    await seeds.track(other, title="Love", features=(artist,))
    for actor in (artist.did, artist.handle):
        assert await _titles(client, "love", actor=actor) == ["Love", "My love"]
    assert await _titles(client, "love", actor=artist.did, tag="a") == ["Love", "My love"]
    assert await _titles(client, "love", actor=artist.did, tag="b") == []
    pages = await client.pages(METHOD, "tracks", 1, q="love", actor=artist.did)
    assert [[view["title"] for view in page] for page in pages] == [["Love"], ["My love"]]
    for nobody in ("did:plc:" + "7" * 24, "nobody.example.com", (await seeds.account(active=False)).did):
        assert await client.error(METHOD, q="love", actor=nobody) == (400, "ActorNotFound")


async def test_only_what_is_listed_is_found(client: XrpcClient, seeds: Seeds) -> None:
    shown, hidden = await seeds.account(), await seeds.account()
    await _write(seeds, "Love shown", account=shown)
    await _write(seeds, "Love unlisted", account=shown, visibility="unlisted")
    await _write(seeds, "Love hidden", account=hidden)
    await _write(seeds, "Love inactive", account=await seeds.account(active=False))
    await seeds.take_down((await seeds.track(shown, title="Love down")).uri)
    await seeds.take_down(hidden.did)
    for q in ("love", "lovely", "lvoe", "hidden", "unlisted"):
        assert await _titles(client, q) in (["Love shown"], []), q
    assert await _titles(client, "love") == ["Love shown"]
    assert await _titles(client, "love", actor=shown.did) == ["Love shown"]


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_changes_between_pages_nothing_that_stays_is_lost_or_repeated(
    appview: Appview, seed: int
) -> None:
    chance, seeds = random.Random(seed), appview.seeds
    artist = await seeds.account()
    names = ["Love", "Lovely", "My love", "Glove", "Lvoe", "Love me", "LOVE!", "東京 love"]

    async def write() -> Any:
        return await seeds.track(
            artist, title=chance.choice(names), at=NOW - timedelta(seconds=chance.randrange(6)), tags=["a"]
        )

    present = [await write() for _ in range(25)]
    throughout, seen, cursor = {written.uri for written in present}, [], {}
    asked = chance.choice([{}, {"tag": "A"}, {"actor": artist.did}])
    while True:
        answer = await appview.client.answer(METHOD, q="love", limit=chance.randint(1, 4), **asked, **cursor)
        seen += [view["uri"] for view in answer["tracks"]]
        if "cursor" not in answer:
            break
        cursor = {"cursor": answer["cursor"]}
        present += [await write() for _ in range(chance.randrange(3))]
        if chance.random() < 0.6:
            gone = present.pop(chance.randrange(len(present)))
            await seeds.delete(gone)
            throughout.discard(gone.uri)
        # What people do with tracks moves none of them.
        await seeds.like(await seeds.account(), chance.choice(present))
    assert len(seen) == len(set(seen))
    assert throughout <= set(seen)
