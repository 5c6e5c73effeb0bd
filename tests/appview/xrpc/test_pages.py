"""Answers that are kept for a moment: as old as the question, for those alone who ask the same as nobody."""

import asyncio
from dataclasses import dataclass, field

import pytest
from running_appview import StartAppview
from seeds import NOW

from appview.xrpc.pages import Pages
from appview.xrpc.reply import Page


@dataclass
class Kitchen:
    """Makes pages, one after another when told to."""

    now: float = 0.0
    made: int = 0
    error: Exception | None = None
    wait: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.wait.set()

    def time(self) -> float:
        return self.now

    async def make(self) -> Page:
        self.made += 1
        number = self.made
        await self.wait.wait()
        if self.error is not None:
            raise self.error
        return Page(str(number).encode(), {})


async def test_a_page_is_kept_for_a_moment_from_when_it_was_asked_for() -> None:
    kitchen, pages = Kitchen(), Pages(0.25)
    kitchen.wait.clear()
    first = asyncio.create_task(pages.get("a", kitchen.time, kitchen.make))
    await asyncio.sleep(0)
    # It took a while to make.
    kitchen.now = 0.2
    kitchen.wait.set()
    assert (await first).body == b"1"
    assert (await pages.get("a", kitchen.time, kitchen.make)).body == b"1"
    kitchen.now = 0.25
    assert (await pages.get("a", kitchen.time, kitchen.make)).body == b"2"
    # A clock that was set back keeps nothing for longer.
    kitchen.now = 0.0
    assert (await pages.get("a", kitchen.time, kitchen.make)).body == b"3"


async def test_those_who_ask_at_once_are_answered_once() -> None:
    kitchen, pages = Kitchen(), Pages(0.25)
    kitchen.wait.clear()
    asking = [asyncio.create_task(pages.get("a", kitchen.time, kitchen.make)) for _ in range(5)]
    await asyncio.sleep(0)
    # One who leaves does not take it from the others.
    asking[0].cancel()
    await asyncio.sleep(0)
    kitchen.wait.set()
    assert {(await each).body for each in asking[1:]} == {b"1"}
    assert kitchen.made == 1


async def test_a_failure_is_everybodys_and_is_not_kept() -> None:
    kitchen, pages = Kitchen(error=ValueError("no")), Pages(0.25)
    kitchen.wait.clear()
    asking = [asyncio.create_task(pages.get("a", kitchen.time, kitchen.make)) for _ in range(3)]
    await asyncio.sleep(0)
    kitchen.wait.set()
    for each in asking:
        with pytest.raises(ValueError, match="no"):
            await each
    kitchen.error = None
    assert (await pages.get("a", kitchen.time, kitchen.make)).body == b"2"


async def test_what_is_kept_is_bounded_in_number_and_in_bytes() -> None:
    kitchen = Kitchen()
    for pages in (Pages(9, maximum=3), Pages(9, maximum_bytes=3)):
        kitchen.made = 0
        for number in range(10):
            await pages.get(number, kitchen.time, kitchen.make)
        assert len(pages._kept) <= 3
        assert (await pages.get(0, kitchen.time, kitchen.make)).body == b"11"


async def test_no_seconds_keep_nothing() -> None:
    kitchen, pages = Kitchen(), Pages(0)
    assert [(await pages.get("a", kitchen.time, kitchen.make)).body for _ in range(2)] == [b"1", b"2"]


async def test_pages_are_not_shared_across_parameters_labelers_viewers_or_time(start_appview: StartAppview) -> None:
    appview = await start_appview(page_seconds=0.5)
    client, seeds = appview.client, appview.seeds
    viewer = await seeds.account()
    name = "feed.getLatest"

    async def count(headers: dict[str, str] | None = None, **parameters: int) -> int:
        response = await client.get(name, parameters, headers=headers or {})
        return len(response.json()["tracks"])

    assert await count() == 0
    await seeds.track(viewer, at=NOW)
    assert await count() == 0
    assert await count(limit=49) == 1
    assert await count({"atproto-accept-labelers": ""}) == 1
    signed_in = appview.signed_in(viewer, name)
    assert await count(signed_in) == 1
    seen = (await client.get(name, headers=appview.signed_in(viewer, name))).json()["tracks"][0]
    assert "viewer" in seen
    appview.clock.move(0.5)
    assert await count() == 1
    assert "viewer" not in (await client.get(name)).json()["tracks"][0]
    # What is hidden is gone with the page.
    await seeds.take_down(viewer.did)
    appview.clock.move(0.5)
    assert await count() == 0


async def test_a_kept_page_counts_like_any_other_and_has_its_version(start_appview: StartAppview) -> None:
    appview = await start_appview(page_seconds=0.5)
    first, second = [await appview.client.get("feed.getLatest") for _ in range(2)]
    assert int(first.headers["ratelimit-remaining"]) == int(second.headers["ratelimit-remaining"]) + 1
    assert first.headers["etag"] == second.headers["etag"]
    again = await appview.client.get("feed.getLatest", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
