"""`plyr import`: all or nothing, with a word on every bad line; the same again changes nothing."""

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
from plyr_command import json_of, run_plyr

from plyr.overlay_lines import BadLine, Overlay, parse_overlay

COLLECTION = "fm.plyr.track"
URI = f"at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/{COLLECTION}/3lunpublished2"


async def plyr(database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(run_plyr, *arguments, PLYR_DATABASE_URL=database_url)


def line(**fields: Any) -> bytes:
    return orjson.dumps({"uri": URI} | fields)


async def overlays(database_url: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(database_url)
    try:
        statement = (
            "SELECT uri, legacy_id, tags, visibility, play_count, album_image_url FROM plyr.track_overlays ORDER BY uri"
        )
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def test_what_is_imported_twice_is_there_once_and_the_later_word_counts(
    database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "overlay.jsonl"
    other = URI[:-1] + "3"
    file.write_bytes(b"\n".join((line(legacyId=1, tags=["a", "a", "b"], visibility="unlisted"), b"", line(uri=other))))
    first = await plyr(database_url, "import", str(file), "--json")
    assert (first.returncode, json_of(first)) == (0, {"imported": 2, "known": 2})
    assert await overlays(database_url) == [
        (URI, 1, ["a", "b"], "unlisted", 0, None),
        (other, None, None, None, 0, None),
    ]
    again = await plyr(database_url, "import", str(file))
    assert "Imported 2 tracks; 2 are known" in again.stdout
    file.write_bytes(line(legacyId=1, visibility="public", playCount=7, albumImageUrl="https://a.example/x.png"))
    await plyr(database_url, "import", str(file))
    assert (await overlays(database_url))[0] == (URI, 1, None, "public", 7, "https://a.example/x.png")


async def test_a_bad_line_is_named_and_nothing_is_imported(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "overlay.jsonl"
    file.write_bytes(b"\n".join((line(), b"{", line(), line(uri=URI[:-1] + "3", playCount=-1))))
    result = await plyr(database_url, "import", str(file))
    assert result.returncode == 1
    assert "nothing was imported" in result.stderr
    for number, word in ((2, "no JSON"), (3, "earlier line"), (4, "playCount")):
        assert f"line {number}: " in result.stderr
        assert word in result.stderr
    assert await overlays(database_url) == []


async def test_a_number_that_another_track_has_already_is_told(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "overlay.jsonl"
    for uri, expected in ((URI, 0), (URI[:-1] + "3", 1)):
        file.write_bytes(line(uri=uri, legacyId=5))
        result = await plyr(database_url, "import", str(file))
        assert result.returncode == expected
    assert "nothing was imported" in result.stderr
    assert "legacy_id" in result.stderr


async def test_a_file_that_is_not_there_is_wrong_usage(database_url: str, tmp_path: Path) -> None:
    result = await plyr(database_url, "import", str(tmp_path / "nothing.jsonl"))
    assert (result.returncode, "cannot be read" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"uri": None}, "missing"),
        ({"uri": "https://x"}, "no AT-URI"),
        ({"uri": "at://alice.example.com/fm.plyr.track/x"}, "at://DID"),
        ({"uri": URI.replace("track", "list")}, "at://DID"),
        ({"uri": 7}, "no text"),
        ({"legacyId": True}, "legacyId"),
        ({"legacyId": 2**63}, "legacyId"),
        ({"legacyId": 1.5}, "legacyId"),
        ({"tags": "a"}, "tags"),
        ({"tags": [""]}, "tags"),
        ({"tags": [str(number) for number in range(11)]}, "tags"),
        ({"visibility": 1}, "visibility"),
        ({"albumImageUrl": "http://a"}, "albumImageUrl"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_field_that_is_wrong_is_named(fields: dict[str, Any], word: str) -> None:
    with pytest.raises(BadLine, match=word):
        parse_overlay(line(**fields), COLLECTION)


@pytest.mark.parametrize(
    ("word", "expected"),
    [("public", "public"), ("supporters", "public"), ("unlisted", "unlisted"), ("private", "unlisted"), ("x", "unlisted"), (None, None)],
)  # fmt: skip
def test_a_visibility_that_is_not_understood_makes_nothing_public(word: str | None, expected: str | None) -> None:
    assert parse_overlay(line(visibility=word), COLLECTION).visibility == expected


def test_what_is_left_out_is_left_out() -> None:
    assert parse_overlay(line(), COLLECTION) == Overlay(URI, None, None, None, 0, None)
