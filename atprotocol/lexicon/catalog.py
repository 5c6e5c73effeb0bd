"""A set of lexicons: load it, ask it for validators, methods and record keys.

Everything is compiled once, when first asked for. Asking for what is not there raises LexiconError: a
program knows which lexicons it serves. Values are never changed, unknown fields included. The words of
the network's own namespaces come from the documents, none from here. Source: https://atproto.com/specs/lexicon
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from atprotocol.data_model import Json
from atprotocol.errors import InvalidSyntax
from atprotocol.lexicon.documents import parse_document
from atprotocol.lexicon.faults import document_faults
from atprotocol.lexicon.methods import Method, compile_method
from atprotocol.lexicon.namespaces import in_namespace
from atprotocol.lexicon.problems import STRICT, Problem, Severities, Validator
from atprotocol.lexicon.record_keys import check_record_key_of_type
from atprotocol.lexicon.schema import (
    BodySchema,
    Definition,
    Document,
    LexiconError,
    MethodSchema,
    RecordSchema,
)
from atprotocol.lexicon.validation import Compiler, validator
from atprotocol.syntax.nsid import Nsid, parse_nsid


class Catalog:
    """Lexicon documents by NSID, and what is compiled from them."""

    def __init__(self, documents: Iterable[Mapping[str, Json]]) -> None:
        """Read the documents.

        Raises LexiconError when one is malformed or two have the same id. References between them are
        not followed yet: see `check`.
        """
        self.documents: dict[Nsid, Document] = {}
        for raw in documents:
            document = parse_document(raw)
            if document.nsid in self.documents:
                raise LexiconError(f"{document.nsid} is defined twice")
            self.documents[document.nsid] = document
        self._compilers: dict[Severities, Compiler] = {}
        self._methods: dict[str, Method] = {}
        self._validators: dict[tuple[str, str, Severities], Validator] = {}

    @classmethod
    def load(cls, directory: Path) -> "Catalog":
        """Return the catalog of every `*.json` below a directory.

        Raises LexiconError when there is none, or a file is no JSON object (with its path) or no lexicon.
        """
        documents: list[Mapping[str, Json]] = []
        for path in sorted(directory.rglob("*.json")):
            try:
                raw: Json = json.loads(path.read_bytes())
            except ValueError as error:
                raise LexiconError(f"{path}: not JSON: {error}") from error
            if not isinstance(raw, dict):
                raise LexiconError(f"{path}: not a JSON object")
            documents.append(raw)
        if not documents:
            raise LexiconError(f"{directory}: no lexicons")
        return cls(documents)

    def with_namespace(self, old: str, new: str) -> "Catalog":
        """Return a catalog in which the NSIDs under `old` stand under `new`, compared by whole segments.

        Raises LexiconError when `new` is no namespace.
        """
        try:
            parse_nsid(f"{new}.name")
        except InvalidSyntax as error:
            raise LexiconError(f"not a namespace: {new!r}") from error
        return Catalog(in_namespace(document.raw, old, new) for document in self.documents.values())

    def check(self) -> list[str]:
        """Return what is wrong between the documents, as sentences with the place; empty is right."""
        return [fault for document in self.documents.values() for fault in document_faults(document, self.definition)]

    def definition(self, ref: str) -> Definition:
        """Return the definition that a reference names: `nsid` or `nsid#name`.

        Raises LexiconError when there is none.
        """
        nsid, _, name = ref.partition("#")
        document = self.documents.get(Nsid(nsid))
        definition = None if document is None else document.definitions.get(name or "main")
        if definition is None:
            raise LexiconError(f"nothing is defined as {ref}")
        return definition

    @property
    def record_nsids(self) -> tuple[Nsid, ...]:
        """Return the NSIDs that are records."""
        return tuple(
            nsid
            for nsid, document in self.documents.items()
            if isinstance(document.definitions.get("main"), RecordSchema)
        )

    @property
    def method_nsids(self) -> tuple[Nsid, ...]:
        """Return the NSIDs that are queries, procedures or subscriptions."""
        return tuple(
            nsid
            for nsid, document in self.documents.items()
            if isinstance(document.definitions.get("main"), MethodSchema)
        )

    def record_validator(self, nsid: str, severities: Severities = STRICT) -> Validator:
        """Return the validator of a collection's records; `$type` must be the collection's NSID.

        Raises LexiconError when this is no record or refers to what is not there.
        """
        return self._validator("record", self._record(nsid).nsid, nsid, severities)

    def definition_validator(self, ref: str, severities: Severities = STRICT) -> Validator:
        """Return the validator of any definition that a value can be: `nsid` or `nsid#name`.

        Raises LexiconError when there is none.
        """
        return self._validator("definition", ref, ref, severities)

    def record_key_type(self, nsid: str) -> str:
        """Return `tid`, `nsid`, `any` or `literal:…`, as a collection's lexicon says.

        Raises LexiconError when this is no record.
        """
        return self._record(nsid).key

    def check_record_key(self, nsid: str, record_key: str) -> Problem | None:
        """Return what is wrong with a record key in a collection, or None.

        Raises LexiconError when this is no record.
        """
        return check_record_key_of_type(self.record_key_type(nsid), record_key)

    def method(self, nsid: str) -> Method:
        """Return a method: verb, parameters, encodings and declared errors.

        Raises LexiconError when this is no method.
        """
        method = self._methods.get(nsid)
        if method is None:
            definition = self.definition(nsid)
            if not isinstance(definition, MethodSchema):
                raise LexiconError(f"{nsid} is no method")
            method = self._methods[nsid] = compile_method(definition)
        return method

    def input_validator(self, nsid: str, severities: Severities = STRICT) -> Validator:
        """Return the validator of a method's input, which finds nothing where the lexicon has no schema.

        Raises LexiconError when this is no method or refers to what is not there.
        """
        return self._body_validator("input", self.method(nsid).schema.input, nsid, severities)

    def output_validator(self, nsid: str, severities: Severities = STRICT) -> Validator:
        """Return the validator of a method's output, which finds nothing where the lexicon has no schema.

        Raises LexiconError when this is no method or refers to what is not there.
        """
        return self._body_validator("output", self.method(nsid).schema.output, nsid, severities)

    def _record(self, nsid: str) -> RecordSchema:
        definition = self.definition(nsid)
        if not isinstance(definition, RecordSchema):
            raise LexiconError(f"{nsid} is no record")
        return definition

    def _compiler(self, severities: Severities) -> Compiler:
        return self._compilers.setdefault(severities, Compiler(self.definition, severities))

    def _validator(self, role: str, ref: str, key: str, severities: Severities) -> Validator:
        cached = self._validators.get((role, key, severities))
        if cached is None:
            cached = validator(self._compiler(severities).referenced(ref))
            self._validators[role, key, severities] = cached
        return cached

    def _body_validator(self, role: str, body: BodySchema | None, nsid: str, severities: Severities) -> Validator:
        if body is None or body.schema is None:
            return lambda _: []
        cached = self._validators.get((role, nsid, severities))
        if cached is None:
            cached = validator(self._compiler(severities).compile(body.schema))
            self._validators[role, nsid, severities] = cached
        return cached
