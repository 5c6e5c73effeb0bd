"""What is to be done next about a blob."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appview.media.settings import Mirroring
from appview.media.steps import Standing, Step, next_step

NOW = datetime(2026, 11, 22, tzinfo=UTC)
GRACE = timedelta(days=7)
WANTED = Standing(None, 1, 1, 1, True, False, None)


def step(standing: Standing, mirroring: Mirroring = Mirroring.ON_PLAY, *, is_public: bool = False) -> Step:
    return next_step(standing, mirroring, NOW, GRACE, is_public_storage=is_public)


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        (WANTED, Step.FETCH),
        (replace(WANTED, state="pending"), Step.FETCH),
        (replace(WANTED, state="gone"), Step.FETCH),
        (replace(WANTED, state="ready"), Step.RENDER),
        (replace(WANTED, state="ready", is_rendered=True), Step.NOTHING),
        (replace(WANTED, state="ready", is_audio=False), Step.NOTHING),
        # Every reference is taken down: at once.
        (replace(WANTED, state="ready", held_by=0, open_to=0), Step.LET_GO),
        # No reference is left: after the time of grace, and not before.
        (replace(WANTED, state="ready", references=0, held_by=0), Step.NOTHING),
        (replace(WANTED, state="ready", references=0, held_by=0, unreferenced_at=NOW - GRACE), Step.LET_GO),
        (
            replace(WANTED, state="ready", references=0, held_by=0, unreferenced_at=NOW - GRACE + timedelta(seconds=1)),
            Step.NOTHING,
        ),
        # Of an object that nobody knows of there is no row, and nothing to wait for.
        (replace(WANTED, state=None, references=0, held_by=0), Step.LET_GO),
    ],
)
def test_the_next_step_follows_from_how_a_blob_stands(standing: Standing, expected: Step) -> None:
    assert step(standing) == expected


def test_nothing_is_fetched_where_nothing_is_mirrored() -> None:
    assert step(WANTED, Mirroring.NEVER) is Step.NOTHING
    assert step(replace(WANTED, state="ready"), Mirroring.NEVER) is Step.RENDER


def test_what_is_gated_is_not_kept_where_everybody_reads() -> None:
    gated = replace(WANTED, open_to=0)
    assert step(gated) is Step.FETCH
    assert step(gated, is_public=True) is Step.LET_GO
    assert step(replace(gated, references=2, held_by=2, open_to=1), is_public=True) is Step.FETCH


@given(
    st.builds(
        Standing,
        state=st.sampled_from([None, "pending", "ready", "gone", "mismatch", "too-large", "unsupported"]),
        references=st.integers(1, 3),
        held_by=st.integers(1, 3),
        open_to=st.integers(1, 3),
        is_audio=st.booleans(),
        is_rendered=st.booleans(),
        unreferenced_at=st.sampled_from([None, NOW - 2 * GRACE]),
    ),
    st.sampled_from(list(Mirroring)),
    st.booleans(),
)
def test_what_somebody_refers_to_is_never_let_go(standing: Standing, mirroring: Mirroring, is_public: bool) -> None:
    assert step(standing, mirroring, is_public=is_public) is not Step.LET_GO
