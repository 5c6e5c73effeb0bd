"""Who asks: the account that a verified service token speaks for, as the index knows it, and whose labels it wants.

Nobody is a viewer by claiming to be one: see `appview/xrpc/`. Whoever sends no token is anonymous, and has no
Viewer.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Viewer:
    """A signed-in account. `actor_id` is None while nothing of it is indexed, `rev` while no commit of it is.

    `rev` was read before anything else that the answer is made of: whatever that commit wrote is in the answer.
    """

    did: str
    actor_id: int | None
    rev: str | None


@dataclass(frozen=True, slots=True)
class Asker:
    """Whoever asks. `labelers` are those whose labels are wanted in views; None leaves it to us: all that we follow."""

    viewer: Viewer | None = None
    labelers: frozenset[str] | None = None

    @property
    def is_anonymous(self) -> bool:
        """Tell whether nobody is signed in."""
        return self.viewer is None

    @property
    def actor_id(self) -> int | None:
        """Return the number of the viewer's account."""
        return None if self.viewer is None else self.viewer.actor_id


ANONYMOUS: Final = Asker()
