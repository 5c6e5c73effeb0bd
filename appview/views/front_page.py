"""The page at /: what this is, how it stands, the newest tracks, and every method with a link that works.

One document without scripts, pictures or anything from elsewhere. Every text that came from the network is escaped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import urlencode

from appview.rows import State, TrackRow
from appview.views.style import STYLE
from atprotocol.lexicon.methods import Method
from atprotocol.lexicon.schema import MethodKind


@dataclass(frozen=True, slots=True)
class Examples:
    """Things that are here and shown, to be asked for; None where there is none."""

    track_uri: str | None
    list_uri: str | None
    did: str | None
    # Methods that answer nobody who follows a link.
    unlinked: frozenset[str] = frozenset()

    def query_of(self, name: str, method: Method) -> Mapping[str, str] | None:
        """Return parameters that get an answer from a query named so in its namespace; None if we know none."""
        known = {
            "uri": self.list_uri if name.startswith("library.") else self.track_uri,
            "uris": self.list_uri if name.startswith("library.") else self.track_uri,
            "actor": self.did,
            "actors": self.did,
            "did": self.did,
        }
        if name == "library.getListsWithTrack":
            known["uri"] = self.track_uri
        query: dict[str, str] = {}
        for parameter in method.parameters.declared:
            # A list is named in one of several ways.
            if parameter.is_required or (name == "library.getList" and parameter.name == "uri"):
                value = known.get(parameter.name)
                if value is None:
                    return None
                query[parameter.name] = value
        return query


def front_page(
    namespace: str,
    figures: Mapping[str, int | None],
    tracks: Sequence[TrackRow],
    state: State,
    methods: Mapping[str, Method],
    examples: Examples,
) -> str:
    """Return the page; `methods` by their names within the namespace."""
    name = escape(namespace)
    cells = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{value:,}</dd></div>"
        for label, value in figures.items()
        if value is not None
    )
    latest = "".join(_track(track, state, namespace) for track in tracks)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>plyr AppView</title>
<style>{STYLE}</style>
</head>
<body>
<h1>plyr AppView</h1>
<p>Music on the AT Protocol. Artists keep their tracks in their own repositories as <code>{name}.*</code> records;
this service follows the network, verifies what it hears and answers questions about it. The answers are JSON, open to
everybody, without a key.</p>
<h2>Now</h2>
<dl class="figures">{cells}</dl>
<h2>Latest tracks</h2>
{f"<ol>{latest}</ol>" if latest else '<p class="soft">None yet.</p>'}
<h2>Methods</h2>
<ul>{"".join(_method(each, method, examples) for each, method in methods.items())}</ul>
<h2>More</h2>
<p><a href="/docs">How to ask</a> · <a href="/openapi.json">OpenAPI</a> · <a href="/xrpc/_health">Health</a> · <a href="/.well-known/did.json">DID document</a></p>
</body>
</html>
"""


def _track(track: TrackRow, state: State, namespace: str) -> str:
    author = state.actors[track.actor_id]
    link = _link(f"{namespace}.feed.getTrack", {"uri": track.uri})
    profile = _link(f"{namespace}.actor.getProfile", {"actor": author.did})
    return (
        f'<li><a href="{link}"><bdi>{escape(track.content.title)}</bdi></a> <bdi>{escape(track.content.artist)}</bdi><br>'
        f'<small><a href="{profile}">{escape(author.handle or author.did)}</a> · '
        f"{_counted(track.state.like_count, 'like')} · {_counted(track.state.comment_count, 'comment')}</small></li>"
    )


def _method(name: str, method: Method, examples: Examples) -> str:
    is_open = method.kind is MethodKind.QUERY and name not in examples.unlinked
    query = examples.query_of(name, method) if is_open else None
    title = f"<code>{escape(name)}</code>"
    if query is not None:
        title = f'<a href="{_link(method.nsid, query)}">{title}</a>'
    verb = "" if method.kind is MethodKind.QUERY else " <small>POST</small>"
    return f'<li>{title}{verb}<br><span class="soft">{escape(method.description)}</span></li>'


def _link(nsid: str, query: Mapping[str, str]) -> str:
    return escape(f"/xrpc/{nsid}{f'?{urlencode(query)}' if query else ''}")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
