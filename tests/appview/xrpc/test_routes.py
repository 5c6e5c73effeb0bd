"""Start-up: code and lexicons agree, or nothing starts."""

import pytest
from running_appview import SETTINGS

from appview.api.methods import METHODS
from appview.app import create_app, pool_opener
from appview.xrpc.call import Call, Output
from appview.xrpc.routes import bind_routes
from atprotocol.lexicon.catalog import Catalog
from atprotocol.lexicon.schema import LexiconError


async def answer(_: Call) -> Output:
    return {}


def _catalog(**kinds: str) -> Catalog:
    return Catalog({"lexicon": 1, "id": nsid.replace("_", "."), "defs": {"main": {"type": kind}}} for nsid, kind in kinds.items())  # fmt: skip


def test_a_method_without_a_handler_stops_the_start(catalog: Catalog) -> None:
    for name in METHODS:
        rest = {each: method for each, method in METHODS.items() if each != name}
        with pytest.raises(LexiconError, match=name):
            create_app(SETTINGS, catalog, open_pool=pool_opener("", SETTINGS), methods=rest)


def test_a_handler_without_a_method_stops_the_start() -> None:
    with pytest.raises(LexiconError, match=r"com\.example\.b"):
        bind_routes(_catalog(com_example_a="query"), "com.example", {"a": answer, "b": answer})


def test_a_record_is_no_method() -> None:
    record = {"type": "record", "key": "tid", "record": {"type": "object", "properties": {}}}
    catalog = Catalog([{"lexicon": 1, "id": "com.example.a", "defs": {"main": record}}])
    with pytest.raises(LexiconError, match="no lexicon"):
        bind_routes(catalog, "com.example", {"a": answer})


def test_a_subscription_is_not_served() -> None:
    with pytest.raises(LexiconError, match="subscription"):
        bind_routes(_catalog(com_example_a="subscription"), "com.example", {"a": answer})


def test_methods_of_other_namespaces_need_no_handler() -> None:
    catalog = _catalog(com_example_a="query", com_examples_b="query", org_example_c="query")
    assert list(bind_routes(catalog, "com.example", {"a": answer})) == ["com.example.a"]


def test_a_reference_to_nothing_stops_the_start() -> None:
    output = {"encoding": "application/json", "schema": {"type": "ref", "ref": "com.example.defs#gone"}}
    catalog = Catalog([{"lexicon": 1, "id": "com.example.a", "defs": {"main": {"type": "query", "output": output}}}])
    with pytest.raises(LexiconError, match="gone"):
        bind_routes(catalog, "com.example", {"a": answer})


def test_the_methods_serve_another_namespace_too(catalog: Catalog) -> None:
    moved = catalog.with_namespace("fm.plyr", "fm.plyr.stg")
    routes = bind_routes(moved, "fm.plyr.stg", dict.fromkeys(METHODS, answer))
    assert "fm.plyr.stg.feed.getLatest" in routes
