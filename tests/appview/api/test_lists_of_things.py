"""Several things at once, and lists of lists."""

from datetime import timedelta

from seeds import NOW, Seeds
from xrpc_client import XrpcClient


async def test_several_accounts_come_in_order_each_once(client: XrpcClient, seeds: Seeds) -> None:
    first, second, hidden = await seeds.account(), await seeds.account(), await seeds.account(active=False)
    await seeds.profile(second, displayName="Second", bio="Plays the harp")
    asked = [second.handle, "did:plc:" + "q" * 24, first.did, hidden.did, second.did]
    profiles = (await client.answer("actor.getProfiles", actors=asked))["profiles"]
    assert [profile["did"] for profile in profiles] == [second.did, first.did]
    assert (profiles[0]["displayName"], profiles[0]["bio"]) == ("Second", "Plays the harp")
    assert await client.error("actor.getProfiles", actors=[first.did] * 26) == (400, "InvalidRequest")
    assert await client.error("actor.getProfiles") == (400, "InvalidRequest")


async def test_several_lists_come_in_order_each_once(client: XrpcClient, seeds: Seeds) -> None:
    account = await seeds.account()
    track = await seeds.track(account)
    first, second = [await seeds.track_list(account, [track], name=name) for name in ("One", "Two")]
    await seeds.take_down((hidden := await seeds.track_list(account, [track])).uri)
    by_handle = first.uri.replace(account.did, account.handle)
    lists = (await client.answer("library.getLists", uris=[second.uri, hidden.uri, by_handle, track.uri]))["lists"]
    assert [(each["uri"], each["name"]) for each in lists] == [(second.uri, "Two"), (first.uri, "One")]


async def test_the_lists_of_an_account_by_what_they_are_for(client: XrpcClient, seeds: Seeds) -> None:
    account = await seeds.account()
    track = await seeds.track(account)
    album, playlist, mixtape = [
        await seeds.track_list(account, [track], listType=purpose, at=NOW - timedelta(seconds=number))
        for number, purpose in enumerate(("album", "playlist", "mixtape"))
    ]
    plain = await seeds.track_list(account, [track], at=NOW - timedelta(seconds=9))

    async def asked(**parameters: str) -> list[str]:
        answer = await client.answer("library.getActorLists", actor=account.did, **parameters)
        return [each["uri"] for each in answer["lists"]]

    assert await asked() == [album.uri, playlist.uri, mixtape.uri, plain.uri]
    assert await asked(purpose="album") == [album.uri]
    assert await asked(purpose="mixtape") == [mixtape.uri]
    assert await asked(purpose="\0") == []
    assert await client.error("library.getActorLists", actor="nobody.example.com") == (400, "ActorNotFound")


async def test_a_list_counts_once_however_often_it_has_a_track(client: XrpcClient, seeds: Seeds) -> None:
    track = await seeds.track(await seeds.account())
    twice = await seeds.track_list(await seeds.account(), [track, track], listType="playlist")
    await seeds.track_list(track.account, [track], listType="liked")
    answer = await client.answer("library.getListsWithTrack", uri=track.uri)
    assert [each["uri"] for each in answer["lists"]] == [twice.uri]


async def test_an_album_is_found_by_its_name_in_addresses(client: XrpcClient, seeds: Seeds) -> None:
    artist, other = await seeds.account(), await seeds.account()
    track = await seeds.track(artist)
    first = await seeds.track_list(artist, [track], name="Erste Nächte!", listType="album", at=NOW - timedelta(days=1))
    await seeds.track_list(artist, [track], name="erste nächte", listType="album", at=NOW)
    await seeds.track_list(artist, [track], name="Only a playlist", listType="playlist")
    await seeds.track_list(other, [track], name="Erste Nächte", listType="album", at=NOW - timedelta(days=2))
    for actor in (artist.did, artist.handle):
        found = await client.answer("library.getList", actor=actor, slug="erste-nachte")
        assert (found["list"]["uri"], found["list"]["slug"]) == (first.uri, "erste-nachte")
        assert [item["track"]["uri"] for item in found["items"]] == [track.uri]
    for parameters in ({"slug": "only-a-playlist"}, {"slug": "nothing"}, {"slug": "\0"}):
        assert await client.error("library.getList", actor=artist.did, **parameters) == (400, "ListNotFound")
    assert await client.error("library.getList", actor="nobody.example.com", slug="x") == (400, "ListNotFound")


async def test_a_list_is_named_in_one_way(client: XrpcClient, seeds: Seeds) -> None:
    account = await seeds.account()
    listed = await seeds.track_list(account, [])
    for parameters in ({}, {"actor": account.did}, {"slug": "x"}, {"uri": listed.uri, "slug": "x"}, {"uri": listed.uri, "actor": account.did}):  # fmt: skip
        assert await client.error("library.getList", **parameters) == (400, "InvalidRequest")
