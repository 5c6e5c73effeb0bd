"""Labelers that a client accepts, and those that were applied, as structured headers.

A list of DIDs, each perhaps with `redact`: what this labeler says is taken down is then to be left out. No header
asks for the defaults, an empty one for no labels at all, and one that cannot be read is an error.
Sources: https://atproto.com/specs/label, https://www.rfc-editor.org/rfc/rfc8941
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import http_sf

from appview.xrpc.errors import InvalidRequest
from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.did import DID, parse_did

ACCEPT_LABELERS = "atproto-accept-labelers"
CONTENT_LABELERS = "atproto-content-labelers"
MAX_LABELERS = 20


@dataclass(frozen=True, slots=True)
class Labeler:
    """One labeler; `redact`: what it says is taken down is left out."""

    did: DID
    redact: bool = False


@dataclass(frozen=True, slots=True)
class AcceptedLabelers:
    """What a client asked for, in its order, each DID once; none means that it wants no labels."""

    labelers: tuple[Labeler, ...] = ()


def parse_accepted_labelers(values: Sequence[str]) -> AcceptedLabelers | None:
    """Return what the header's values, in order, ask for; None, the defaults, when there is no header.

    One that stands twice counts once, and redacts when either says so. Raises InvalidRequest.
    """
    if not values:
        return None
    try:
        # Several lines are one list; a line may be empty.
        text = ", ".join(filter(str.strip, values))
        items = cast("list[tuple[object, dict[str, object]]]", http_sf.parse(text.encode("ascii"), tltype="list"))
    except ValueError as error:  # structured field errors are ValueErrors, and so is what is not ASCII
        raise InvalidRequest(f"{ACCEPT_LABELERS} is not a list of DIDs (RFC 8941)") from error
    redact_of: dict[DID, bool] = {}
    for item, parameters in items:
        redact = parameters.get("redact", False)
        if not (isinstance(item, http_sf.Token) or type(item) is str) or not isinstance(redact, bool):
            raise InvalidRequest(f"{ACCEPT_LABELERS} is not a list of DIDs, each with or without redact")
        try:
            did = parse_did(str(item))
        except InvalidSyntax as error:
            raise InvalidRequest(f"{ACCEPT_LABELERS} names something that is no DID") from error
        redact_of[did] = redact or redact_of.get(did, False)
    if len(redact_of) > MAX_LABELERS:
        raise InvalidRequest(f"{ACCEPT_LABELERS} names more than {MAX_LABELERS} labelers")
    return AcceptedLabelers(tuple(Labeler(did, redact) for did, redact in redact_of.items()))


def labelers_text(labelers: Iterable[Labeler]) -> str:
    """Return labelers as a header says them."""
    return ", ".join(f"{labeler.did};redact" if labeler.redact else labeler.did for labeler in labelers)
