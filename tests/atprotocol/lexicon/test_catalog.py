"""Loading lexicons, finding definitions, and moving them to another namespace."""

import json
from pathlib import Path

import pytest

from atprotocol.data_model import Json
from atprotocol.lexicon.catalog import Catalog
from atprotocol.lexicon.schema import LexiconError, ObjectSchema, RefSchema


def _document(nsid: str, **defs: Json) -> dict[str, Json]:
    return {"lexicon": 1, "id": nsid, "defs": defs}


def _record(key: str = "tid", **properties: Json) -> dict[str, Json]:
    return {"type": "record", "key": key, "record": {"type": "object", "properties": properties}}


def test_documents_are_loaded_from_every_folder_below(tmp_path: Path) -> None:
    (tmp_path / "com" / "example").mkdir(parents=True)
    (tmp_path / "com" / "example" / "thing.json").write_text(json.dumps(_document("com.example.thing", main=_record())))
    catalog = Catalog.load(tmp_path)
    assert catalog.record_nsids == ("com.example.thing",)
    assert catalog.method_nsids == ()


def test_a_folder_without_lexicons_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(LexiconError, match="no lexicons"):
        Catalog.load(tmp_path / "nowhere")


@pytest.mark.parametrize("content", ["{", "[]", "null", '{"lexicon": 1}', '{"lexicon": 1, "id": "com.example.x"}'])
def test_a_broken_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "broken.json").write_text(content)
    with pytest.raises(LexiconError):
        Catalog.load(tmp_path)


def test_definition_types_of_the_future_are_skipped() -> None:
    catalog = Catalog([_document("com.example.space", main={"type": "space", "key": {}}, other={"type": "string"})])
    assert catalog.documents[next(iter(catalog.documents))].skipped == ("main",)
    assert catalog.check() == []
    with pytest.raises(LexiconError):
        catalog.definition("com.example.space")
    catalog.definition("com.example.space#other")


@pytest.mark.parametrize(
    "definition",
    [
        {"description": "no type"},
        {"type": 1},
        {"type": "string", "maxLength": "10"},
        {"type": "integer", "minimum": True},
        {"type": "array"},
        {"type": "array", "items": {"type": "of the future"}},
        {"type": "object", "properties": []},
        {"type": "object", "required": "name"},
        {"type": "object", "properties": {"a": {"type": "ref", "ref": "#"}}},
        {"type": "object", "properties": {"a": {"type": "ref", "ref": "not an nsid"}}},
        {"type": "object", "properties": {"a": {"type": "union"}}},
        {"type": "union", "refs": []},
        "text",
    ],
)
def test_a_malformed_definition_is_refused(definition: Json) -> None:
    with pytest.raises(LexiconError, match=r"com\.example\.thing"):
        Catalog([_document("com.example.thing", other=definition)])


@pytest.mark.parametrize(
    "main",
    [
        {"type": "record", "key": "uuid", "record": {"type": "object"}},
        {"type": "record", "key": "literal:", "record": {"type": "object"}},
        {"type": "query", "input": {"encoding": "application/json"}},
        {"type": "query", "output": {"schema": {"type": "object"}}},
        {"type": "query", "output": {"encoding": "application/json", "schema": {"type": "string"}}},
        {"type": "query", "parameters": {"type": "object"}},
        {"type": "query", "parameters": {"type": "params", "properties": {"a": {"type": "object"}}}},
        {"type": "query", "errors": [{"description": "no name"}]},
    ],
)
def test_a_malformed_record_or_method_is_refused(main: Json) -> None:
    with pytest.raises(LexiconError):
        Catalog([_document("com.example.thing", main=main)])


def test_two_documents_of_one_id_are_refused() -> None:
    with pytest.raises(LexiconError, match="twice"):
        Catalog(
            [_document("com.example.thing", a={"type": "string"}), _document("com.example.thing", b={"type": "string"})]
        )


def test_faults_between_documents_are_listed() -> None:
    catalog = Catalog(
        [
            _document(
                "com.example.thing",
                main={
                    "type": "query",
                    "parameters": {
                        "type": "params",
                        "required": ["ghost"],
                        "properties": {"limit": {"type": "integer", "maximum": 10, "default": 50}},
                    },
                },
                a={"type": "object", "required": ["gone"], "nullable": ["lost"], "properties": {}},
                b={"type": "object", "properties": {"c": {"type": "ref", "ref": "com.example.nowhere"}}},
                d={"type": "object", "properties": {"e": {"type": "union", "refs": ["#text", "#missing"]}}},
                f={"type": "array", "items": {"type": "ref", "ref": "com.example.thing"}},
                text={"type": "string", "format": "of the future"},
            )
        ]
    )
    faults = catalog.check()
    assert len(faults) == 9
    for place in ("ghost", "limit", "gone", "lost", "com.example.nowhere", "#text", "#missing", "a query", "future"):
        assert any(place in fault for fault in faults), place


@pytest.mark.parametrize(
    ("key", "right", "wrong"),
    [
        ("tid", "3jzfcijpj2z2a", "self"),
        ("nsid", "com.example.thing", "self"),
        ("any", "self", "a/b"),
        ("literal:self", "self", "3jzfcijpj2z2a"),
    ],
)
def test_record_keys_are_checked_by_the_type_that_the_lexicon_names(key: str, right: str, wrong: str) -> None:
    catalog = Catalog([_document("com.example.thing", main=_record(key))])
    assert catalog.record_key_type("com.example.thing") == key
    assert catalog.check_record_key("com.example.thing", right) is None
    problem = catalog.check_record_key("com.example.thing", wrong)
    assert problem is not None
    assert problem.rule == "recordKey"


def test_what_is_not_there_or_of_another_kind_is_our_own_error() -> None:
    catalog = Catalog(
        [_document("com.example.thing", main=_record()), _document("com.example.do", main={"type": "procedure"})]
    )
    for ask in (catalog.method, catalog.input_validator, catalog.output_validator):
        with pytest.raises(LexiconError):
            ask("com.example.thing")
    for nsid in ("com.example.do", "com.example.nothing"):
        with pytest.raises(LexiconError):
            catalog.record_validator(nsid)
    assert catalog.output_validator("com.example.do")({"anything": 1}) == []


def test_validators_are_compiled_once() -> None:
    catalog = Catalog([_document("com.example.thing", main=_record())])
    assert catalog.record_validator("com.example.thing") is catalog.record_validator("com.example.thing")


def test_a_namespace_is_moved_by_whole_segments() -> None:
    properties: dict[str, Json] = {
        "near": {"type": "ref", "ref": "#item"},
        "ours": {"type": "ref", "ref": "fm.plyr.defs#item"},
        "lex": {"type": "ref", "ref": "lex:fm.plyr.defs#item"},
        "theirs": {"type": "ref", "ref": "fm.plyrx.foo"},
        "any": {"type": "union", "refs": ["fm.plyr.defs#item", "fm.plyrx.foo"]},
        "kind": {"type": "string", "knownValues": ["fm.plyr.defs#nice", "plain", "fm.plyrx.defs#nice"]},
    }
    catalog = Catalog(
        [
            _document(
                "fm.plyr.thing", main=_record(**properties), item={"type": "object", "description": "Of fm.plyr.thing."}
            ),
            _document("fm.plyr.defs", item={"type": "object"}, nice={"type": "token"}),
            _document("fm.plyrx.foo", main={"type": "object"}),
        ]
    ).with_namespace("fm.plyr", "fm.plyr.stg")
    assert sorted(catalog.documents) == ["fm.plyr.stg.defs", "fm.plyr.stg.thing", "fm.plyrx.foo"]
    assert catalog.check() == []
    assert catalog.record_validator("fm.plyr.stg.thing")({"$type": "fm.plyr.stg.thing"}) == []
    assert catalog.record_validator("fm.plyr.stg.thing")({"$type": "fm.plyr.thing"}) != []
    item = catalog.definition("fm.plyr.stg.thing#item")
    assert isinstance(item, ObjectSchema)
    assert item.description == "Of fm.plyr.thing."
    written = json.dumps([dict(document.raw) for document in catalog.documents.values()])
    assert written.count("fm.plyrx.foo") == 3
    assert '"fm.plyr.stg.defs#nice"' in written
    assert '"fm.plyrx.defs#nice"' in written


def test_moving_to_the_same_namespace_changes_nothing_and_to_nonsense_is_refused() -> None:
    catalog = Catalog([_document("fm.plyr.thing", main=_record(a={"type": "ref", "ref": "#b"}), b={"type": "string"})])
    moved = catalog.with_namespace("fm.plyr", "fm.plyr")
    assert {nsid: document.raw for nsid, document in moved.documents.items()} == {
        nsid: document.raw for nsid, document in catalog.documents.items()
    }
    with pytest.raises(LexiconError, match="not a namespace"):
        catalog.with_namespace("fm.plyr", "not a namespace")


def test_references_are_brought_into_one_form() -> None:
    definition: dict[str, Json] = {
        "type": "object",
        "properties": {
            "a": {"type": "ref", "ref": "#main"},
            "b": {"type": "ref", "ref": "com.example.thing#main"},
            "c": {"type": "ref", "ref": "lex:com.example.thing"},
        },
    }
    main = Catalog([_document("com.example.thing", main=definition)]).definition("com.example.thing")
    assert isinstance(main, ObjectSchema)
    assert [schema.ref for schema in main.properties.values() if isinstance(schema, RefSchema)] == [
        "com.example.thing"
    ] * 3
