"""The answers for what is not there. What is hidden is answered with the very same bytes."""

import re

from appview.xrpc.errors import XrpcError

ACTOR_NOT_FOUND = "ActorNotFound"
LIST_NOT_FOUND = "ListNotFound"
TRACK_NOT_FOUND = "TrackNotFound"


def not_found(error: str) -> XrpcError:
    """Return the error of that name: 400, as its method's lexicon declares it."""
    return XrpcError(400, error, re.sub(r"(?<=[a-z])([A-Z])", lambda found: f" {found[1].lower()}", error))
