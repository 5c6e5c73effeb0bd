"""`plyr demo`: offline, from nothing, with requests that answer, and nothing left behind."""

import io
import signal
import socket
import time
import urllib.request
from pathlib import Path
from typing import Any

import av
import orjson
import pytest
from plyr_command import json_of, lines_until, open_folder, processes_in, run_plyr, start_plyr

TIMEOUT_SECONDS = 20
GUARD_SECONDS = 60


def _ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as response:
        return orjson.loads(response.read())


def _url_of(said: str, name: str) -> str:
    return next(part for part in said.split("'") if f"fm.plyr.{name}" in part)


def _fetched(url: str, **headers: str) -> tuple[int, str, bytes]:
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    with urllib.request.urlopen(request, timeout=20) as response:
        return response.status, response.headers["Content-Type"], response.read()


def _decoded(content: bytes) -> tuple[str, float]:
    """Return the codec of a file, and how many seconds of it can really be decoded."""
    with av.open(io.BytesIO(content)) as container:
        (stream,) = container.streams.audio
        samples = sum(frame.samples for frame in container.decode(stream))
        return stream.codec_context.name, samples / stream.codec_context.sample_rate


def test_it_asks_its_own_examples_and_ends_leaving_nothing() -> None:
    with open_folder() as folder:
        finished = run_plyr("demo", "--port", "0", "--exit-when-ready", TMPDIR=str(folder))
        assert finished.returncode == 0, finished.stdout + finished.stderr
        assert finished.stderr == ""
        assert "An artist moves to the other host" in finished.stdout
        assert "examples answered" in finished.stdout
        assert list(folder.iterdir()) == []
        assert processes_in(folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_what_it_printed_until_it_is_stopped_and_ends_with_0(number: signal.Signals) -> None:
    with open_folder() as folder:
        process = start_plyr("demo", "--port", "0", TMPDIR=str(folder))
        try:
            said = "".join(lines_until(process, "Ctrl-C ends it"))
            newest = _ask(_url_of(said, "feed.getLatest"))
            assert [view["record"]["title"] for view in newest["tracks"]] == [
                "New House, Same Kettle",
                "Last Stop (with Lantern Weather)",
                "Kettle Song",
            ]
            track = _ask(_url_of(said, "feed.getTrack"))
            assert (track["record"]["title"], track["author"]["handle"]) == ("Petrichor", "lantern.pds1.test")
            playlist = _ask(_url_of(said, "library.getList"))
            assert len(playlist["items"]) == 5
            rejected = _ask(_url_of(said, "index.getRecordStatus"))
            assert rejected["state"] == "rejected"
            (folder_of_data,) = folder.glob("plyr-demo-*")
            status = json_of(run_plyr("status", "--data-dir", str(folder_of_data), "--json", TMPDIR=str(folder)))
            assert (status["idle"], status["indexer_running"]) == (True, True)
        finally:
            process.send_signal(number)
            rest, _ = process.communicate(timeout=TIMEOUT_SECONDS)
        assert process.returncode == 0, rest
        assert list(folder.iterdir()) == []
        assert processes_in(folder) == []


def test_its_tracks_are_heard_whole_in_parts_and_as_a_stream_and_its_cover_is_seen() -> None:
    with open_folder() as folder:
        process = start_plyr("demo", "--port", "0", TMPDIR=str(folder))
        try:
            said = "".join(lines_until(process, "Ctrl-C ends it"))
            (listened,) = [line.split()[3] for line in said.splitlines() if line.startswith("To listen, open")]
            status, media_type, whole = _fetched(listened)
            assert (status, media_type) == (200, "audio/flac")
            assert _decoded(whole) == ("flac", pytest.approx(3.0, abs=0.1))
            assert _fetched(listened, Range="bytes=100-199") == (206, "audio/flac", whole[100:200])

            cover = next(part for part in said.split("'") if "/img/cover/" in part)
            for accept, beginning in (("image/webp", b"RIFF"), ("image/jpeg", b"\xff\xd8")):
                status, media_type, picture = _fetched(cover, Accept=accept)
                assert (status, media_type) == (200, accept)
                assert picture.startswith(beginning)

            deadline = time.monotonic() + GUARD_SECONDS
            while len((playback := _ask(_url_of(said, "feed.getPlayback")))["sources"]) < 2:
                assert time.monotonic() < deadline, playback
                time.sleep(0.1)
            original, variant = playback["sources"]
            assert (playback["access"], original["url"]) == ("granted", listened)
            assert (original["integrity"], variant["integrity"]) == ("verified", "verified")
            status, media_type, stream = _fetched(variant["url"])
            assert (status, media_type) == (200, "audio/mp4")
            assert _decoded(stream) == ("aac", pytest.approx(3.0, abs=0.2))

            latest = _ask(_url_of(said, "feed.getLatest").replace("limit=3", "limit=100"))
            codecs = set()
            for view in latest["tracks"]:
                _, _, content = _fetched(view["audio"]["url"])
                codec, seconds = _decoded(content)
                assert seconds == pytest.approx(3.0, abs=0.2), view["title"]
                codecs.add((view["record"]["fileType"], codec))
            assert codecs == {("flac", "flac"), ("mp3", "mp3float"), ("wav", "pcm_u8")}
        finally:
            process.send_signal(signal.SIGTERM)
            rest, _ = process.communicate(timeout=TIMEOUT_SECONDS)
        assert process.returncode == 0, rest
        assert list(folder.iterdir()) == []
        assert processes_in(folder) == []


def test_it_can_be_stopped_while_it_still_starts() -> None:
    with open_folder() as folder:
        process = start_plyr("demo", "--port", "0", TMPDIR=str(folder))
        lines_until(process, "Starting Postgres")
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=TIMEOUT_SECONDS)
        assert process.returncode == 0, rest
        assert list(folder.iterdir()) == []
        assert processes_in(folder) == []


def test_a_port_that_is_taken_is_told_before_anything_starts() -> None:
    with open_folder() as folder, socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        finished = run_plyr("demo", "--port", port, TMPDIR=str(folder))
        assert finished.returncode == 4
        assert f"port {port} of 127.0.0.1 is taken" in finished.stderr
        assert finished.stdout == ""
        assert list(folder.iterdir()) == []


def test_everything_at_once_migrates_serves_and_stops_its_own_postgres() -> None:
    with open_folder() as folder:
        data = folder / "data"
        # Nobody listens there: the indexer goes on trying, the appview answers.
        network = ("--relay", "http://localhost:9", "--plc", "http://localhost:9")
        process = start_plyr("up", "--port", "0", "--data-dir", str(data), *network)
        try:
            (line,) = [line for line in lines_until(process, "plyr serves") if line.startswith("plyr serves")]
            origin = line.split()[2]
            assert _ask(f"{origin}/xrpc/_health")["status"] == "ok"
            assert json_of(run_plyr("status", "--data-dir", str(data), "--json"))["indexer_running"] is True
        finally:
            process.send_signal(signal.SIGTERM)
            rest, _ = process.communicate(timeout=TIMEOUT_SECONDS)
        assert process.returncode == 0, rest
        assert "appview.request method=GET path=/xrpc/_health status=200" in rest
        assert run_plyr("status", "--data-dir", str(data)).returncode == 3
        assert [command for command in processes_in(folder) if "postgres" in command] == []


def test_the_recording_is_small() -> None:
    recording = Path(__file__).resolve().parents[2] / "plyr" / "recording" / "network.cbor.gz"
    assert recording.stat().st_size < 100_000
