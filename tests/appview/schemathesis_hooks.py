"""What schemathesis is told, in its own process: how names of things look, which of them are here, and who asks.

Loaded by it, not by the tests. The formats of the lexicons are drawn mostly from what the database has, or it would
hear of nothing but what is not found.
"""

import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies as st

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from made_up_accounts import MadeUpAccount  # noqa: E402
from running_appview import SETTINGS, VIEWERS_KEY  # noqa: E402
from seeds import NOW  # noqa: E402

from appview.api.methods import VIEWERS_ONLY  # noqa: E402
from atprotocol.syntax.did import DID  # noqa: E402

KNOWN: dict[str, list[str]] = json.loads(os.environ["KNOWN"])
NOBODY = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
DIDS = st.sampled_from([*KNOWN["did"], NOBODY, "did:web:nobody.example.com"])
HANDLES = st.sampled_from([*KNOWN["handle"], "nobody.example.com"])
URIS = st.sampled_from([*KNOWN["at-uri"], f"at://{NOBODY}/{SETTINGS.nsid('track')}/3jzfcijpj2z2a"])
for name, strategy in {"did": DIDS, "handle": HANDLES, "at-identifier": DIDS | HANDLES, "at-uri": URIS}.items():
    schemathesis.openapi.format(name, strategy)
_LISTENER = MadeUpAccount(DID(KNOWN["did"][1]), VIEWERS_KEY, SETTINGS.did)
_CALLS = itertools.count()


@schemathesis.auth(refresh_interval=None)
class Token:
    """A token of the listener for the method that is asked: always where one is needed, else every second time."""

    def get(self, case: schemathesis.Case, _: Any) -> str | None:
        """Return a token that was never used, or none."""
        name = case.operation.path.removeprefix(f"/xrpc/{SETTINGS.namespace}.")
        number = next(_CALLS)
        if name not in VIEWERS_ONLY and number % 2:
            return None
        _LISTENER.count = number
        return _LISTENER.token(SETTINGS.nsid(name), NOW.timestamp())

    def set(self, case: schemathesis.Case, token: str | None, _: Any) -> None:
        """Send it."""
        if token is not None:
            case.headers["Authorization"] = f"Bearer {token}"
