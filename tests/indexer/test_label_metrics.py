"""What is shown of labelers: by their DIDs, as these are settings."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import world
from harness import Harness, harness
from test_metrics import scraped

from indexer.label_scope import Refusal
from indexer.metrics import LabelerView

LABELER = "did:web:labels.test"


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(45)) as made:
        yield made


async def test_without_labelers_nothing_is_said_of_any(indexer: Harness) -> None:
    scrape = await scraped(indexer)
    assert "labeler_connected" not in scrape
    assert [scrape["labels_refused_total", reason] for reason in Refusal] == [0] * len(Refusal)


async def test_a_labeler_is_shown_from_the_beginning_and_its_silence_once_it_spoke(indexer: Harness) -> None:
    view = indexer.metrics.labelers[LABELER] = LabelerView()
    scrape = await scraped(indexer)
    assert (scrape["labels_stored_total", LABELER], scrape["labeler_connected", LABELER]) == (0, 0)
    assert "labeler_last_message_seconds" not in scrape

    view.is_connected, view.seq, view.last_message_at = True, 7, indexer.now()
    indexer.metrics.labels_stored[LABELER] += 3
    indexer.metrics.labels_refused[Refusal.BAD_SIGNATURE] += 1
    indexer.clock_offset += timedelta(seconds=40)
    scrape = await scraped(indexer)
    assert (scrape["labels_stored_total", LABELER], scrape["labeler_connected", LABELER]) == (3, 1)
    assert (scrape["labeler_seq", LABELER], scrape["labeler_last_message_seconds", LABELER]) == (7, 40)
    assert scrape["labels_refused_total", "bad-signature"] == 1
