"""A client of the application that believes nothing: every answer is held against its lexicon."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import httpx

from appview.xrpc.errors import GENERIC_ERRORS
from atprotocol.data_model import Json, object_from_json
from atprotocol.errors import InvalidSyntax
from atprotocol.lexicon.catalog import Catalog
from atprotocol.lexicon.schema import LexiconError
from atprotocol.syntax.nsid import normalize_nsid, parse_nsid

Query: TypeAlias = Mapping[str, Any] | Sequence[tuple[str, Any]] | None


class BrokenContract(AssertionError):
    """An answer is not what its lexicon promises."""


class XrpcClient:
    """Calls methods by their names within the namespace, and checks whatever comes back."""

    def __init__(self, http: httpx.AsyncClient, catalog: Catalog, namespace: str) -> None:
        """Call through `http`, whose base URL is that of the application."""
        self._http = http
        self._catalog = catalog
        self._namespace = namespace

    async def request(self, verb: str, path: str, **arguments: Any) -> httpx.Response:
        """Send any request; an answer under /xrpc is checked."""
        response = await self._http.request(verb, path, **arguments)
        if f"{response.request.url.path}/".startswith("/xrpc/"):
            self._check(response)
        return response

    async def get(self, name: str, parameters: Query = None, **arguments: Any) -> httpx.Response:
        """Call a query."""
        return await self.request("GET", f"/xrpc/{self._namespace}.{name}", params=parameters, **arguments)

    async def post(self, name: str, body: Any, **arguments: Any) -> httpx.Response:
        """Call a procedure."""
        return await self.request("POST", f"/xrpc/{self._namespace}.{name}", json=body, **arguments)

    async def answer(self, name: str, **parameters: Any) -> dict[str, Any]:
        """Return the output of a query that succeeds."""
        response = await self.get(name, parameters)
        assert response.status_code == 200, response.text
        output: dict[str, Any] = response.json()
        return output

    async def error(self, name: str, **parameters: Any) -> tuple[int, str]:
        """Return status and name of the error of a query that fails."""
        response = await self.get(name, parameters)
        assert response.status_code >= 400, response.text
        return response.status_code, response.json()["error"]

    async def pages(self, name: str, items: str, limit: int, **parameters: Any) -> list[list[dict[str, Any]]]:
        """Return all pages of a list."""
        pages: list[list[dict[str, Any]]] = []
        cursor: dict[str, str] = {}
        while True:
            output = await self.answer(name, limit=limit, **parameters, **cursor)
            pages.append(output[items])
            if "cursor" not in output:
                return pages
            cursor = {"cursor": output["cursor"]}

    def _check(self, response: httpx.Response) -> None:
        if response.headers.get("access-control-allow-origin") != "*":
            raise BrokenContract("no CORS")
        if response.request.method in ("HEAD", "OPTIONS") or response.status_code == 304:
            if response.content:
                raise BrokenContract("a body where none belongs")
            return
        if response.headers.get("content-type") != "application/json; charset=utf-8":
            raise BrokenContract(f"not JSON: {response.headers.get('content-type')}")
        body: Json = response.json()
        if not isinstance(body, dict):
            raise BrokenContract("not an object")
        method = None
        with suppress(InvalidSyntax, LexiconError, IndexError):
            method = self._catalog.method(normalize_nsid(parse_nsid(response.request.url.path.split("/")[2])))
        if response.status_code != 200:
            declared = GENERIC_ERRORS | (method.error_names if method else frozenset())
            if body.keys() != {"error", "message"} or body["error"] not in declared or not body["message"]:
                raise BrokenContract(f"not a declared error: {body}")
        elif method is not None and (problems := self._catalog.output_validator(method.nsid)(object_from_json(body))):
            raise BrokenContract(f"{method.nsid}{problems[0].path}: {problems[0].message}")
