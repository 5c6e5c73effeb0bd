"""The bounded client against servers that try to lead it astray, on real sockets of the loopback.

For what concerns public addresses, the tests call 127.0.0.2 public and leave 127.0.0.1 private.
"""

import asyncio
import gzip
import socket
import zlib
from collections.abc import AsyncIterator

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from raw_server import RawServer, http_answer, raw_server

from atprotocol.errors import ForbiddenAddress, HostNotFound, NetworkError, ResponseTooLarge
from atprotocol.net.addresses import Policy
from atprotocol.net.connections import RefusedAddress, public_socket_factory
from atprotocol.net.http import BoundedClient, StreamedResponse

PUBLIC = "127.0.0.2"
PRIVATE = "127.0.0.1"


class Answers(AbstractResolver):
    """Answers each question for a name with the next of its lists of addresses, at last the last one again."""

    def __init__(self, **names: list[list[str]]) -> None:
        self.names = {name.replace("_", "."): answers for name, answers in names.items()}
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked.append(host)
        answers = self.names[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST
            )
            for address in addresses
        ]

    async def close(self) -> None:
        pass


def _judging(server: RawServer) -> Policy:
    """Judge addresses as outside, but for what counts as public and for the ports."""
    return Policy(allow_http=True, is_public=lambda address: address == PUBLIC, public_ports=frozenset((server.port,)))


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    async with raw_server() as running:
        yield running


@pytest.fixture
async def client(server: RawServer) -> AsyncIterator[BoundedClient]:
    policy = Policy(allowed=frozenset(((PRIVATE, server.port),)))
    async with BoundedClient(policy, slow_window_seconds=0.2, minimum_bytes_per_second=1000) as opened:
        yield opened


async def test_a_get_returns_status_headers_and_body(server: RawServer, client: BoundedClient) -> None:
    server.answers["/x"] = http_answer(200, b'{"a": 1}', Retry_After="7")
    response = await client.get(f"{server.url}/x", max_bytes=100)
    assert (response.status, response.json(), response.headers["retry-after"]) == (200, {"a": 1}, "7")
    assert response.retry_after_seconds == 7


async def test_a_retry_after_date_counts_by_the_servers_clock(server: RawServer, client: BoundedClient) -> None:
    dates = {"Date": "Wed, 21 Oct 2026 07:28:00 GMT", "Retry_After": "Wed, 21 Oct 2026 07:29:30 GMT"}
    server.answers["/x"] = http_answer(429, **dates)
    assert (await client.get(f"{server.url}/x", max_bytes=100)).retry_after_seconds == 90


@pytest.mark.parametrize(
    "wait",
    [
        "Wed, 21 Oct 2026 07:29:30 +99999999999999999999",
        "Wed, 21 Oct 99999999999999999999 07:29:30 GMT",
        "Wed, 21 Oct 2026 99999999999999999999:29:30 GMT",
        "9" * 5000,
    ],
)
async def test_a_retry_after_beyond_all_numbers_is_no_more_than_an_answer(
    server: RawServer, client: BoundedClient, wait: str
) -> None:
    server.answers["/x"] = http_answer(503, Date="Wed, 21 Oct 2026 07:28:00 GMT", Retry_After=wait)
    assert (await client.get(f"{server.url}/x", max_bytes=100)).retry_after_seconds in (None, 86_400)


async def test_what_is_no_json_is_a_network_error(server: RawServer, client: BoundedClient) -> None:
    for body in (b"<html>", b"\xff", b"[" * 50_000):
        server.answers["/x"] = http_answer(200, body)
        response = await client.get(f"{server.url}/x", max_bytes=100_000)
        with pytest.raises(NetworkError):
            response.json()


async def test_no_cookie_is_sent_back_and_no_proxy_is_taken(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.answers["/x"] = http_answer(200, b"", Set_Cookie="a=b")
    # By a name, because a jar would keep no cookies of an address.
    policy = Policy(allowed=frozenset((("named.example.com", server.port),)))
    async with BoundedClient(policy, Answers(named_example_com=[[PRIVATE]])) as client:
        for _ in range(2):
            await client.get(f"http://named.example.com:{server.port}/x", max_bytes=100)
    assert len(server.requests) == 2
    assert not any("cookie" in request.lower() for request in server.requests)


# --- where it goes -----------------------------------------------------------


async def test_a_name_with_a_private_address_is_not_connected_to(server: RawServer) -> None:
    resolver = Answers(inside_example_com=[[PRIVATE]])
    async with BoundedClient(_judging(server), resolver) as client:
        with pytest.raises(ForbiddenAddress):
            await client.get(f"http://inside.example.com:{server.port}/", max_bytes=100)
    assert server.requests == []


@pytest.mark.parametrize(
    "host", [PRIVATE, "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]", "[::ffff:127.0.0.1]"]
)
async def test_an_address_in_any_spelling_is_not_connected_to(server: RawServer, host: str) -> None:
    async with BoundedClient(_judging(server), Answers()) as client:
        with pytest.raises(ForbiddenAddress):
            await client.get(f"http://{host}:{server.port}/", max_bytes=100)
    assert server.requests == []


async def test_a_name_that_turns_private_after_it_was_public_is_not_connected_to(server: RawServer) -> None:
    async with raw_server(PUBLIC, server.port) as outside:
        outside.answers["/"] = server.answers["/"] = http_answer(200, b"here")
        resolver = Answers(rebinding_example_com=[[PUBLIC], [PRIVATE]])
        async with BoundedClient(_judging(server), resolver) as client:
            url = f"http://rebinding.example.com:{server.port}/"
            assert (await client.get(url, max_bytes=100)).body == b"here"
            with pytest.raises(ForbiddenAddress):
                await client.get(url, max_bytes=100)
    # One question for each request: what was judged is what was connected to.
    assert resolver.asked == ["rebinding.example.com"] * 2
    assert (outside.paths, server.paths) == (["/"], [])


async def test_the_private_ones_of_several_addresses_are_left_out(server: RawServer) -> None:
    async with raw_server(PUBLIC, server.port) as outside:
        outside.answers["/"] = http_answer(200, b"outside")
        async with BoundedClient(_judging(server), Answers(mixed_example_com=[[PRIVATE, PUBLIC]])) as client:
            assert (await client.get(f"http://mixed.example.com:{server.port}/", max_bytes=100)).body == b"outside"
    assert server.requests == []


def test_no_socket_is_made_for_a_private_address_whatever_was_judged_before() -> None:
    make_socket = public_socket_factory(Policy())
    for address in ((PRIVATE, 80), ("2130706433", 80), ("169.254.169.254", 80)):
        with pytest.raises(RefusedAddress):
            make_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", address))
    for address6 in (("::1", 80, 0, 0), ("::ffff:127.0.0.1", 80, 0, 0), ("2606:4700::1111", 80, 0, 2)):
        with pytest.raises(RefusedAddress):
            make_socket((socket.AF_INET6, socket.SOCK_STREAM, 6, "", address6))
    make_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.1.1.1", 443))).close()


async def test_a_name_that_does_not_exist_is_told_apart() -> None:
    class Nowhere(Answers):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            raise socket.gaierror(code, "resolver says")

    async with BoundedClient(Policy(), Nowhere()) as client:
        code = socket.EAI_NONAME
        with pytest.raises(HostNotFound):
            await client.get("https://nowhere.example.com/", max_bytes=100)
        code = socket.EAI_AGAIN
        with pytest.raises(NetworkError) as caught:
            await client.get("https://nowhere.example.com/", max_bytes=100)
        assert not isinstance(caught.value, HostNotFound)


async def test_a_closed_port_is_a_network_error(client: BoundedClient, server: RawServer) -> None:
    async with raw_server() as gone:
        pass
    async with BoundedClient(Policy(allowed=frozenset(((PRIVATE, gone.port),)))) as asking:
        with pytest.raises(NetworkError):
            await asking.get(gone.url, max_bytes=100)


# --- redirects ---------------------------------------------------------------


async def test_a_redirect_within_the_rules_is_followed(server: RawServer, client: BoundedClient) -> None:
    server.answers |= {"/a": http_answer(302, Location="b?x=1"), "/b?x=1": http_answer(200, b"end")}
    response = await client.get(f"{server.url}/a", max_bytes=100)
    assert (response.body, response.url) == (b"end", f"{server.url}/b?x=1")


@pytest.mark.parametrize(
    "location",
    [
        *("http://127.0.0.1:1/", "http://169.254.169.254/latest/meta-data/", "https://[::1]/", "https://2130706433/"),
        *(
            "file:///etc/passwd",
            "ftp://example.com/",
            "https://user:word@example.com/",
            "https://example.com:22/",
            "http://a\\b/",
        ),
    ],
)
async def test_a_redirect_out_of_the_rules_is_not_followed(
    server: RawServer, client: BoundedClient, location: str
) -> None:
    server.answers["/a"] = http_answer(302, Location=location)
    with pytest.raises(ForbiddenAddress):
        await client.get(f"{server.url}/a", max_bytes=100)
    assert server.paths == ["/a"]


async def test_a_public_redirect_to_a_private_name_is_not_followed(server: RawServer) -> None:
    async with raw_server(PUBLIC, server.port) as outside:
        outside.answers["/"] = http_answer(307, Location=f"http://inside.example.com:{server.port}/secret")
        resolver = Answers(outside_example_com=[[PUBLIC]], inside_example_com=[[PRIVATE]])
        async with BoundedClient(_judging(server), resolver) as client:
            with pytest.raises(ForbiddenAddress):
                await client.get(f"http://outside.example.com:{server.port}/", max_bytes=100)
    assert (outside.paths, server.paths) == (["/"], [])


async def test_a_redirect_loop_ends(server: RawServer, client: BoundedClient) -> None:
    server.answers["/a"] = http_answer(301, Location="/a")
    with pytest.raises(NetworkError, match="redirects"):
        await client.get(f"{server.url}/a", max_bytes=100, max_redirects=3)
    assert server.paths == ["/a"] * 4


async def test_a_redirect_to_nowhere_is_a_network_error(server: RawServer, client: BoundedClient) -> None:
    server.answers["/a"] = http_answer(302)
    with pytest.raises(NetworkError):
        await client.get(f"{server.url}/a", max_bytes=100)


# --- how much and how long ---------------------------------------------------


async def test_a_body_of_exactly_the_cap_is_read_and_one_byte_more_is_not(
    server: RawServer, client: BoundedClient
) -> None:
    server.answers |= {"/fits": http_answer(200, b"x" * 1000), "/not": http_answer(200, b"x" * 1001)}
    assert len((await client.get(f"{server.url}/fits", max_bytes=1000)).body) == 1000
    with pytest.raises(ResponseTooLarge):
        await client.get(f"{server.url}/not", max_bytes=1000)


async def test_an_endless_body_is_cut_off_without_being_collected(server: RawServer, client: BoundedClient) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    server.answers["/x"] = endless
    with pytest.raises(ResponseTooLarge):
        await client.get(f"{server.url}/x", max_bytes=1_000_000)


async def test_a_gzip_bomb_is_cut_off_at_the_cap(server: RawServer, client: BoundedClient) -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(compressor.compress(bytes(1_000_000)) for _ in range(100)) + compressor.flush()
    server.answers["/x"] = http_answer(200, bomb, Content_Encoding="gzip")
    seen: list[int] = []

    async def read_all(response: StreamedResponse) -> None:
        async for piece in response.chunks():
            seen.append(len(piece))

    async with client.stream(f"{server.url}/x", max_bytes=300_000, timeout_seconds=5) as response:
        with pytest.raises(ResponseTooLarge):
            await read_all(response)
    assert sum(seen) <= 300_000
    assert max(seen) <= 65536


async def test_gzip_is_read_also_in_several_members_and_never_when_cut_short(
    server: RawServer, client: BoundedClient
) -> None:
    body = bytes(range(256)) * 1000
    whole = gzip.compress(body[:1000]) + gzip.compress(body[1000:])
    server.answers["/x"] = http_answer(200, whole, Content_Encoding="gzip")
    assert (await client.get(f"{server.url}/x", max_bytes=len(body))).body == body
    for wrong in (whole[:-20], b"not gzip"):
        server.answers["/x"] = http_answer(200, wrong, Content_Encoding="gzip")
        with pytest.raises(NetworkError):
            await client.get(f"{server.url}/x", max_bytes=len(body))


async def test_an_encoding_that_was_not_asked_for_is_refused(server: RawServer, client: BoundedClient) -> None:
    server.answers["/x"] = http_answer(200, b"?", Content_Encoding="br")
    with pytest.raises(NetworkError):
        await client.get(f"{server.url}/x", max_bytes=100)


async def test_a_body_shorter_than_it_says_is_a_network_error(server: RawServer, client: BoundedClient) -> None:
    server.answers["/x"] = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"
    with pytest.raises(NetworkError):
        await client.get(f"{server.url}/x", max_bytes=100)


async def test_what_is_no_http_is_a_network_error(server: RawServer, client: BoundedClient) -> None:
    for answer in (b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n"):
        server.answers["/x"] = answer
        with pytest.raises(NetworkError):
            await client.get(f"{server.url}/x", max_bytes=100)


async def test_the_long_page_of_a_failure_does_not_hide_its_status(server: RawServer, client: BoundedClient) -> None:
    server.answers["/x"] = http_answer(404, b"<html>" * 10_000)
    response = await client.get(f"{server.url}/x", max_bytes=100)
    assert (response.status, response.body) == (404, b"")


async def test_a_body_that_drips_is_given_up(server: RawServer, client: BoundedClient) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    server.answers["/x"] = drip
    with pytest.raises(NetworkError, match="slowly"):
        await client.get(f"{server.url}/x", max_bytes=1_000_000, timeout_seconds=30)


async def test_headers_that_never_come_end_with_the_total_time(server: RawServer, client: BoundedClient) -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        await asyncio.get_running_loop().create_future()

    server.answers["/x"] = silent
    with pytest.raises(NetworkError, match="too long"):
        await client.get(f"{server.url}/x", max_bytes=100, timeout_seconds=0.1)


async def test_one_host_is_asked_a_bounded_number_of_times_at_once(server: RawServer) -> None:
    open_now, most = 0, 0
    enough, release = asyncio.Event(), asyncio.Event()

    async def wait(writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        if open_now == 2:
            enough.set()
        await release.wait()
        open_now -= 1
        writer.write(http_answer(200, b"done"))

    server.answers["/x"] = wait
    policy = Policy(allowed=frozenset(((PRIVATE, server.port),)))
    async with BoundedClient(policy, per_host=2) as client:
        asking = [asyncio.create_task(client.get(f"{server.url}/x", max_bytes=100)) for _ in range(6)]
        await enough.wait()
        release.set()
        assert [response.body for response in await asyncio.gather(*asking)] == [b"done"] * 6
    assert most == 2
