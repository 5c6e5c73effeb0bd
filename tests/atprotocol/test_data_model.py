"""The JSON form of the data model, against the protocol's fixtures and our own edges."""

import json
from typing import Any

import pytest
from interop import interop_path

from atprotocol.cid import CID
from atprotocol.data_model import Json, from_json, object_from_json, to_json
from atprotocol.errors import EncodingError

LINK = "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity"


def _cases(name: str) -> list[Any]:
    cases = json.loads(interop_path(f"data-model/{name}.json").read_bytes())
    return [pytest.param(case["json"], id=case["note"]) for case in cases]


@pytest.mark.parametrize("value", _cases("data-model-valid"))
def test_valid_json_is_read_and_written_again(value: Json) -> None:
    assert to_json(object_from_json(value)) == value


@pytest.mark.parametrize("value", _cases("data-model-invalid"))
def test_invalid_json_is_refused(value: Json) -> None:
    with pytest.raises(EncodingError):
        object_from_json(value)


def test_links_and_bytes_are_types_of_their_own() -> None:
    value = object_from_json({"link": {"$link": LINK}, "bytes": {"$bytes": "AQI"}})
    assert isinstance(value["link"], CID)
    assert value["bytes"] == b"\x01\x02"
    assert to_json(value) == {"link": {"$link": LINK}, "bytes": {"$bytes": "AQI"}}


@pytest.mark.parametrize("value", [{"a": "\ud800"}, {"\udfff": 1}, {"a": 1 << 63}, {"a": 1e300}, {"a": float("nan")}])
def test_what_the_model_cannot_say_is_refused(value: Json) -> None:
    with pytest.raises(EncodingError):
        from_json(value)


def test_nesting_is_limited() -> None:
    value: Json = None
    for _ in range(200):
        value = [value]
    with pytest.raises(EncodingError):
        from_json(value)
