"""`plyr demo`: offline, from nothing, with requests that answer, and nothing left behind."""

import signal
import socket
import urllib.request
from pathlib import Path
from typing import Any

import orjson
import pytest
from plyr_command import json_of, lines_until, open_folder, processes_in, run_plyr, start_plyr

TIMEOUT_SECONDS = 20


def _ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as response:
        return orjson.loads(response.read())


def _url_of(said: str, name: str) -> str:
    return next(part for part in said.split("'") if f"fm.plyr.{name}" in part)


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
            # The replay is the artist's host too, and has the audio.
            with urllib.request.urlopen(track["audio"]["url"], timeout=5) as audio:
                assert audio.read(4) == b"RIFF"
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
    assert recording.stat().st_size < 200_000
