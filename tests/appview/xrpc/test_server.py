"""The XRPC server as HTTP sees it, over methods made up for it."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import brotli
import httpx
import pytest
from made_up_methods import CLIENT, LIMIT, NOW, SERVER, client_of, sick

from appview.xrpc.rate_limit import Allowance, RateLimits, Window

JSON = {"Content-Type": "application/json"}


def _brief(response: httpx.Response) -> tuple[int, Any]:
    return response.status_code, response.json()["error"]


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/xrpc/com.example.echo", 200, None),
        ("/xrpc/com.example.echo/", 200, None),
        ("/xrpc/COM.Example.echo", 200, None),
        ("/xrpc/com.example%2Eecho", 200, None),
        ("/xrpc/com.example.Echo", 501, "MethodNotImplemented"),
        ("/xrpc/com.example.unknown", 501, "MethodNotImplemented"),
        ("/xrpc/org.example.echo", 501, "MethodNotImplemented"),
        ("/xrpc/com.example.echo//", 400, "InvalidRequest"),
        ("/xrpc//com.example.echo", 400, "InvalidRequest"),
        ("/xrpc/com.example.echo/more", 400, "InvalidRequest"),
        ("/xrpc/com.example", 400, "InvalidRequest"),
        ("/xrpc/com..echo", 400, "InvalidRequest"),
        ("/xrpc/echo", 400, "InvalidRequest"),
        ("/xrpc/_unknown", 400, "InvalidRequest"),
        ("/xrpc/com.example.é", 400, "InvalidRequest"),
        ("/xrpc/", 400, "InvalidRequest"),
        ("/xrpc", 400, "InvalidRequest"),
    ],
)
async def test_a_path_is_the_nsid_of_a_method(path: str, status: int, error: str | None) -> None:
    response = await CLIENT.request("GET", path)
    assert (response.status_code, response.json().get("error")) == (status, error)


@pytest.mark.parametrize(
    ("verb", "name", "status", "allow"),
    [
        ("POST", "echo", 405, "GET, HEAD, OPTIONS"),
        ("PUT", "echo", 405, "GET, HEAD, OPTIONS"),
        ("DELETE", "echo", 405, "GET, HEAD, OPTIONS"),
        ("PATCH", "echo", 405, "GET, HEAD, OPTIONS"),
        ("GET", "save", 405, "POST, OPTIONS"),
        ("HEAD", "save", 405, "POST, OPTIONS"),
        ("PUT", "save", 405, "POST, OPTIONS"),
        ("POST", "unknown", 501, None),
        ("BREW", "unknown", 501, None),
    ],
)
async def test_a_wrong_verb_is_told_the_right_ones(verb: str, name: str, status: int, allow: str | None) -> None:
    response = await CLIENT.request(verb, f"/xrpc/com.example.{name}")
    assert (response.status_code, response.headers.get("allow")) == (status, allow)
    if status == 405 and verb != "HEAD":
        assert response.json() == {"error": "InvalidRequest", "message": "Method not allowed"}


@pytest.mark.parametrize("name", ["echo", "long", "fail", "unknown"])
async def test_head_is_get_without_the_body(name: str) -> None:
    path = f"/xrpc/com.example.{name}"
    got, head = await CLIENT.request("GET", path), await CLIENT.request("HEAD", path)
    assert head.status_code == got.status_code
    assert head.content == b""
    assert head.headers["content-length"] == got.headers["content-length"]
    ours = {name: value for name, value in head.headers.items() if name != "ratelimit-remaining"}
    assert ours == {name: value for name, value in got.headers.items() if name != "ratelimit-remaining"}


@pytest.mark.parametrize("path", ["com.example.echo", "com.example.save", "com.example.unknown", "_health", "!"])
async def test_a_page_of_any_origin_may_ask(path: str) -> None:
    response = await CLIENT.request("OPTIONS", f"/xrpc/{path}", headers={"Origin": "https://a.example"})
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in response.headers
    assert response.headers["access-control-allow-methods"] == "GET, HEAD, POST, OPTIONS"
    allowed = response.headers["access-control-allow-headers"].split(", ")
    assert {"authorization", "content-type", "atproto-accept-labelers", "atproto-proxy"} <= set(allowed)
    assert response.headers["access-control-max-age"] == "86400"


async def test_a_page_may_read_the_headers_that_matter() -> None:
    exposed = (await CLIENT.get("echo")).headers["access-control-expose-headers"].split(", ")
    assert {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Policy", "Retry-After"} <= set(exposed)  # fmt: skip
    assert {"WWW-Authenticate", "atproto-repo-rev", "atproto-content-labelers", "ETag"} <= set(exposed)


@pytest.mark.parametrize(
    ("query", "got"),
    [
        ("", {"limit": 50}),
        ("limit=7", {"limit": 7}),
        ("text=a+b%26", {"limit": 50, "text": "a b&"}),
        ("text=", {"limit": 50}),
        ("flag=true", {"limit": 50, "flag": True}),
        ("flag=false&unknown=1&__proto__=1&text[]=x", {"limit": 50, "flag": False}),
        ("words=a&words=b&words=a", {"limit": 50, "words": ["a", "b", "a"]}),
        ("words=a", {"limit": 50, "words": ["a"]}),
        ("&".join(f"words={number}" for number in range(30)), {"limit": 50, "words": [str(n) for n in range(30)]}),
    ],
)
async def test_parameters_are_read_by_the_lexicon(query: str, got: dict[str, Any]) -> None:
    response = await CLIENT.request("GET", f"/xrpc/com.example.echo?{query}")
    assert response.json() == {"got": got}


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=abc", "limit=1.5", "limit=1e3", "limit=+5", "limit=%D9%A3", "limit=1&limit=2", "limit=9999999999999999999999", "flag=1", "flag=True", "flag=yes", "text=a&text=b", "text=123456789012345678901", "did=handle.example.com", "did=did%3Aplc", "&".join(["words=x"] * 31), "text=%FF", "&".join(["x=1"] * 1001)],
)  # fmt: skip
async def test_a_wrong_parameter_is_an_error_and_never_bent(query: str) -> None:
    assert _brief(await CLIENT.request("GET", f"/xrpc/com.example.echo?{query}")) == (400, "InvalidRequest")


@pytest.mark.parametrize(
    ("how", "status", "body"),
    [
        ("declared", 400, {"error": "ThingNotFound", "message": "No such thing"}),
        ("generic", 503, {"error": "NotEnoughResources", "message": "Too busy"}),
        ("undeclared", 500, {"error": "InternalServerError", "message": "Internal Server Error"}),
        ("crash", 500, {"error": "InternalServerError", "message": "Internal Server Error"}),
        ("unserialisable", 500, {"error": "InternalServerError", "message": "Internal Server Error"}),
    ],
)
async def test_an_error_is_two_words_and_never_an_exception_s_text(how: str, status: int, body: object) -> None:
    response = await CLIENT.get("fail", {"how": how})
    assert (response.status_code, response.json()) == (status, body)
    assert response.headers["cache-control"] == "no-store"


async def test_a_body_is_checked_by_the_lexicon() -> None:
    response = await CLIENT.post("save", {"name": "a", "more": [1, None, {"x": True}]})
    assert response.json() == {"got": {"name": "a", "more": [1, None, {"x": True}]}}


@pytest.mark.parametrize(
    ("content", "headers", "status", "error"),
    [
        (b'{"name":"a"}', JSON, 200, None),
        (b'{"name":"a"}', {"Content-Type": "Application/JSON; charset=utf-8"}, 200, None),
        (b'{"name":"a"}', {"Content-Type": "text/plain"}, 400, "InvalidRequest"),
        (b'{"name":"a"}', {}, 400, "InvalidRequest"),
        (b"", {}, 400, "InvalidRequest"),
        (b"", JSON, 400, "InvalidRequest"),
        (b"{}", JSON, 400, "InvalidRequest"),
        (b'{"name":1}', JSON, 400, "InvalidRequest"),
        (b'{"name":"a","x":1.5}', JSON, 400, "InvalidRequest"),
        (b'["name"]', JSON, 400, "InvalidRequest"),
        (b"null", JSON, 400, "InvalidRequest"),
        (b'{"name":', JSON, 400, "InvalidRequest"),
        (b'{"name":"\xff"}', JSON, 400, "InvalidRequest"),
        (b"[" * 900, JSON, 400, "InvalidRequest"),
        (b" " * (LIMIT + 1), JSON, 413, "PayloadTooLarge"),
        (gzip.compress(b'{"name":"a"}', mtime=0), JSON | {"Content-Encoding": "gzip"}, 200, None),
        (zlib.compress(b'{"name":"a"}'), JSON | {"Content-Encoding": "deflate"}, 200, None),
        (zlib.compress(gzip.compress(b'{"name":"a"}', mtime=0)), JSON | {"Content-Encoding": "gzip, deflate"}, 200, None),
        (b'{"name":"a"}', JSON | {"Content-Encoding": "identity"}, 200, None),
        (gzip.compress(b'{"name":"a"}', mtime=0)[:-9], JSON | {"Content-Encoding": "gzip"}, 400, "InvalidRequest"),
        (gzip.compress(b'{"name":"a"}', mtime=0) + b"x", JSON | {"Content-Encoding": "gzip"}, 400, "InvalidRequest"),
        (b'{"name":"a"}', JSON | {"Content-Encoding": "gzip"}, 400, "InvalidRequest"),
        (gzip.compress(b" " * 1_000_000, mtime=0)[:LIMIT], JSON | {"Content-Encoding": "gzip"}, 413, "PayloadTooLarge"),
        (gzip.compress(b'{"name":"a"}', mtime=0), JSON | {"Content-Encoding": "X-GZIP"}, 200, None),
        (brotli.compress(b'{"name":"a"}'), JSON | {"Content-Encoding": "br"}, 200, None),
        (brotli.compress(gzip.compress(b'{"name":"a"}', mtime=0)), JSON | {"Content-Encoding": "gzip, br"}, 200, None),
        (zlib.compress(brotli.compress(b'{"name":"a"}')), JSON | {"Content-Encoding": "br,identity, deflate"}, 200, None),
        (brotli.compress(b'{"name":"a"}')[:-1], JSON | {"Content-Encoding": "br"}, 400, "InvalidRequest"),
        (brotli.compress(b'{"name":"a"}') + b"x", JSON | {"Content-Encoding": "br"}, 400, "InvalidRequest"),
        (b'{"name":"a"}', JSON | {"Content-Encoding": "br"}, 400, "InvalidRequest"),
        (b"", JSON | {"Content-Encoding": "br"}, 400, "InvalidRequest"),
        (brotli.compress(b" " * 10_000_000), JSON | {"Content-Encoding": "br"}, 413, "PayloadTooLarge"),
        (brotli.compress(brotli.compress(b" " * 10_000_000)), JSON | {"Content-Encoding": "br, br"}, 413, "PayloadTooLarge"),
        (brotli.compress(b'{"name":"' + b"a" * (LIMIT - 11) + b'"}'), JSON | {"Content-Encoding": "br"}, 200, None),
        (brotli.compress(b'{"name":"' + b"a" * (LIMIT - 10) + b'"}'), JSON | {"Content-Encoding": "br"}, 413, "PayloadTooLarge"),
        (b'{"name":"a"}', JSON | {"Content-Encoding": "zstd"}, 415, "UnsupportedMediaType"),
        (b'{"name":"a"}', JSON | {"Content-Encoding": "gzip, zstd"}, 415, "UnsupportedMediaType"),
        (b'{"name":"a"}', JSON | {"Content-Encoding": "br, br, br, br"}, 415, "UnsupportedMediaType"),
    ],
)  # fmt: skip
async def test_a_body_is_what_it_says_it_is(content: bytes, headers: dict[str, str], status: int, error: str | None) -> None:  # fmt: skip
    response = await CLIENT.request("POST", "/xrpc/com.example.save", content=content, headers=headers)
    assert (response.status_code, response.json().get("error")) == (status, error)


async def _chunks(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_a_body_without_a_length_is_counted_as_it_comes() -> None:
    path = "/xrpc/com.example.save"
    good = await CLIENT.request("POST", path, content=_chunks(b'{"name":', b'"a"}'), headers=JSON)
    assert good.status_code == 200
    endless = await CLIENT.request("POST", path, content=_chunks(*[b" " * 100] * 100), headers=JSON)
    assert _brief(endless) == (413, "PayloadTooLarge")


async def test_a_body_that_says_it_is_too_long_is_refused_unread() -> None:
    read: list[bytes] = []

    async def body() -> AsyncIterator[bytes]:
        read.append(b"x")
        yield b"x"

    for length in (LIMIT + 1, 10**30):
        headers = JSON | {"Content-Length": str(length)}
        refused = await CLIENT.request("POST", "/xrpc/com.example.save", content=body(), headers=headers)
        assert _brief(refused) == (413, "PayloadTooLarge")
    compressed = JSON | {"Content-Encoding": "br", "Content-Length": str(LIMIT + 1)}
    refused = await CLIENT.request("POST", "/xrpc/com.example.save", content=body(), headers=compressed)
    assert _brief(refused) == (413, "PayloadTooLarge")
    assert read == []


async def test_a_compressed_body_may_come_in_pieces() -> None:
    for coding, content in (("br", brotli.compress(b'{"name":"a"}')), ("gzip", gzip.compress(b'{"name":"a"}'))):
        pieces = _chunks(*(content[place : place + 1] for place in range(len(content))))
        headers = JSON | {"Content-Encoding": coding}
        assert (
            await CLIENT.request("POST", "/xrpc/com.example.save", content=pieces, headers=headers)
        ).status_code == 200


async def test_a_method_without_input_takes_no_body() -> None:
    poke, echo = "/xrpc/com.example.poke", "/xrpc/com.example.echo"
    assert (await CLIENT.request("POST", poke)).status_code == 200
    assert (await CLIENT.request("POST", poke, content=_chunks())).status_code == 200
    for verb, path in (("POST", poke), ("GET", echo)):
        assert _brief(await CLIENT.request(verb, path, content=b"x")) == (400, "InvalidRequest")
        assert _brief(await CLIENT.request(verb, path, headers=JSON)) == (400, "InvalidRequest")
        assert _brief(await CLIENT.request(verb, path, content=_chunks(b"x"))) == (400, "InvalidRequest")


async def test_parameters_are_judged_before_the_body_and_the_body_before_the_limit() -> None:
    client = client_of(replace(SERVER, limiter=RateLimits([Window(1, 60)])))
    wrong = await client.request("GET", "/xrpc/com.example.echo?limit=0", content=b"x" * (LIMIT + 1))
    assert wrong.json()["message"].startswith("Parameter limit")
    for _ in range(3):
        assert (await client.post("save", {})).status_code == 400
    assert (await client.get("echo")).status_code == 200
    assert (await client.get("echo")).status_code == 429


async def test_the_rate_limit_is_told_and_kept() -> None:
    client = client_of(replace(SERVER, limiter=RateLimits([Window(2, 60)])))
    answers = [await client.get("echo"), await client.get("fail", {"how": "declared"}), await client.get("echo")]
    assert [answer.status_code for answer in answers] == [200, 400, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert {answer.headers["ratelimit-limit"] for answer in answers} == {"2"}
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {"2;w=60"}
    assert {answer.headers["ratelimit-reset"] for answer in answers} == {str(int(NOW.timestamp()) + 30)}
    assert answers[2].headers["retry-after"] == "30"
    assert answers[2].json()["error"] == "RateLimitExceeded"
    assert "retry-after" not in answers[1].headers


async def test_an_address_is_limited_and_not_what_it_claims() -> None:
    server = replace(SERVER, limiter=RateLimits([Window(1, 60)]))
    client, other = client_of(server), client_of(server, "192.0.2.2")
    assert (await client.get("echo")).status_code == 200
    for number in range(3):
        spoofed = {"X-Forwarded-For": f"203.0.113.{number}", "Authorization": f"Bearer {number}"}
        assert (await client.get("echo", headers=spoofed)).status_code == 429
    assert (await other.get("echo")).status_code == 200
    behind = client_of(replace(server, trusted_proxy_hops=1))
    statuses = [(await behind.get("echo", headers={"X-Forwarded-For": f"203.0.113.{number}"})).status_code for number in (1, 2, 1)]  # fmt: skip
    assert statuses == [200, 200, 429]


async def test_what_is_no_method_counts_too() -> None:
    client = client_of(replace(SERVER, limiter=RateLimits([Window(2, 60)])))
    answers = [await client.request("GET", f"/xrpc/{name}") for name in ("com.example.unknown", "!", "com.example.unknown", "!")]  # fmt: skip
    assert [answer.status_code for answer in answers] == [501, 400, 429, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["1", "0", "0", "0"]


class BrokenLimiter:
    def take(self, nsid: str | None, asker: str | None, now: float, *, is_account: bool = False) -> Allowance | None:
        raise RuntimeError("out of order")


async def test_a_limiter_that_fails_lets_everybody_in() -> None:
    response = await client_of(replace(SERVER, limiter=BrokenLimiter())).get("echo")
    assert response.status_code == 200
    assert "ratelimit-limit" not in response.headers


async def test_an_answer_may_be_kept_for_seconds_and_is_not_sent_again_unchanged() -> None:
    first = await CLIENT.get("echo")
    assert first.headers["cache-control"] == "public, max-age=5, stale-while-revalidate=5"
    assert first.headers["vary"] == "Authorization, Atproto-Accept-Labelers, Accept-Encoding, Accept-Language"
    etag = first.headers["etag"]
    assert etag.startswith('W/"')
    for known in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
        again = await CLIENT.get("echo", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
    assert (await CLIENT.get("echo", {"limit": 3}, headers={"If-None-Match": etag})).status_code == 200
    assert (await CLIENT.post("save", {"name": "a"})).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("gzip", "gzip"), ("br, GZIP;q=0.5", "gzip"), ("identity", None), ("gzip;q=0", None), ("br", None), ("", None)],
)
async def test_a_long_answer_is_compressed_for_whoever_takes_it(accepted: str, coding: str | None) -> None:
    response = await CLIENT.get("long", headers={"Accept-Encoding": accepted})
    assert response.headers.get("content-encoding") == coding
    assert response.json() == {"text": "la " * 2000}
    assert (int(response.headers["content-length"]) < 1000) == (coding == "gzip")


async def test_a_short_answer_is_not_compressed() -> None:
    assert "content-encoding" not in (await CLIENT.get("echo", headers={"Accept-Encoding": "gzip"})).headers


async def test_health_is_a_plain_answer() -> None:
    response = await CLIENT.request("GET", "/xrpc/_health")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "version": "1"})
    assert response.headers["cache-control"] == "no-store"
    assert (await CLIENT.request("HEAD", "/xrpc/_health")).status_code == 200
    assert (await CLIENT.request("POST", "/xrpc/_health")).headers["allow"] == "GET, HEAD, OPTIONS"
    proxied = await CLIENT.request("GET", "/xrpc/_health", headers={"atproto-proxy": "did:web:a.example#b"})
    assert _brief(proxied) == (400, "InvalidRequest")
    assert _brief(await client_of(replace(SERVER, health=sick)).request("GET", "/xrpc/_health")) == (503, "NotEnoughResources")  # fmt: skip


async def test_a_client_that_goes_away_in_the_middle_of_its_body_is_forgotten() -> None:
    sent: list[Any] = []
    messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        await asyncio.sleep(0)
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/xrpc/com.example.save", "query_string": b"", "headers": headers, "path_params": {"path": "com.example.save"}, "client": None, "server": ("a", 80), "scheme": "http"}  # fmt: skip
    await SERVER(scope, receive, send)
    assert sent == []
