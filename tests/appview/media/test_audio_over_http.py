"""`/audio` by HTTP's rules: the same table against a folder, a real S3 server, and a host whose bytes come through us."""

import asyncio
import contextlib
import hashlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from audio_samples import sample
from blob_host import cid_text
from media_stage import MediaStage, media_stage
from running_appview import SharedDatabase
from seeds import Written

from appview.media.settings import Mirroring
from appview.media.storage import Storage
from atprotocol.lexicon.catalog import Catalog

pytestmark = pytest.mark.xdist_group("s3")
# Long enough that its middle is on its way before its end is verified.
CONTENT = sample("wav", seconds=2.0)
SIZE = len(CONTENT)
CID = cid_text(CONTENT)
ETAG = f'"{CID}"'


@dataclass
class Heard:
    """A stage with one track, whose bytes are wherever the parameter says."""

    stage: MediaStage
    track: Written
    path: str
    place: str


@pytest.fixture(params=["folder", "s3", "host"])
def place(request: pytest.FixtureRequest) -> tuple[str, Storage]:
    storage: Storage = request.getfixturevalue("s3_storage" if request.param == "s3" else "folder_storage")
    return request.param, storage


@pytest.fixture
async def heard(
    place: tuple[str, Storage], database: SharedDatabase, catalog: Catalog, tmp_path: Path
) -> AsyncIterator[Heard]:
    kind, storage = place
    mirroring = Mirroring.NEVER if kind == "host" else Mirroring.ON_PLAY
    async with media_stage(database, catalog, storage, tmp_path, mirroring=mirroring, redirects=False) as stage:
        track = await stage.track(await stage.account(), CONTENT, title="A – B/ü", artist="Somebody")
        if kind != "host":
            await stage.mirrored(track)
            assert await stage.state(CID) == "ready"
        yield Heard(stage, track, stage.path(track), kind)


def whole() -> tuple[int, bytes, None]:
    return 200, CONTENT, None


def part(start: int, end: int) -> tuple[int, bytes, str]:
    return 206, CONTENT[start:end], f"bytes {start}-{end - 1}/{SIZE}"


UNSATISFIABLE = (416, b"", f"bytes */{SIZE}")
RANGES = [
    ("bytes=0-1", part(0, 2)),
    ("bytes=0-0", part(0, 1)),
    ("bytes=0-", part(0, SIZE)),
    (f"bytes=0-{SIZE - 1}", part(0, SIZE)),
    (f"bytes=0-{SIZE}", part(0, SIZE)),
    (f"bytes=0-{SIZE * 10}", part(0, SIZE)),
    ("bytes=100-199", part(100, 200)),
    ("bytes=65535-65536", part(65535, 65537)),
    ("bytes=65536-131071", part(65536, 131072)),
    (f"bytes={SIZE - 1}-", part(SIZE - 1, SIZE)),
    (f"bytes={SIZE - 100}-", part(SIZE - 100, SIZE)),
    ("bytes=200000-", part(200_000, SIZE)),
    ("bytes=-1", part(SIZE - 1, SIZE)),
    ("bytes=-100", part(SIZE - 100, SIZE)),
    (f"bytes=-{SIZE}", part(0, SIZE)),
    (f"bytes=-{SIZE + 1}", part(0, SIZE)),
    ("bytes=-99999999999", part(0, SIZE)),
    ("BYTES=1-2", part(1, 3)),
    ("bytes=  5-9", part(5, 10)),
    (f"bytes={SIZE}-", UNSATISFIABLE),
    (f"bytes={SIZE}-{SIZE + 5}", UNSATISFIABLE),
    ("bytes=999999999999-", UNSATISFIABLE),
    ("bytes=-0", UNSATISFIABLE),
    ("bytes=5-2", whole()),
    ("bytes=0-1,3-4", whole()),
    ("bytes=0-1, -1", whole()),
    ("bytes=" + ",".join(f"{n}-{n}" for n in range(500)), whole()),
    ("bytes=x-y", whole()),
    ("bytes=1", whole()),
    ("bytes=-", whole()),
    ("bytes", whole()),
    ("seconds=0-1", whole()),
    ("bytes=1-2;q=1", whole()),
]
CONDITIONS: list[tuple[dict[str, str], tuple[int, bytes, str | None]]] = [
    ({}, whole()),
    ({"If-None-Match": ETAG}, (304, b"", None)),
    ({"If-None-Match": f"W/{ETAG}"}, (304, b"", None)),
    ({"If-None-Match": "*"}, (304, b"", None)),
    ({"If-None-Match": f'"x", {ETAG}'}, (304, b"", None)),
    ({"If-None-Match": ETAG, "Range": "bytes=0-1"}, (304, b"", None)),
    ({"If-None-Match": ETAG, "Range": f"bytes={SIZE}-"}, (304, b"", None)),
    ({"If-None-Match": '"x"', "Range": "bytes=0-1"}, part(0, 2)),
    ({"If-None-Match": '"x"'}, whole()),
    ({"If-Range": ETAG, "Range": "bytes=0-1"}, part(0, 2)),
    ({"If-Range": '"x"', "Range": "bytes=0-1"}, whole()),
    ({"If-Range": f"W/{ETAG}", "Range": "bytes=0-1"}, whole()),
    ({"If-Range": "Wed, 21 Oct 2026 07:28:00 GMT", "Range": "bytes=0-1"}, whole()),
    ({"If-Range": '"x"', "Range": f"bytes={SIZE}-"}, whole()),
    ({"If-Range": ETAG, "Range": f"bytes={SIZE}-"}, UNSATISFIABLE),
    ({"If-Match": ETAG, "Range": "bytes=0-1"}, part(0, 2)),
    ({"If-Match": '"x"'}, (412, b"", None)),
    ({"If-Match": '"x"', "If-None-Match": ETAG}, (412, b"", None)),
    ({"If-Modified-Since": "Wed, 21 Oct 2099 07:28:00 GMT"}, whole()),
    ({"Accept-Encoding": "gzip, br"}, whole()),
    ({"Origin": "https://a.example"}, whole()),
]
CASES = [({"Range": text}, expected) for text, expected in RANGES] + CONDITIONS


async def test_every_case_of_the_table_is_answered_as_the_standard_says(heard: Heard) -> None:
    for headers, (status, body, content_range) in CASES:
        response = await heard.stage.http.get(heard.path, headers=headers)
        said = response.headers
        assert (response.status_code, said.get("content-range")) == (status, content_range), headers
        assert response.content == body, headers
        assert said["etag"] == ETAG
        assert said["accept-ranges"] == "bytes"
        assert said["access-control-allow-origin"] == "*"
        assert {"Content-Range", "Accept-Ranges", "Content-Length", "ETag"} <= set(
            said["access-control-expose-headers"].split(", ")
        )
        assert said["x-content-type-options"] == "nosniff"
        assert said["content-security-policy"] == "default-src 'none'; media-src 'self'; sandbox"
        assert said["cross-origin-resource-policy"] == "cross-origin"
        assert "content-encoding" not in said
        assert said["cache-control"] == "public, max-age=3600, no-transform"
        if status != 304:
            assert said["content-length"] == str(len(body))
        if status in (200, 206):
            assert said["content-type"] == "audio/wav"
            assert said["content-disposition"] == (
                "inline; filename=\"Somebody - A _ B _.wav\"; filename*=UTF-8''Somebody%20-%20A%20%E2%80%93%20B%20%C3%BC.wav"
            )
        else:
            assert "content-type" not in said


async def test_head_answers_as_get_does_without_a_body_or_ranges(heard: Heard) -> None:
    for headers, (status, _, _) in CASES:
        response = await heard.stage.http.head(heard.path, headers=headers)
        is_conditional = status in (304, 412)
        # What If-Range is about is a range, and HEAD has none.
        assert response.status_code == (status if is_conditional else 200), headers
        assert response.content == b""
        assert response.headers["etag"] == ETAG
        if not is_conditional:
            assert response.headers["content-length"] == str(SIZE)
            assert response.headers["content-type"] == "audio/wav"
            assert "content-range" not in response.headers


def test_the_table_has_more_than_a_hundred_cases() -> None:
    # Each with GET and with HEAD, in three places.
    assert len(CASES) * 2 > 100


async def test_parts_joined_are_the_whole(heard: Heard) -> None:
    step = SIZE // 7 + 1
    pieces = [
        (await heard.stage.http.get(heard.path, headers={"Range": f"bytes={start}-{start + step - 1}"})).content
        for start in range(0, SIZE, step)
    ]
    assert hashlib.sha256(b"".join(pieces)).digest() == hashlib.sha256(CONTENT).digest()


async def test_many_listeners_at_once_hear_the_same(heard: Heard) -> None:
    answers = await asyncio.gather(*(heard.stage.http.get(heard.path) for _ in range(10)))
    assert {answer.content == CONTENT for answer in answers} == {True}
    if heard.place == "host":
        assert heard.stage.host.asked[CID] == 1


async def test_every_other_verb_is_refused_with_what_is_allowed(heard: Heard) -> None:
    for verb in ("POST", "PUT", "DELETE", "PATCH"):
        response = await heard.stage.http.request(verb, heard.path)
        assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    preflight = await heard.stage.http.options(heard.path, headers={"Access-Control-Request-Headers": "range"})
    assert preflight.status_code == 204
    assert "range" in preflight.headers["access-control-allow-headers"]


async def test_what_names_no_audio_that_is_shown_is_one_answer(heard: Heard) -> None:
    stage, account = heard.stage, heard.track.account
    other, hidden = await stage.account(), await stage.account()
    down = await stage.track(hidden, CONTENT)
    await stage.seeds.take_down(down.uri)
    paths = [
        f"/audio/{other.did}/{CID}",
        f"/audio/{hidden.did}/{CID}",
        f"/audio/did:plc:{'z' * 24}/{CID}",
        f"/audio/{account.did}/{cid_text(b'other')}",
        f"/audio/{account.did}/bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
        f"/audio/{account.did}/nonsense",
        f"/audio/nobody/{CID}",
        f"/audio/{account.did}/{CID.upper()}",
        f"/audio/{account.did}/{CID}?variant=mp3-1",
        f"/audio/{account.did}/{CID}?variant=../../x",
    ]
    answers = {
        (response.status_code, response.content, response.headers["cache-control"])
        for response in [await stage.http.get(path) for path in paths]
    }
    assert answers == {(404, b'{"error":"AudioNotFound","message":"There is no such audio here"}', "no-store")}


@asynccontextmanager
async def raw_listener(
    stage: MediaStage, path: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Ask for a file and read nothing of it yet."""
    port = int(stage.url.rpartition(":")[2])
    listening = socket.socket()
    # Otherwise the kernel would take megabytes for whoever reads nothing.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listening.setblocking(False)
    await asyncio.get_running_loop().sock_connect(listening, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=listening, limit=1024)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await writer.drain()
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def until(condition: object) -> None:
    """Wait until a condition holds, for a minute at most."""
    assert callable(condition)
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)
