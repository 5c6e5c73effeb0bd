"""The table of methods: what the lexicons promise, bound to the code that answers.

Start-up fails when a method of our namespace has no handler, or a handler no method: code and contract
cannot drift apart unseen.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from appview.xrpc.call import Handler
from atprotocol.lexicon.catalog import Catalog
from atprotocol.lexicon.methods import Method
from atprotocol.lexicon.problems import Validator
from atprotocol.lexicon.schema import LexiconError, MethodKind
from atprotocol.syntax.nsid import Nsid, normalize_nsid, parse_nsid


@dataclass(frozen=True, slots=True)
class Route:
    """A method, the check of its input and the code that answers it."""

    method: Method
    handler: Handler
    validate_input: Validator

    @property
    def verbs(self) -> tuple[str, ...]:
        """Return the HTTP methods by which it is called."""
        return ("GET", "HEAD") if self.method.kind is MethodKind.QUERY else ("POST",)


def bind_routes(catalog: Catalog, namespace: str, handlers: Mapping[str, Handler]) -> dict[Nsid, Route]:
    """Return a route for every method of a namespace; handlers are named within it, as in `feed.getLatest`.

    Raises LexiconError when methods and handlers are not the same, or one is a subscription.
    """
    promised = {nsid for nsid in catalog.method_nsids if nsid.startswith(f"{namespace}.")}
    written = {parse_nsid(f"{namespace}.{name}"): handler for name, handler in handlers.items()}
    if missing := sorted(promised - written.keys()):
        raise LexiconError(f"methods without a handler: {', '.join(missing)}")
    if unknown := sorted(written.keys() - promised):
        raise LexiconError(f"handlers of methods that no lexicon defines: {', '.join(unknown)}")
    routes: dict[Nsid, Route] = {}
    for nsid, handler in written.items():
        method = catalog.method(nsid)
        if method.kind is MethodKind.SUBSCRIPTION:
            raise LexiconError(f"subscriptions are not served: {nsid}")
        # The output is compiled too, so that a reference to nothing is found now.
        catalog.output_validator(nsid)
        routes[normalize_nsid(nsid)] = Route(method, handler, catalog.input_validator(nsid))
    return routes
