"""Sockets that reach only what the policy allows, judged on the very address that is connected to.

Names are resolved once and the answer is both judged and used, so a name that answers differently the
second time (DNS rebinding) gains nothing. The HTTP client and the firehose both connect through here.
"""

import asyncio
import email.utils
import errno
import socket
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from atprotocol.errors import ForbiddenAddress, HostNotFound, NetworkError
from atprotocol.net.addresses import Policy, Target

# Nobody keeps us away for longer by a header.
LONGEST_RETRY_SECONDS = 86_400.0
AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, Any]
_NO_SUCH_NAME = frozenset((socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)))


class RefusedAddress(OSError):
    """What the policy's refusal looks like inside a library that expects an OSError."""

    def __init__(self, message: str) -> None:
        """Say what was refused."""
        super().__init__(errno.EACCES, message)


class PublicResolver(AbstractResolver):
    """A resolver that keeps only the answers that the policy calls public."""

    def __init__(self, resolver: AbstractResolver, policy: Policy) -> None:
        """Wrap the resolver that asks."""
        self._resolver = resolver
        self._policy = policy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the public addresses of a name. Raises RefusedAddress when it has only others."""
        answers = await self._resolver.resolve(host, port, family)
        public = [answer for answer in answers if self._policy.is_public(answer["host"])]
        if answers and not public:
            raise RefusedAddress(f"{host} has no public address")
        return public

    async def close(self) -> None:
        """Close the resolver that asks."""
        await self._resolver.close()


def public_socket_factory(policy: Policy) -> Callable[[AddressInfo], socket.socket]:
    """Return a function that makes the socket for an address, unless the address is not public."""

    def make_socket(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        if not policy.is_public(str(address[0])) or (len(address) == 4 and address[3]):
            raise RefusedAddress(f"{address[0]} is no public address")
        return socket.socket(family=family, type=kind, proto=protocol)

    return make_socket


async def open_socket(target: Target, policy: Policy, resolver: AbstractResolver) -> socket.socket:
    """Return a connected, non-blocking TCP socket to the target, whose name `resolver` resolves.

    Raises ForbiddenAddress, HostNotFound or NetworkError.
    """
    chosen: AbstractResolver = resolver if target.opened else PublicResolver(resolver, policy)
    make_socket = plain_socket if target.opened else public_socket_factory(policy)
    failure: OSError = OSError(f"{target.host} has no address")
    try:
        answers = await chosen.resolve(target.host, target.port, socket.AF_UNSPEC)
    except OSError as error:
        raise network_error(error, target.host) from error
    for answer in answers:
        try:
            info = (answer["family"], socket.SOCK_STREAM, answer["proto"], "", (answer["host"], target.port))
            connection = make_socket(info)
        except OSError as error:
            failure = error
            continue
        try:
            connection.setblocking(False)
            await asyncio.get_running_loop().sock_connect(connection, (answer["host"], target.port))
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise network_error(failure, target.host) from failure


def plain_socket(info: AddressInfo) -> socket.socket:
    """Make the socket for an address without judging it."""
    return socket.socket(family=info[0], type=info[1], proto=info[2])


def network_error(error: OSError, host: str) -> NetworkError:
    """Return what a failed connection means to us."""
    if isinstance(error, RefusedAddress):
        return ForbiddenAddress(error.strerror or str(error))
    if isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_NAME:
        return HostNotFound(f"{host} does not exist")
    return NetworkError(f"{host}: {error or type(error).__name__}")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `Retry-After` asks to wait, a day at most, by the answer's own clock; None without one."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_RETRY_SECONDS)
    try:
        wanted = email.utils.parsedate_to_datetime(text)
        now = email.utils.parsedate_to_datetime(headers.get("Date", ""))
        return min(max(0.0, (wanted - now).total_seconds()), LONGEST_RETRY_SECONDS)
    # OverflowError: a year, an hour or a zone of twenty digits.
    except (ValueError, TypeError, OverflowError):
        return None
