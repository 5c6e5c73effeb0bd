"""What a server needs to know of a method: its verb, parameters, bodies and declared errors.

Made by `Catalog.method`, once for each method. Source: https://atproto.com/specs/xrpc
"""

from dataclasses import dataclass

from atprotocol.lexicon.parameters import Parameters, compile_parameters
from atprotocol.lexicon.schema import DeclaredError, MethodKind, MethodSchema
from atprotocol.syntax.nsid import Nsid


@dataclass(frozen=True, slots=True)
class Method:
    """A query, procedure or subscription; an encoding is None where there is no such body."""

    nsid: Nsid
    kind: MethodKind
    description: str
    parameters: Parameters
    input_encoding: str | None
    output_encoding: str | None
    errors: tuple[DeclaredError, ...]
    schema: MethodSchema

    @property
    def error_names(self) -> frozenset[str]:
        """Return the names of the errors that the lexicon declares."""
        return frozenset(error.name for error in self.errors)


def compile_method(schema: MethodSchema) -> Method:
    """Return the method that a lexicon defines."""
    return Method(
        nsid=schema.nsid,
        kind=schema.kind,
        description=schema.description,
        parameters=compile_parameters(schema.parameters),
        input_encoding=None if schema.input is None else schema.input.encoding,
        output_encoding=None if schema.output is None else schema.output.encoding,
        errors=schema.errors,
        schema=schema,
    )
