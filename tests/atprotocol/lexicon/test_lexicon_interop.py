"""The lexicon language and the validation of records, against the protocol's fixtures."""

import json
from functools import cache
from typing import Any

import pytest
from interop import interop_path

from atprotocol.data_model import Json, object_from_json
from atprotocol.errors import EncodingError
from atprotocol.lexicon.catalog import Catalog
from atprotocol.lexicon.problems import Severity
from atprotocol.lexicon.schema import LexiconError, MethodKind

RECORD = "example.lexicon.record"


@cache
def _catalog() -> Catalog:
    return Catalog.load(interop_path("lexicon/catalog"))


def _cases(name: str, *keys: str) -> list[Any]:
    cases = json.loads(interop_path(f"lexicon/{name}.json").read_bytes())
    return [
        pytest.param(*(case[key] for key in keys), id=f"{number} {case['name']}") for number, case in enumerate(cases)
    ]


@pytest.mark.parametrize("document", _cases("lexicon-valid", "lexicon"))
def test_a_valid_lexicon_is_loaded(document: dict[str, Json]) -> None:
    assert Catalog([document]).check() == []


@pytest.mark.parametrize("document", _cases("lexicon-invalid", "lexicon"))
def test_an_invalid_lexicon_is_refused(document: dict[str, Json]) -> None:
    with pytest.raises(LexiconError):
        Catalog([document])


@pytest.mark.parametrize(("record_key", "data"), _cases("record-data-valid", "rkey", "data"))
def test_a_valid_record_has_no_problem(record_key: str, data: Json) -> None:
    assert _catalog().record_validator(RECORD)(object_from_json(data)) == []
    assert _catalog().check_record_key(RECORD, record_key) is None


@pytest.mark.parametrize("data", _cases("record-data-invalid", "data"))
def test_an_invalid_record_is_refused(data: Json) -> None:
    try:
        record = object_from_json(data)
    except EncodingError:
        return
    problems = _catalog().record_validator(RECORD)(record)
    assert [problem for problem in problems if problem.severity is Severity.REJECT]


def test_the_methods_of_the_catalog_are_described() -> None:
    query = _catalog().method("example.lexicon.query")
    assert query.kind is MethodKind.QUERY
    assert query.output_encoding == "application/json"
    assert query.error_names == {"DemoError", "AnotherDemoError"}
    assert _catalog().method("example.lexicon.subscription").kind is MethodKind.SUBSCRIPTION
    assert _catalog().method("example.lexicon.procedure").input_encoding == "application/json"


def test_only_the_reference_out_of_the_catalog_is_unresolved() -> None:
    assert _catalog().check() == [
        "example.lexicon.procedure/preferences: nothing is defined as app.bsky.actor.defs#preferences"
    ]
    with pytest.raises(LexiconError, match=r"app\.bsky\.actor\.defs#preferences"):
        _catalog().input_validator("example.lexicon.procedure")
