"""Who asks: the account that a verified service token speaks for, as the index knows it.

Nobody is a viewer by claiming to be one: see `appview/xrpc/`. Whoever sends no token is anonymous, and has no
Viewer.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Viewer:
    """A signed-in account. `actor_id` is None while nothing of it is indexed, `rev` while no commit of it is.

    `rev` was read before anything else that the answer is made of: whatever that commit wrote is in the answer.
    """

    did: str
    actor_id: int | None
    rev: str | None
