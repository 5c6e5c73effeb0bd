"""The page at /docs: how to ask, and what there is to be asked, for somebody who comes from outside.

Made from the lexicons, once, at start-up; one document without scripts or anything from elsewhere.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from typing import Final
from urllib.parse import urlencode, urlsplit

import orjson

from appview.media.facts import IMAGE_PRESETS
from appview.openapi import STATUSES
from appview.settings import AppviewSettings
from appview.views.style import STYLE
from appview.well_known import SERVICE_ID
from appview.xrpc.errors import GENERIC_ERRORS_OF
from atprotocol.lexicon.catalog import Catalog
from atprotocol.lexicon.json_schema import parts_of
from atprotocol.lexicon.methods import Method
from atprotocol.lexicon.schema import (
    ArraySchema,
    BodySchema,
    IntegerSchema,
    MethodKind,
    ObjectSchema,
    Schema,
    StringSchema,
)
from atprotocol.lexicon.words import type_words

_DID: Final = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
_RECORD_KEY: Final = "3jzfcijpj2z2a"
_WORD: Final = "example"


def docs_page(
    methods: Mapping[str, Method], catalog: Catalog, settings: AppviewSettings, viewers_only: Collection[str]
) -> str:
    """Return the page; `methods` and `viewers_only` by their names within the namespace."""
    origin = urlsplit(settings.public_url)
    address = f"{origin.scheme}://{origin.netloc}"
    page = _Page(catalog, settings, address)
    groups: dict[str, list[str]] = {}
    for name in methods:
        groups.setdefault(name.rpartition(".")[0], []).append(name)
    index = "".join(
        f"<li><strong>{escape(group)}</strong> "
        + " · ".join(f'<a href="#{escape(name)}">{escape(name.rpartition(".")[2])}</a>' for name in names)
        + "</li>"
        for group, names in groups.items()
    )
    sections = "".join(page.method(name, method, name in viewers_only) for name, method in methods.items())
    views = "".join(page.definition(reference) for reference in page.shown_by(methods.values()))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>plyr AppView: how to ask</title>
<style>{STYLE}</style>
</head>
<body>
<h1>How to ask</h1>
{_introduction(settings, address)}
{_files(settings, address)}
<h2>Methods</h2>
<ul>{index}</ul>
{sections}
<h2>What answers are made of</h2>
{views}
<h2>More</h2>
<p><a href="/">Front page</a> · <a href="/openapi.json">OpenAPI</a></p>
</body>
</html>
"""


def _files(settings: AppviewSettings, address: str) -> str:
    playback = settings.nsid("feed.getPlayback")
    sizes = " · ".join(
        f"<code>{escape(each.name)}</code> {each.width}×{each.height}" for each in IMAGE_PRESETS.values()
    )
    return f"""<h2>Audio and pictures</h2>
<p>Views name them by URL; they are no methods and need no key. Any page may play them, read them and draw them.</p>
<ul><li><code>GET {escape(address)}/audio/DID/CID</code></li><li><code>GET {escape(address)}/img/PRESET/DID/CID</code></li></ul>
<p>Audio of any host is given with ranges and a strong <code>ETag</code>, the CID; follow redirects. <code>?variant=NAME</code> gives a variant that
<a href="#feed.getPlayback"><code>{escape(playback)}</code></a> lists. Pictures are WebP for whoever accepts that by name, and JPEG: {sizes}.</p>"""


def _introduction(settings: AppviewSettings, address: str) -> str:
    first = f"curl '{address}/xrpc/{settings.nsid('feed.getLatest')}?limit=3'"
    statuses = "".join(
        f"<tr><td>{status}</td><td>{', '.join(f'<code>{escape(name)}</code>' for name in names)}</td>"
        f"<td>{escape(STATUSES[status])}</td></tr>"
        for status, names in GENERIC_ERRORS_OF.items()
    )
    proxy = escape(f"{settings.did}{SERVICE_ID}")
    return f"""<p>Ask by HTTP, without a key, from anywhere, web pages included. The answers are JSON:</p>
<pre>{escape(first)}</pre>
<p>A query is a <code>GET</code> with its parameters in the address, one that takes several values repeats the name
(<code>uris=…&amp;uris=…</code>). A procedure is a <code>POST</code> of a JSON object. Parameters that a method does not
know are ignored; those that it knows are checked, and a wrong one is an error. Fields without a value are left out,
and new ones may come.</p>
<h2>Pages</h2>
<p>A list gives <code>limit</code> items at most. As long as there may be more its answer has a <code>cursor</code>:
send it with the same other parameters to get the next page. No <code>cursor</code>, no more pages. What was there all
the while is given once, whatever is added or removed meanwhile.</p>
<h2>Signed in</h2>
<p>To ask in the name of an account, ask its host (PDS) instead, with its session and the header
<code>atproto-proxy: {proxy}</code>; the host passes the question on. Without that header most hosts answer
501.</p>
<h2>Errors</h2>
<p>Every error is <code>{{"error": …, "message": …}}</code>: the first for programs, the second for people. What is not
here, or not to be shown, is 400 with a name of the method&#39;s own. Beyond those there are:</p>
<table><thead><tr><th>Status</th><th>error</th><th>Meaning</th></tr></thead><tbody>{statuses}</tbody></table>
<p>How often you may ask stands in the headers <code>RateLimit-Limit</code>, <code>RateLimit-Remaining</code> and
<code>RateLimit-Reset</code>. Answers carry an <code>ETag</code>: send it as <code>If-None-Match</code> and pay nothing
for what has not changed.</p>"""


class _Page:
    """Writes the parts of one page."""

    def __init__(self, catalog: Catalog, settings: AppviewSettings, address: str) -> None:
        """Keep what the parts refer to."""
        self._catalog = catalog
        self._settings = settings
        self._address = address

    def method(self, name: str, method: Method, needs_viewer: bool) -> str:
        """Return the section about a method."""
        parameters = method.schema.parameters
        parts = [f'<h3 id="{escape(name)}"><a href="#{escape(name)}">{escape(name)}</a></h3>']
        parts.append(f"<p>{escape(method.description)}</p>")
        if needs_viewer:
            parts.append('<p class="soft">For signed-in viewers only.</p>')
        parts.append(f"<pre>{escape(self._example(method, needs_viewer))}</pre>")
        parts.append(self._fields("Parameters", parameters.properties, parameters.required))
        if method.schema.input is not None:
            parts.append(self._body("Body", method.schema.input))
        if method.schema.output is not None:
            parts.append(self._body("Answer", method.schema.output))
        rows = "".join(
            f"<tr><td><code>{escape(error.name)}</code></td><td>{escape(error.description)}</td></tr>"
            for error in method.errors
        )
        if rows:
            parts.append(f"<h4>Errors</h4><table><tbody>{rows}</tbody></table>")
        return "".join(parts)

    def definition(self, reference: str) -> str:
        """Return the section about an object that answers are made of."""
        definition = self._catalog.definition(reference)
        anchor = escape(reference)
        fields = isinstance(definition, ObjectSchema) and self._fields("", definition.properties, definition.required)
        return f'<h3 id="{anchor}">{self._name(reference)}</h3><p>{escape(definition.description)}</p>{fields or ""}'

    def shown_by(self, methods: Iterable[Method]) -> list[str]:
        """Return the references of everything that answers are made of, each once, in alphabetical order."""
        found: set[str] = set()
        for method in methods:
            for body in (method.schema.input, method.schema.output):
                if body is not None and body.schema is not None:
                    self._find(body.schema, found)
        return sorted(found)

    def _find(self, schema: Schema, found: set[str]) -> None:
        for ref in parts_of(schema):
            if ref not in found:
                found.add(ref)
                definition = self._catalog.definition(ref)
                if isinstance(definition, ObjectSchema):
                    self._find(definition, found)

    def _body(self, title: str, body: BodySchema) -> str:
        schema = body.schema
        if isinstance(schema, ObjectSchema):
            return self._fields(title, schema.properties, schema.required)
        words = escape(body.encoding) if schema is None else self._words(schema)
        return f"<h4>{title}</h4><p>{words}</p>"

    def _fields(self, title: str, fields: Mapping[str, Schema], required: Sequence[str]) -> str:
        rows = "".join(
            f"<tr><td><code>{escape(name)}</code>{'' if name in required else ' <small>optional</small>'}</td>"
            f"<td>{self._words(schema)}</td><td>{escape(schema.description)}</td></tr>"
            for name, schema in fields.items()
        )
        heading = f"<h4>{title}</h4>" if title else ""
        return f"{heading}<table><tbody>{rows}</tbody></table>" if rows else ""

    def _words(self, schema: Schema) -> str:
        # References are marked with a character that no lexicon has, so that all the rest can be escaped.
        parts = type_words(schema, lambda ref: f"\0{ref}\0").split("\0")
        return "".join(self._link(part) if index % 2 else escape(part) for index, part in enumerate(parts))

    def _link(self, reference: str) -> str:
        return f'<a href="#{escape(reference)}">{self._name(reference)}</a>'

    def _name(self, reference: str) -> str:
        return escape(reference.removeprefix(f"{self._settings.namespace}."))

    def _example(self, method: Method, needs_viewer: bool) -> str:
        url = f"{self._address}/xrpc/{method.nsid}"
        lines: list[str] = []
        if needs_viewer:
            url = f"https://pds.example.com/xrpc/{method.nsid}"
            lines = ["-H 'authorization: Bearer …'", f"-H 'atproto-proxy: {self._settings.did}{SERVICE_ID}'"]
        schema = method.schema.parameters
        chosen = {name: self._sample(name, schema.properties[name]) for name in schema.required}
        # A list that requires nothing is named in one of several ways, and the first will do.
        if "limit" in schema.properties:
            if not chosen and "uri" in schema.properties:
                chosen["uri"] = self._sample("uri", schema.properties["uri"])
            chosen["limit"] = 10
        query = f"?{urlencode(chosen, doseq=True, safe=':/')}" if chosen else ""
        body = method.schema.input
        if method.kind is MethodKind.PROCEDURE and body is not None and isinstance(body.schema, ObjectSchema):
            content = {name: self._sample(name, body.schema.properties[name]) for name in body.schema.required}
            lines += [f"-H 'content-type: {body.encoding}'", f"-d '{orjson.dumps(content).decode()}'"]
        return " \\\n  ".join([f"curl '{url}{query}'", *lines])

    def _sample(self, name: str, schema: Schema) -> object:
        """Return a value that a schema takes."""
        match schema:
            case ArraySchema():
                return [self._sample(name, schema.items)]
            case IntegerSchema():
                return schema.default or schema.minimum or 1
            case StringSchema(format="at-uri"):
                collection = self._settings.nsid("list" if "list" in schema.description.lower() else "track")
                return f"at://{_DID}/{collection}/{_RECORD_KEY}"
            case StringSchema(format="did" | "at-identifier"):
                return _DID
            case StringSchema():
                word = _WORD * (1 + (schema.min_length or schema.min_graphemes or 0) // len(_WORD))
                return schema.default or next(iter(schema.known_values), word)
        return True
