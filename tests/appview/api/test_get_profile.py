"""actor.getProfile."""

from running_appview import ORIGIN
from seeds import Seeds, blob
from xrpc_client import XrpcClient


async def test_a_profile_takes_from_the_other_one_what_it_lacks(client: XrpcClient, seeds: Seeds) -> None:
    account = await seeds.account()
    picture = blob("picture", "image/png")
    await seeds.profile(
        account, source="bluesky", displayName="Bluesky name", description="Bluesky bio", avatar=picture
    )
    bare = await client.answer("actor.getProfile", actor=account.did)
    cid = picture["ref"]["$link"]
    avatar = f"{ORIGIN}/img/avatar/{account.did}/{cid}"
    assert (bare["displayName"], bare["bio"], bare["avatar"]) == ("Bluesky name", "Bluesky bio", avatar)
    own = await seeds.profile(account, bio="Own bio", displayName="", createdAt="2020-01-01T00:00:00Z")
    assert await client.answer("actor.getProfile", actor=account.handle) == {
        "did": account.did,
        "handle": account.handle,
        "displayName": "Bluesky name",
        "avatar": avatar,
        "bio": "Own bio",
        "createdAt": "2020-01-01T00:00:00Z",
        "indexedAt": own.sort_at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "tracksCount": 0,
        "albumsCount": 0,
        "playlistsCount": 0,
        "likesGivenCount": 0,
        "playsCount": 0,
    }


async def test_a_picture_is_the_own_one_wherever_it_lies(client: XrpcClient, seeds: Seeds) -> None:
    linked, kept = await seeds.account(), await seeds.account(did="did:web:a.example.com%3A3000")
    strange = await seeds.account()
    for account in (linked, kept, strange):
        await seeds.profile(account, source="bluesky", avatar=blob("other", "image/png"))
    await seeds.profile(linked, avatar="https://cdn.example.com/a.png")
    await seeds.profile(kept, avatar="https://cdn.example.com/a.png", avatarBlob=blob("own", "image/png"))
    await seeds.profile(strange, avatar="https://elsewhere.example.com/a.png")
    assert (await client.answer("actor.getProfile", actor=linked.did))["avatar"] == "https://cdn.example.com/a.png"
    cid = blob("own", "image/png")["ref"]["$link"]
    assert (await client.answer("actor.getProfile", actor=kept.did))["avatar"] == f"{ORIGIN}/img/avatar/did:web:a.example.com%253A3000/{cid}"  # fmt: skip
    # Whoever looks at it would be told to whoever serves it.
    other = blob("other", "image/png")["ref"]["$link"]
    assert (await client.answer("actor.getProfile", actor=strange.did))["avatar"].endswith(f"{strange.did}/{other}")


async def test_the_counts_are_of_what_a_listing_would_show(client: XrpcClient, seeds: Seeds) -> None:
    artist, other = await seeds.account(), await seeds.account()
    inactive = await seeds.account(active=False)
    tracks = [await seeds.track(artist) for _ in range(3)]
    unlisted = await seeds.track(artist, visibility="unlisted")
    theirs, hidden = await seeds.track(other), await seeds.track(inactive)
    albums = [await seeds.track_list(artist, [], listType="album") for _ in range(3)]
    for purpose in ("playlist", "playlist", "liked", "mixtape", None):
        await seeds.track_list(artist, [], **({"listType": purpose} if purpose else {}))
    likes = [await seeds.like(artist, track) for track in (theirs, tracks[0], tracks[1], unlisted, hidden)]
    await seeds.like(artist, theirs, counted=False)
    await seeds.like(other, tracks[0])
    for taken in (tracks[2], albums[0], likes[2]):
        await seeds.take_down(taken.uri)
    view = await client.answer("actor.getProfile", actor=artist.did)
    counts = {name: count for name, count in view.items() if name.endswith("Count")}
    assert counts == {"tracksCount": 2, "albumsCount": 2, "playlistsCount": 2, "likesGivenCount": 2, "playsCount": 0}


async def test_whoever_has_no_repository_here_is_not_found(client: XrpcClient, seeds: Seeds) -> None:
    for actor in ((await seeds.actor()).did, "did:plc:unknown", "unknown.example.com", "handle.invalid"):
        assert await client.error("actor.getProfile", actor=actor) == (400, "ActorNotFound")
