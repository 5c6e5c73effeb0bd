"""The description of the methods, for programs and for people: complete, right, and made of nothing but the lexicons."""

import json
import re
import shlex
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from openapi_spec_validator import validate
from running_appview import SETTINGS, Appview, StartAppview

from appview.api.methods import METHODS, VIEWERS_ONLY
from appview.openapi import ANY_METHOD, STATUSES, component_name, openapi_document
from appview.xrpc.errors import GENERIC_ERRORS, GENERIC_ERRORS_OF
from atprotocol.lexicon.catalog import Catalog
from atprotocol.lexicon.schema import MethodKind


@pytest.fixture(scope="module")
def document(catalog: Catalog) -> dict[str, Any]:
    return openapi_document(catalog, SETTINGS, VIEWERS_ONLY)


def test_it_is_openapi(document: dict[str, Any]) -> None:
    validate(document)
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["version"] == SETTINGS.version
    assert document["servers"] == [{"url": "https://appview.example.com"}]


@pytest.mark.parametrize("name", METHODS)
def test_it_has_every_method_as_its_lexicon_says(document: dict[str, Any], catalog: Catalog, name: str) -> None:
    method = catalog.method(SETTINGS.nsid(name))
    path = document["paths"][f"/xrpc/{method.nsid}"]
    verb = "get" if method.kind is MethodKind.QUERY else "post"
    assert list(path) == [verb]
    operation = path[verb]
    assert (operation["operationId"], operation["description"]) == (method.nsid, method.description)
    own = {parameter["name"]: parameter for parameter in operation["parameters"] if "name" in parameter}
    schema = method.schema.parameters
    assert list(own) == list(schema.properties)
    assert [each for each in own if own[each].get("required")] == [each for each in own if each in schema.required]
    assert all(parameter["description"] for parameter in own.values())
    assert [each for each in own if own[each].get("allowEmptyValue")] == [
        each for each in own if each not in schema.required
    ]
    assert ("requestBody" in operation) == (method.schema.input is not None)
    assert set(operation["responses"]) >= {"200", "400", *map(str, ANY_METHOD)}
    named = operation["responses"]["400"]["content"]["application/json"]["schema"]["allOf"][1]["properties"]["error"]
    assert set(named["enum"]) == {*method.error_names, "InvalidRequest"}
    for error in method.errors:
        assert error.description in operation["responses"]["400"]["description"]
    assert (operation.get("security") == [{"serviceToken": []}]) == (name in VIEWERS_ONLY)


def test_it_has_nothing_else(document: dict[str, Any]) -> None:
    methods = {f"/xrpc/{SETTINGS.nsid(name)}" for name in METHODS}
    assert set(document["paths"]) == {*methods, "/xrpc/_health", "/.well-known/did.json"}


def test_everything_that_it_points_at_is_there_and_everything_there_is_pointed_at(
    document: dict[str, Any], catalog: Catalog
) -> None:
    pointed = set(re.findall(r'"\$ref": "#/components/([^"]+)"', json.dumps(document)))
    there = {f"{kind}/{name}" for kind, parts in document["components"].items() for name in parts}
    # Records stand there for whoever writes them; views have them as any object. Whatever is called by no method's
    # name is told in words.
    records = {f"schemas/{component_name(nsid)}" for nsid in catalog.record_nsids}
    scheme = {"securitySchemes/serviceToken", "responses/Status405", "responses/Status501"}
    assert pointed <= there
    assert there - pointed - records == scheme
    assert {f"schemas/{SETTINGS.nsid('track')}", f"schemas/{SETTINGS.nsid('feed.defs_trackView')}"} <= there


def test_every_generic_error_has_a_status_and_every_status_words() -> None:
    assert frozenset(name for names in GENERIC_ERRORS_OF.values() for name in names) == GENERIC_ERRORS
    assert GENERIC_ERRORS_OF.keys() <= STATUSES.keys()


async def test_it_is_served_to_pages_from_anywhere(appview: Appview, document: dict[str, Any]) -> None:
    response = await appview.client.request("GET", "/openapi.json")
    assert response.json() == document
    assert response.headers["content-type"] == "application/json"
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["cache-control"] == "public, max-age=300"
    assert (await appview.client.request("HEAD", "/openapi.json")).status_code == 200


async def test_it_follows_the_namespace(catalog: Catalog) -> None:
    moved = catalog.with_namespace("fm.plyr", "com.example.music")
    settings = type(SETTINGS)(namespace="com.example.music")
    document = openapi_document(moved, settings, VIEWERS_ONLY)
    validate(document)
    assert "fm.plyr" not in json.dumps(document)


class Page(HTMLParser):
    """What a reader finds on the page: texts, links, places to link to, and examples."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.places: list[str] = []
        self.feed(text)
        self.examples = [unescape(each) for each in re.findall(r"<pre>(.*?)</pre>", text, re.DOTALL)]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        assert not attributes.keys() & {"src", "srcset", "onclick", "style"}
        self.tags.add(tag)
        if "id" in attributes:
            self.places.append(attributes["id"] or "")
        if tag == "a":
            self.links.append(attributes["href"] or "")


async def test_the_page_leads_to_every_method_and_loads_nothing(appview: Appview, catalog: Catalog) -> None:
    response = await appview.client.request("GET", "/docs")
    assert response.status_code == 200
    assert "default-src 'none'" in response.headers["content-security-policy"]
    page = Page(response.text)
    assert not page.tags & {"script", "img", "link", "iframe", "form"}
    assert len(page.places) == len(set(page.places))
    assert {link.removeprefix("#") for link in page.links if link.startswith("#")} <= set(page.places)
    assert {*METHODS} <= {link.removeprefix("#") for link in page.links}
    for link in {link for link in page.links if not link.startswith("#")}:
        assert (await appview.client.request("GET", link)).status_code == 200, link
    text = unescape(response.text)
    for name in METHODS:
        method = catalog.method(SETTINGS.nsid(name))
        assert method.description in text
        assert all(error.description in text for error in method.errors)


async def test_every_example_of_the_page_is_a_question_that_the_service_understands(
    start_appview: StartAppview, catalog: Catalog
) -> None:
    appview = await start_appview()
    seen: set[str] = set()
    someone = await appview.seeds.account()
    for example in Page((await appview.client.request("GET", "/docs")).text).examples:
        words = shlex.split(example.replace("\\\n", " "))
        assert words[0] == "curl"
        # What goes through a host comes out of it with a token.
        address = words[1].replace("https://pds.example.com", "https://appview.example.com")
        path = address.removeprefix("https://appview.example.com")
        name = path.removeprefix(f"/xrpc/{SETTINGS.namespace}.").partition("?")[0]
        seen.add(name)
        options = dict(zip(words[2::2], words[3::2], strict=True))
        headers = {"content-type": "application/json"} if "-d" in options else {}
        headers |= appview.signed_in(someone, name) if name in VIEWERS_ONLY else {}
        verb = "POST" if "-d" in options else "GET"
        response = await appview.client.request(verb, path, headers=headers, content=options.get("-d"))
        declared = catalog.method(SETTINGS.nsid(name)).error_names
        assert response.status_code == 200 or response.json()["error"] in declared, (example, response.text)
    assert seen == {*METHODS}


async def test_the_front_page_leads_to_both(appview: Appview) -> None:
    front = (await appview.client.request("GET", "/")).text
    assert 'href="/docs"' in front
    assert 'href="/openapi.json"' in front
