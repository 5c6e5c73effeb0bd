"""Record the network of `plyr demo` anew: `just record`, or `python tests/end_to_end/record_demo.py [FILE]`.

Two reference PDSes, a directory and a relay run for a few seconds while invented people publish, listen, talk, move house
and make mistakes. What the relay sent and what everybody answered at four moments is written to the package.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "end_to_end")]

from account import Account, Written  # noqa: E402
from audio_samples import MEDIA_TYPES, encoded  # noqa: E402
from local_network import Network, network  # noqa: E402
from picture_samples import picture  # noqa: E402
from relay import Relay, relay  # noqa: E402

from atprotocol import mst  # noqa: E402
from atprotocol.car import read_car  # noqa: E402
from atprotocol.commit import decode_commit  # noqa: E402
from plyr.recorded_network import Moment, Recording, save_recording  # noqa: E402
from plyr.shipped import recording as recording_file  # noqa: E402

TRACK, LIKE, COMMENT, LIST = "fm.plyr.track", "fm.plyr.like", "fm.plyr.comment", "fm.plyr.list"
PROFILE, BLUESKY_PROFILE = "fm.plyr.actor.profile", "app.bsky.actor.profile"
SAMPLE_RATE = 8000
NOTE_SECONDS = 1.0
TIMEOUT_SECONDS = 30
# Seven bits are enough for tones, and are what lossless formats can afford in so small a recording.
STEPS = 64


def melody(hertz: float, file_type: str) -> bytes:
    """Return three notes that rise from a tone, a second each, as an mp3, flac or wav file of 8 kHz."""
    moments = np.arange(int(SAMPLE_RATE * NOTE_SECONDS)) / SAMPLE_RATE
    # Notes come and go without a click.
    loudness = 0.4 * np.clip(np.minimum(moments / 0.02, (NOTE_SECONDS - moments) / 0.05), 0, 1)
    notes = [loudness * np.sin(2 * np.pi * hertz * interval * moments) for interval in (1, 5 / 4, 3 / 2)]
    samples = np.concatenate(notes).reshape(1, -1)
    if file_type == "mp3":
        return encoded("mp3", samples, SAMPLE_RATE)
    return encoded("wav-8" if file_type == "wav" else file_type, np.round(samples * STEPS) / STEPS, SAMPLE_RATE)


class Recorder:
    """The moments as they are taken, and the people whose state they tell."""

    def __init__(self, net: Network, hub: Relay) -> None:
        """Begin with nobody."""
        self.net = net
        self.hub = hub
        self.people: dict[str, Account] = {}
        self.moments: list[Moment] = []
        self.blobs: dict[str, bytes] = {}
        self._known: dict[tuple[str, str], Any] = {}

    async def join(self, name: str, host: int, display_name: str, about: str, **profile: Any) -> Account:
        """Create an account with a Bluesky profile, and one of ours when `profile` has anything to say."""
        account = await self.net.create_account(f"{name}.{self.net.pds[host].name}.test")
        self.people[name] = account
        await account.put_record(BLUESKY_PROFILE, "self", {"displayName": display_name, "description": about})
        if profile:
            await account.put_record(PROFILE, "self", {"createdAt": "2026-09-01T08:00:00.000Z", **profile})
        return account

    async def upload(self, account: Account, content: bytes, mime_type: str) -> dict[str, Any]:
        """Upload a file, keep it for the replay, and return what a record says of it."""
        blob = await account.upload_blob(content, mime_type)
        self.blobs[blob["ref"]["$link"]] = content
        return blob

    async def publish(
        self, account: Account, title: str, artist: str, hertz: float, file_type: str, day: str, **more: Any
    ) -> Written:
        """Upload a melody and publish it as a track."""
        track = {
            "title": title,
            "artist": artist,
            "fileType": file_type,
            "createdAt": f"2026-{day}.000Z",
            "audioBlob": await self.upload(account, melody(hertz, file_type), MEDIA_TYPES[file_type]),
        }
        return await account.create_record(TRACK, track | more)

    async def take(self, title: str) -> None:
        """Wait until the relay has heard everything, and keep the moment."""
        await self._heard()
        documents: dict[str, Any] = {}
        repos: dict[str, bytes] = {}
        collections: dict[str, list[str]] = {}
        statuses: dict[str, Any] = {}
        handles: dict[str, str] = {}
        for name, account in self.people.items():
            did, origin = account.did, account.pds.url
            self._keep("document", documents, did, (await self._get(f"{self.net.plc_url}/{did}")).json())
            answer = await self._get(f"{origin}/xrpc/com.atproto.sync.getRepoStatus?did={did}")
            status = {key: value for key, value in answer.json().items() if key != "did"}
            self._keep("status", statuses, did, status)
            previous = self._known.get(("handle of", name))
            if previous not in (None, account.handle):
                handles[previous] = ""
            self._known["handle of", name] = account.handle
            self._keep("handle", handles, account.handle, did)
            if status["active"]:
                repo = (await self._get(f"{origin}/xrpc/com.atproto.sync.getRepo?did={did}")).content
                self._keep("repo", repos, did, repo)
                self._keep("collections", collections, did, collections_in(repo))
        for document in documents.values():
            for service in document["service"]:
                # Which port a host had while it was recorded is nobody's business.
                service["serviceEndpoint"] = "http://localhost"
        blobs, self.blobs = self.blobs, {}
        seq = len(self.hub.events)
        self.moments.append(Moment(title, seq, documents, repos, collections, statuses, handles, blobs))
        print(f"{title}: {seq} frames")  # noqa: T201  (a script)

    def _keep(self, kind: str, place: dict[str, Any], key: str, value: Any) -> None:
        if self._known.get((kind, key)) != value:
            self._known[kind, key] = place[key] = value

    async def _get(self, url: str) -> Any:
        response = await self.net.http.get(url)
        response.raise_for_status()
        return response

    async def _heard(self) -> None:
        """Wait until the relay knows every active account's latest rev, and every account's standing."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            for account in self.people.values():
                while not await self._is_heard(account):
                    await asyncio.sleep(0.1)
            # Events without a rev come last; a host looks for them once a second.
            seen = -1
            while seen != len(self.hub.events):
                seen = len(self.hub.events)
                await asyncio.sleep(1.5)

    async def _is_heard(self, account: Account) -> bool:
        known = self.hub.repos.get(account.did, {})
        url = f"{account.pds.url}/xrpc/com.atproto.sync.getRepoStatus?did={account.did}"
        status = (await self._get(url)).json()
        if not status["active"]:
            return known.get("active") is False
        return known.get("active") is True and known.get("rev", "") >= status["rev"]


def collections_in(repo: bytes) -> list[str]:
    """Return the NSIDs of a CAR's records."""
    car = read_car(repo)
    tree = decode_commit(car.blocks[car.root]).data
    return sorted({key.decode().partition("/")[0] for key, _ in mst.walk(tree, car.blocks)})


async def live(recorder: Recorder) -> None:
    """Let the invented people live their weeks."""
    join, publish = recorder.join, recorder.publish

    lantern = await join("lantern", 0, "Lantern Weather", "Slow music for tall windows.", displayName="Lantern Weather",
                         bio="Two people, one harmonium, and whatever the weather does to the microphones.")  # fmt: skip
    tidepool = await join("tidepools", 0, "Tomas & the Tidepools", "Sea songs from a landlocked town.",
                          displayName="Tomas & the Tidepools", bio="We have been to the sea twice.")  # fmt: skip
    nkem = await join("nkem", 1, "Nkem Oduya", "Beats made on night buses.",
                      displayName="Nkem Oduya", bio="Field recordings, tape loops, patience.")  # fmt: skip
    wren = await join("wren", 0, "Wren Halloway", "Voice, guitar, a dog named Fugue.",
                      displayName="Wren Halloway", bio="Songs written before breakfast.")  # fmt: skip

    fog = await publish(lantern, "Fog Signal No. 3", "Lantern Weather", 220.0, "mp3", "09-02T21:15:00", duration=412,
                        album="Barometric", tags=["ambient", "harmonium"])  # fmt: skip
    isobar = await publish(lantern, "Isobar", "Lantern Weather", 246.9, "wav", "09-02T21:20:00", duration=365,
                           album="Barometric", tags=["ambient", "drone"])  # fmt: skip
    cover = await recorder.upload(lantern, picture("PNG", 600, 600, gps=False), "image/png")
    petrichor = await publish(lantern, "Petrichor", "Lantern Weather", 261.6, "flac", "09-02T21:25:00", duration=538,
                              album="Barometric", image=cover, tags=["ambient", "field recording"])  # fmt: skip
    await publish(lantern, "Rehearsal, kitchen, 2 a.m.", "Lantern Weather", 196.0, "wav", "09-03T00:10:00", duration=94,
                  visibility="unlisted", description="For the people who asked.")  # fmt: skip
    lighthouse = await publish(tidepool, "The Lighthouse Keeper's Accordion", "Tomas & the Tidepools", 293.7, "mp3",
                               "09-05T17:00:00", duration=201, tags=["folk", "shanty"])  # fmt: skip
    herring = await publish(tidepool, "Herring Weather", "Tomas & the Tidepools", 311.1, "wav", "09-06T17:00:00",
                            duration=187, tags=["folk"])  # fmt: skip
    bus = await publish(nkem, "N29, Upper Deck", "Nkem Oduya", 110.0, "flac", "09-08T02:40:00", duration=148,
                        tags=["beats", "lo-fi"], description="Recorded between Wood Green and Trafalgar Square.")  # fmt: skip
    vending = await publish(nkem, "Vending Machine Hymn", "Nkem Oduya", 123.5, "wav", "09-09T03:05:00", duration=173,
                            tags=["beats", "field recording"])  # fmt: skip
    await publish(nkem, "Last Stop (with Lantern Weather)", "Nkem Oduya", 130.8, "mp3", "09-12T01:30:00", duration=222,
                  tags=["beats", "ambient"], features=[{"did": lantern.did, "handle": lantern.handle}])  # fmt: skip
    fugue = await publish(wren, "Fugue (for a dog)", "Wren Halloway", 329.6, "flac", "09-10T06:45:00", duration=156,
                          tags=["folk", "guitar"])  # fmt: skip
    kettle = await publish(wren, "Kettle Song", "Wren Halloway", 349.2, "wav", "09-11T06:30:00", duration=132,
                           tags=["folk", "morning"])  # fmt: skip
    await lantern.create_record(LIST, {
        "name": "Barometric", "listType": "album", "createdAt": "2026-09-02T22:00:00.000Z",
        "items": [{"subject": track.strong_ref} for track in (fog, isobar, petrichor)],
    })  # fmt: skip
    await recorder.take("Four artists on two hosts publish their first tracks")

    ines = await join("ines", 0, "Inés", "I listen to albums from beginning to end.")
    bess = await join("bess", 1, "Bess Marlowe", "Radio, but kinder.", bio="Sunday shows, taped for friends.")
    pavel = await join("pavel", 1, "Pavel", "Mostly here for the drones.")

    async def like(account: Account, track: Written, day: str) -> None:
        await account.create_record(LIKE, {"subject": track.strong_ref, "createdAt": f"2026-{day}.000Z"})

    async def comment(account: Account, track: Written, moment_ms: int, text: str, day: str) -> Written:
        said = {"subject": track.strong_ref, "text": text, "timestampMs": moment_ms, "createdAt": f"2026-{day}.000Z"}
        return await account.create_record(COMMENT, said)

    for track in (fog, petrichor, bus, fugue):
        await like(ines, track, "09-20T19:00:00")
    for track in (petrichor, lighthouse, fugue, kettle):
        await like(bess, track, "09-21T10:00:00")
    await like(pavel, petrichor, "09-21T23:00:00")
    await like(pavel, isobar, "09-21T23:05:00")
    await like(nkem, petrichor, "09-22T02:00:00")
    # The same like twice, from two devices: it counts once.
    await like(ines, fog, "09-22T08:00:00")
    await comment(ines, petrichor, 184_000, "There it is: the rain on the window frame!", "09-20T19:30:00")
    await comment(bess, petrichor, 12_500, "Plays this at 7 a.m. every Sunday now.", "09-21T10:20:00")
    await comment(nkem, petrichor, 401_000, "May I sample this creak?", "09-22T02:05:00")
    await comment(pavel, isobar, 0, "Headphones. Trust me.", "09-21T23:10:00")
    await comment(wren, fugue, 63_000, "Fugue barks here. He insisted on staying in.", "09-23T06:00:00")
    gone = {"uri": f"at://{wren.did}/{TRACK}/3lunpublished2", "cid": fugue.cid}
    playlist = await bess.create_record(LIST, {
        "name": "Sunday, slowly", "listType": "playlist", "createdAt": "2026-09-24T09:00:00.000Z",
        "description": "For kitchens.",
        "items": [{"subject": one} for one in (kettle.strong_ref, petrichor.strong_ref, gone, lighthouse.strong_ref)],
    })  # fmt: skip
    # A client with a mistake in it: what breaks its lexicon is kept aside, with reasons.
    await ines.create_record(TRACK, {"title": 42, "artist": "Inés", "createdAt": "yesterday", "fileType": "wav"})
    await ines.create_record(LIKE, {"subject": {"uri": "petrichor", "cid": "?"}, "createdAt": "2026-09-24T12:00:00Z"})
    await recorder.take("Listeners like, comment and collect; a client makes mistakes")

    await tidepool.put_record(TRACK, herring.record_key, {
        **(await tidepool.query("com.atproto.repo.getRecord", repo=tidepool.did, collection=TRACK,
                                rkey=herring.record_key))["value"],
        "title": "Herring Weather (the good take)", "duration": 191,
    })  # fmt: skip
    second = await comment(bess, lighthouse, 90_000, "Is that an accordion or a door?", "10-01T09:00:00")
    await bess.delete_record(COMMENT, second.record_key)
    await nkem.delete_record(TRACK, vending.record_key)
    await bess.put_record(LIST, playlist.record_key, {
        "name": "Sunday, slowly", "listType": "playlist", "createdAt": "2026-09-24T09:00:00.000Z",
        "updatedAt": "2026-10-02T08:00:00.000Z", "description": "For kitchens, and now for the bus.",
        "items": [{"subject": one} for one in (kettle.strong_ref, petrichor.strong_ref, gone, lighthouse.strong_ref,
                                               bus.strong_ref)],
    })  # fmt: skip
    await recorder.take("Second thoughts: an edit, two deletions, a longer playlist")

    await wren.migrate_to(recorder.net.pds[1])
    await publish(wren, "New House, Same Kettle", "Wren Halloway", 392.0, "flac", "10-10T06:50:00", duration=141,
                  tags=["folk", "morning"])  # fmt: skip
    await like(bess, kettle, "10-11T09:00:00")
    await pavel.deactivate()
    await ines.update_handle(await own_domain(recorder.net, ines, "ines.music.test"))
    await recorder.take("An artist moves to the other host, a listener leaves, another takes a name of her own")


async def own_domain(net: Network, account: Account, handle: str) -> str:
    """Make a handle of an account's own domain resolve, and return it."""
    await net.set_dns(handle, account.did)
    return handle


async def record(path: Path, live_through: Callable[[Recorder], Awaitable[None]] = live) -> Recording:
    """Run a network for the length of a story and write its recording."""
    async with network(pds=2) as net, relay(net.plc_url, [pds.url for pds in net.pds]) as hub:
        recorder = Recorder(net, hub)
        await live_through(recorder)
        recording = Recording(tuple(event.frame for event in hub.events), tuple(recorder.moments))
    save_recording(path, recording)
    return recording


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else recording_file()
    asyncio.run(record(target))
    print(f"{target}: {target.stat().st_size:,} bytes")  # noqa: T201  (a script)
