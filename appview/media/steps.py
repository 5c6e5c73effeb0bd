"""What is to be done next about a blob, decided from all that is known of it. Pure.

One job for each blob, one step at a time, whoever asked and however often: fetching, making variants and letting go
are the same job at different times, so they never meet. Bytes are let go when nobody refers to them and a time of grace
is over, at once when all who do are taken down, and never while one record that is not names them.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from appview.media.plan import READY
from appview.media.settings import Mirroring


class Step(StrEnum):
    """What to do."""

    FETCH = "fetch"
    RENDER = "render"
    LET_GO = "let-go"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Standing:
    """A blob as it stands.

    `references` are all that name it, `held_by` those of them that are not taken down, `open_to` those of these that are
    for everybody to hear; `is_audio` when one names it as audio. `is_rendered`: its variants are made, or never will be.
    """

    state: str | None
    references: int
    held_by: int
    open_to: int
    is_audio: bool
    is_rendered: bool
    unreferenced_at: datetime | None


def next_step(
    standing: Standing, mirroring: Mirroring, now: datetime, grace: timedelta, *, is_public_storage: bool
) -> Step:
    """Return the step that a job for this blob does now.

    That there is a job means that somebody wants the bytes: that records name them where all are mirrored, that
    somebody listened where that is the condition. In a storage that the public reads nothing is kept that is not for all.
    """
    if not standing.held_by:
        is_over = standing.unreferenced_at is not None and now - standing.unreferenced_at >= grace
        return Step.LET_GO if standing.references or is_over or standing.state is None else Step.NOTHING
    if is_public_storage and not standing.open_to:
        return Step.LET_GO
    if standing.state != READY:
        return Step.NOTHING if mirroring is Mirroring.NEVER else Step.FETCH
    if standing.is_audio and not standing.is_rendered:
        return Step.RENDER
    return Step.NOTHING
