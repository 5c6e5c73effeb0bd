"""TXT lookups against a name server of the test's own, over real UDP on the loopback."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from atprotocol.errors import NetworkError
from atprotocol.net.dns_txt import txt_lookup

Reply = Callable[[dns.message.Message], None]


class NameServer(asyncio.DatagramProtocol):
    """Answers every question with what the test does to an empty response."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        response = dns.message.make_response(dns.message.from_wire(data))
        response.flags |= dns.flags.RA
        self.reply(response)
        self.transport.sendto(response.to_wire(), addr)


@asynccontextmanager
async def _resolver(reply: Reply) -> AsyncIterator[dns.asyncresolver.Resolver]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: NameServer(reply), ("127.0.0.1", 0)
    )
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], transport.get_extra_info("sockname")[1]
    try:
        yield resolver
    finally:
        transport.close()


def _records(response: dns.message.Message) -> None:
    name = response.question[0].name
    response.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", '"did=did:plc:" "abc"', '"v=spf1"'))


def _rcode(code: dns.rcode.Rcode) -> Reply:
    return lambda response: response.set_rcode(code)


async def test_the_strings_of_a_record_are_joined() -> None:
    async with _resolver(_records) as resolver:
        assert sorted(await txt_lookup(resolver)("_atproto.alice.example.com")) == ["did=did:plc:abc", "v=spf1"]


async def test_a_name_without_records_has_none() -> None:
    for reply in (_rcode(dns.rcode.NXDOMAIN), lambda response: None):
        async with _resolver(reply) as resolver:
            assert await txt_lookup(resolver)("_atproto.alice.example.com") == []


@pytest.mark.parametrize("code", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
async def test_a_server_that_fails_is_inconclusive(code: dns.rcode.Rcode) -> None:
    async with _resolver(_rcode(code)) as resolver:
        # The name says that the server answered: silence would be a LifetimeTimeout.
        with pytest.raises(NetworkError, match="NoNameservers"):
            await txt_lookup(resolver)("_atproto.alice.example.com")
