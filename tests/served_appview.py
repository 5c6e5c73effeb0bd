"""The appview on a real socket, and rows in which every field and every list of its answers has something."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from seeds import Account, Seeds, Written, blob
from starlette.types import ASGIApp

from plyr.listening import port_of, port_taken, serve

LABELS = {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "sexual"}]}
GUARD_SECONDS = 60


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an application as the program does, and give its URL."""
    ready = asyncio.Event()
    with port_taken("127.0.0.1", 0) as sockets:
        serving = asyncio.create_task(serve(app, sockets, ready.set))
        try:
            async with asyncio.timeout(GUARD_SECONDS):
                await ready.wait()
            yield f"http://127.0.0.1:{port_of(sockets)}"
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


@dataclass(frozen=True)
class Everything:
    """What was written: an artist and a listener, who follow one another and like `track`.

    `track` has every field, a label among them that keeps it out of search and feeds; `playable` is one that whoever
    asks may play; `album` has a placeholder besides; `legacy_id` is the number of `track` in old links.
    """

    artist: Account
    listener: Account
    track: Written
    playable: Written
    album: Written
    legacy_id: int = 17


async def something_of_everything(seeds: Seeds) -> Everything:
    """Write what makes every answer about it full: each list has an item, each view every field that it can have."""
    artist, listener, fan = await seeds.account(), await seeds.account(), await seeds.account()
    await seeds.profile(artist, displayName="An Artist", bio="Plays", avatarBlob=blob("face", "image/png"))
    await seeds.profile(listener, source="bluesky", displayName="A Listener", description="Listens")
    track = await seeds.track(
        artist,
        features=(listener, await seeds.actor()),
        title="Tom\0bola \N{MUSICAL SYMBOL G CLEF}",
        album="First",
        duration=200,
        description="Words",
        image=blob("cover", "image/jpeg"),
        imageUrl="https://example.com/cover.jpg",
        audioUrl="https://example.com/audio.mp3",
        labels=LABELS,
        supportGate={"type": "any"},
        tags=["ambient", "live"],
    )
    playable = await seeds.track(
        artist, title="For everybody", tags=["ambient", "live"], audioUrl="https://example.com/everybody.mp3"
    )
    for liker in (artist, listener, fan):
        await seeds.like(liker, track)
    for liker in (artist, fan):
        await seeds.like(liker, playable)
    for speaker in (artist, listener):
        await seeds.comment(speaker, track, text="Nice", timestamp_ms=1000)
    hidden = await seeds.track(await seeds.account(takendown=True))
    album = await seeds.track_list(
        artist, [track, hidden], name="Album", listType="album", description="Words", image=blob("sleeve", "image/webp")
    )
    await seeds.follow(listener, artist)
    await seeds.follow(artist, listener)
    await seeds.track(listener, tags=["ambient"])
    everything = Everything(artist, listener, track, playable, album)
    await seeds.overlay(track, legacy_id=everything.legacy_id)
    await seeds.rank()
    await seeds.execute("INSERT INTO network.cursors VALUES ('relay.example.com', 'x', 7, now() - interval '1 hour')")
    return everything
